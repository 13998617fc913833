"""Which tests run on one worker when several work at once, and what is done once for all."""

from __future__ import annotations

import gc
import os
import sys

import pytest

# where no bytecode may be written, each worker and each daemon that a test starts would compile
# what it loads anew, which is most of what a start costs
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# what is loaded and collected stays to the end: looking through it for garbage would take a good
# part of the whole time
gc.disable()

LONGEST = (
    "live cluster",
    "storage hosts",
    "tests/system/test_rbd_cluster.py",
    "tests/system/test_rbd.py",
    "tests/system/test_three_masters.py",
    "tests/system/test_failover.py",
    "tests/demo/test_demo.py",
    "tests/system/test_kvm_guest.py",
    "tests/system/test_kvm_driver.py",
    "tests/proof/test_proof.py",
)
"""Groups of real tests that take minutes. Those that mostly wait run beside the longest one, which
needs a processor all the time; a cluster whose tests are slow does more that only passes time."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real tests of a module stay together, for they share what they start; modules that share with
    others name their group themselves. Tests about the house share its parsed sources."""
    for item in items:
        if item.nodeid.startswith("tests/meta/"):
            item.add_marker(pytest.mark.xdist_group("house"))
        real = item.get_closest_marker("real") is not None
        if real and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    """Groups that take minutes begin first, or one of them would be left alone at the end."""
    group = item.get_closest_marker("xdist_group")
    name = group.args[0] if group is not None else ""
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


def pytest_collection_finish(session: pytest.Session) -> None:
    """From now on there is garbage."""
    gc.freeze()
    gc.enable()
    _require_groups(session)


def _require_groups(session: pytest.Session) -> None:
    """Tests that were to stay together on a worker and would not: each worker would start the same
    node hosts, Ceph clusters and live clusters again, silently."""
    if not getattr(session.config.option, "loadgroup", False):
        return
    apart = [
        item.nodeid
        for item in session.items
        if item.get_closest_marker("xdist_group") and "@" not in item.nodeid
    ]
    if apart:
        raise pytest.UsageError(f"pytest-xdist does not keep {apart[0]} with its group")
