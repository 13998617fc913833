"""A start loads what it needs and no more: of a daemon, of a command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


COMMAND = """
import sys
from cli.main import instance
sys.argv = "gnt-instance add -t plain -s 1G -o noop -n n1 web1".split()
print(instance(), "clusterd.opcodes.instance_create" in sys.modules, "twisted" in sys.modules)
"""


def test_a_command_that_submits_does_without_twisted(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND],
        env={**os.environ, "CLUSTERD_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    # there is no cluster
    assert done.stdout == "5 True False\n"


PROVISIONS = """
import pkgutil, sys
import cli.master_daemon
from clusterd import opcodes, placement, queries, steps
from clusterd.master import provisions
served = provisions.product()
def away(*packages):
    found = ((one, module) for one in packages for module in pkgutil.iter_modules(one.__path__))
    return sorted({f"{one.__name__}.{module.name}" for one, module in found} - set(sys.modules))
print(away(opcodes, queries, steps), "clusterd.placement.balance" in sys.modules)
provisions.load_planning()
print("clusterd.placement.balance" in sys.modules, "clusterd.iallocator.builtin" in sys.modules)
"""


def test_a_standby_needs_no_program_file_to_take_over() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROVISIONS], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[] False\nTrue True\n"
