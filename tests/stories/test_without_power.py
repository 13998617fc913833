"""Disks that are to be active and are not, as their host was without power: jobs see to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from clusterd.opcodes.backup_export import BackupExport
from clusterd.opcodes.instance_activate_disks import InstanceActivateDisks
from tests.stories.operator import Operator


@pytest.mark.parametrize("start", [False, True], ids=["stopped", "was running"])
def test_an_instance_is_exported_after_its_host_was_without_power(
    tmp_path: Path, start: bool
) -> None:
    operator = Operator(tmp_path)
    operator.expect_success(operator.creates("web1", on="node2", start=start))
    operator.expect_success(operator.does(InstanceActivateDisks(instance_name="web1")))
    operator.pulls_the_plug("node2")
    operator.powers_on("node2")
    operator.expect_success(operator.does(BackupExport(instance_name="web1", target_node="node3")))
    assert operator.instance("web1").disks_active
    operator.goes_home()
