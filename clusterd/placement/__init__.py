"""Placement: where instances go, how many more fit, what to move. Pure functions over arrays.

No I/O, no clock, no randomness: the same model and options give the same answer. ``model`` is what
goes in, ``results`` what comes out, ``docs/design/placement.md`` says how it is decided.
"""
