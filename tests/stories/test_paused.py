"""A guest whose processors stand still is told of by the verification."""

from __future__ import annotations

from pathlib import Path

from clusterd.opcodes.cluster_verify_group import ClusterVerifyGroup
from hypervisors.machine_room import Presence
from tests.stories.operator import Operator


def test_a_paused_guest_is_a_warning_until_it_goes_on(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    operator.expect_success(operator.creates("web1", on="node2"))
    resident = operator.cluster.room.machine("node2").residents["web1"]
    said = "WARNING: instance web1: instance is paused on node2: its disks failed, or somebody"

    def verified() -> str:
        operator.waits(60.0)
        return operator.logged(operator.does(ClusterVerifyGroup(group_name="default")))

    assert said not in verified()
    resident.presence = Presence.PAUSED
    assert said in verified()
    resident.presence = Presence.RUNNING
    assert said not in verified()
    operator.goes_home()
