"""A daemon's start loads what it serves and no more."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import gc, sys
from cli import loading
loading.begin()
assert not gc.isenabled()
import cli.master_daemon
found = {name.partition(".")[0] for name, module in sys.modules.items() if module is not None}
assert "twisted" in found
print(*sorted(found & {"numpy", "rich", "pygments"}))
loading.end()
assert gc.isenabled() and gc.get_freeze_count()
print("rich" in sys.modules)
import rich.console
"""


def test_a_master_starts_without_arrays_and_colours_and_may_load_them_later() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split("\n") == ["", "False", ""]
