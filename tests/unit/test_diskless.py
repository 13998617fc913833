"""Instances without disks get some, and are converted neither from nor to."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from clusterd.model import AdminState, Instance, Nic
from clusterd.opcodes import instance_set_params
from clusterd.opcodes.instance_set_params import InstanceSetParams
from clusterd.steps.disk_changes import CommitDisks, DraftDisks
from clusterd.steps.disks import DetachVolume
from jobqueue.errors import Refused
from tests.unit.small_cluster import SmallCluster, instance

BARE = instance("bare.example.com", nics=(Nic(uuid="bare-nic", mac="aa:00:00:00:00:0b"),))


def modify(name: str = BARE.name, **fields: Any) -> InstanceSetParams:
    return InstanceSetParams(instance_name=name, **fields)


def refused(opcode: InstanceSetParams, *more: Instance) -> str:
    with pytest.raises(Refused) as caught:
        instance_set_params.check(opcode, SmallCluster(BARE, *more).view())
    return str(caught.value)


def test_a_first_disk_brings_its_template() -> None:
    spec = {"size": 1024, "dev_type": "plain"}
    opcode = modify(disks=(("add", -1, spec), ("add", -1, {**spec, "size": 2048})))
    view = SmallCluster(BARE).view()
    instance_set_params.check(opcode, view)
    steps = instance_set_params.plan(opcode, view)
    (draft,) = [step for step in steps if isinstance(step, DraftDisks)]
    assert [(disk.template, disk.pool) for disk in draft.disks] == [("plain", "xenvg")] * 2
    (commit,) = [step for step in steps if isinstance(step, CommitDisks)]
    changes = {name: msgspec.json.decode(bytes(raw)) for name, raw in commit.changes.items()}
    # it runs, so the disks stay attached for its guest
    assert changes == {"disk_template": "plain", "disks_active": True}
    assert not [step for step in steps if isinstance(step, DetachVolume)]


def test_a_stopped_instance_gets_its_first_disk_detached() -> None:
    bare = msgspec.structs.replace(BARE, admin_state=AdminState.DOWN)
    opcode = modify(disks=(("add", -1, {"size": 1024, "dev_type": "plain"}),))
    steps = instance_set_params.plan(opcode, SmallCluster(bare).view())
    assert len([step for step in steps if isinstance(step, DetachVolume)]) == 1
    (commit,) = [step for step in steps if isinstance(step, CommitDisks)]
    assert list(commit.changes) == ["disk_template"]


def test_other_instances_keep_their_template() -> None:
    view = SmallCluster().view()
    opcode = modify("web1.example.com", disks=(("add", -1, {"size": 1, "dev_type": "drbd"}),))
    steps = instance_set_params.plan(opcode, view)
    (commit,) = [step for step in steps if isinstance(step, CommitDisks)]
    assert commit.changes == {}


@pytest.mark.parametrize(
    ("disks", "said"),
    [
        ([{"size": 1024}], "Must specify disk type on diskless instance"),
        ([{"size": 1024, "dev_type": "rbd"}], "'rbd' is not enabled"),
        ([{"size": 1024, "dev_type": "diskless"}], "'diskless' is not enabled"),
        ([{"size": 1024, "dev_type": "drbd"}], "add a plain disk, then convert"),
        ([{"dev_type": "plain"}], "missing or invalid size"),
        ([{"size": 99999, "dev_type": "plain"}], "available 5000 MiB"),
    ],
)
def test_disks_that_a_diskless_instance_cannot_have(disks: list[Any], said: str) -> None:
    assert said in refused(modify(disks=tuple(("add", -1, spec) for spec in disks)))


def test_a_disk_of_another_template_is_refused() -> None:
    opcode = modify("web1.example.com", disks=(("add", -1, {"size": 1, "dev_type": "plain"}),))
    assert "have one template, here drbd" in refused(opcode)


def test_conversions_say_what_to_do_instead() -> None:
    said = refused(modify(disk_template="plain"))
    assert "from the 'diskless' disk template is not supported; add disks" in said
    assert "dev_type=" in said
    said = refused(modify("web1.example.com", disk_template="diskless"))
    assert "to the 'diskless' disk template is not supported; remove the disks" in said
