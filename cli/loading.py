"""How a daemon loads its modules: without looking for garbage, and without what is for terminals.

What loading makes stays for good, and a collector that looks through it again and again takes a
quarter of a daemon's start; once everything is there, it is left out of all later looks. structlog
loads rich where it finds it, for tracebacks in colours; a daemon's log is JSON, and another quarter
would go into that.
"""

from __future__ import annotations

import gc
import sys
from types import ModuleType

UNUSED = "rich"
"""What looks as if it were not installed while the daemon's own modules are loaded."""


def begin() -> None:
    """Modules are about to be loaded."""
    gc.disable()
    if UNUSED not in sys.modules:
        _modules()[UNUSED] = None


def end() -> None:
    """They are: from now on garbage is looked for, but not among what is there."""
    if sys.modules.get(UNUSED, UNUSED) is None:
        del sys.modules[UNUSED]
    gc.freeze()
    gc.enable()


def _modules() -> dict[str, ModuleType | None]:
    # None is Python's way to say that a module cannot be imported
    return sys.modules  # type: ignore[return-value]
