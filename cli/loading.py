"""When a daemon's garbage is looked for: not while its modules are loaded.

What loading makes stays for good, and a collector that looks through it again and again takes a
quarter of a daemon's start; once everything is there, it is left out of all later looks.
"""

from __future__ import annotations

import gc


def begin() -> None:
    """Modules are about to be loaded."""
    gc.disable()


def end() -> None:
    """They are: from now on garbage is looked for, but not among what is there."""
    gc.freeze()
    gc.enable()
