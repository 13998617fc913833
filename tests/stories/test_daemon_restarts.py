"""A node daemon is started anew, as for a new version, while its node is asked for things."""

from __future__ import annotations

from pathlib import Path

import pytest

from clusterd.master.lulls import LULL_S
from clusterd.opcodes.instance_activate_disks import InstanceActivateDisks
from clusterd.opcodes.instance_startup import InstanceStartup
from clusterd.opcodes.test_delay import TestDelay as Delay
from jobqueue.job import Status
from jobqueue.opcode import Opcode
from tests.stories.operator import Operator

START_S = 0.5
"""The daemon is away for so long."""

OPERATIONS: dict[str, Opcode] = {
    "names the node": Delay(duration=0, on_master=False, on_nodes=("node2",)),
    "looks at the node": InstanceStartup(instance_name="web1"),
    "locks the node": InstanceActivateDisks(instance_name="web1"),
}


@pytest.mark.parametrize("noticed", [False, True], ids=["in the same moment", "link known lost"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_asked_meanwhile_waits_for_it(
    tmp_path: Path, operation: str, noticed: bool
) -> None:
    operator = with_web1(tmp_path)
    host, clock = operator.cluster.hosts["node2"], operator.cluster.clock
    host.kill_daemon()
    if noticed:
        clock.run(0.1)
        assert not operator.cluster.master.sights.sight("node2").connected
    number = operator.begins(OPERATIONS[operation])
    clock.run(START_S)
    host.start_daemon()
    operator.waits_for_jobs()
    operator.expect(operator.ended(number, Status.SUCCESS), "the job succeeded")
    operator.goes_home()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_who_stays_away_is_refused_soon(tmp_path: Path, operation: str) -> None:
    operator = with_web1(tmp_path)
    operator.cluster.hosts["node2"].kill_daemon()
    operator.cluster.clock.run(0.1)
    number = operator.begins(OPERATIONS[operation])
    operator.cluster.clock.run(LULL_S)
    assert number is not None
    operator.expect_refusal(operator.cluster.job(number), "node2")
    operator.cluster.hosts["node2"].start_daemon()
    operator.goes_home()


def test_nobody_else_waits(tmp_path: Path) -> None:
    operator = with_web1(tmp_path)
    operator.cluster.hosts["node2"].kill_daemon()
    operator.cluster.clock.run(0.1)
    number = operator.begins(Delay(duration=0, on_master=False, on_nodes=("node3",)))
    operator.cluster.clock.run(LULL_S / 2)
    operator.expect(operator.ended(number, Status.SUCCESS), "the job succeeded")
    operator.cluster.hosts["node2"].start_daemon()
    operator.goes_home()


def with_web1(directory: Path) -> Operator:
    """web1 is on node2 and does not run."""
    operator = Operator(directory)
    operator.expect_success(operator.creates("web1", on="node2", start=False))
    return operator
