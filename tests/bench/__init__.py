"""Figures of the product: ``python -m tests.bench``.

A group is a module of tests/bench/groups with a function ``measure() -> Iterable[Figure]``; its
docstring's first line is shown. A new group is one new file.
"""
