"""The scenarios of operations on disks; see ``scenarios``."""

from __future__ import annotations

from typing import Literal

from clusterd.opcodes.cluster_repair_disk_sizes import ClusterRepairDiskSizes
from clusterd.opcodes.cluster_verify_disks import ClusterVerifyDisks
from clusterd.opcodes.group_verify_disks import GroupVerifyDisks
from clusterd.opcodes.instance_grow_disk import InstanceGrowDisk
from clusterd.opcodes.instance_move import InstanceMove
from clusterd.opcodes.instance_recreate_disks import InstanceRecreateDisks
from clusterd.opcodes.instance_repair_disks import InstanceRepairDisks
from clusterd.opcodes.instance_replace_disks import InstanceReplaceDisks
from clusterd.opcodes.instance_set_params import InstanceSetParams
from clusterd.opcodes.node_set_params import NodeSetParams
from clusterd.simulation.scenario import DOWN, LOST, NAME, PLAIN, RUNS, Scenario, create
from jobqueue.job import Status

SAME_NODE: tuple[Literal["replace_on_primary", "replace_on_secondary"], ...] = (
    "replace_on_primary",
    "replace_on_secondary",
)

TWO = (create("drbd", disks=({"size": 1024}, {"size": 2048})),)


QCOW2 = ({"size": 1024, "format": "qcow2"},)


def modify(*disks: tuple[str, int, dict[str, object]]) -> InstanceSetParams:
    """Changes of the instance's disks."""
    return InstanceSetParams(instance_name=NAME, disks=disks)


COPYING = (
    Scenario(
        name="move-file",
        given=(create("file"),),
        act=(InstanceMove(instance_name=NAME, target_node="node3", compress="gzip"),),
    ),
    Scenario(
        name="move-qcow2",
        given=(create("file", disks=QCOW2, no_install=True),),
        act=(InstanceMove(instance_name=NAME, target_node="node3"),),
    ),
    Scenario(
        name="convert-qcow2-to-plain",
        given=(create("file", disks=QCOW2, no_install=True, start=False),),
        act=(InstanceSetParams(instance_name=NAME, disk_template="plain"),),
    ),
    Scenario(
        name="convert-plain-to-file",
        given=(create("plain", start=False),),
        act=(InstanceSetParams(instance_name=NAME, disk_template="file"),),
    ),
    Scenario(
        name="convert-file-to-drbd",
        given=(create("file", start=False),),
        act=(InstanceSetParams(instance_name=NAME, disk_template="drbd", remote_node="node2"),),
    ),
    Scenario(
        name="convert-drbd-to-sharedfile",
        given=DOWN,
        act=(InstanceSetParams(instance_name=NAME, disk_template="sharedfile"),),
    ),
)
DISKS = (
    *COPYING,
    Scenario(
        name="grow-drbd",
        given=RUNS,
        act=(InstanceGrowDisk(instance_name=NAME, disk=0, amount=512),),
    ),
    Scenario(
        name="grow-stopped",
        given=DOWN,
        act=(InstanceGrowDisk(instance_name=NAME, disk=0, amount=2048, absolute=True),),
    ),
    Scenario(
        name="grow-plain",
        given=PLAIN,
        act=(InstanceGrowDisk(instance_name=NAME, disk=0, amount=512),),
    ),
    *(
        Scenario(
            name=mode.replace("_", "-"),
            given=RUNS,
            act=(InstanceReplaceDisks(instance_name=NAME, mode=mode),),
        )
        for mode in SAME_NODE
    ),
    Scenario(
        name="replace-early-release",
        given=TWO,
        act=(
            InstanceReplaceDisks(
                instance_name=NAME, mode="replace_on_secondary", disks=(1,), early_release=True
            ),
        ),
    ),
    Scenario(
        name="replace-secondary",
        given=RUNS,
        act=(
            InstanceReplaceDisks(
                instance_name=NAME, mode="replace_new_secondary", remote_node="node3"
            ),
        ),
    ),
    Scenario(
        name="replace-secondary-stopped",
        given=DOWN,
        act=(
            InstanceReplaceDisks(
                instance_name=NAME, mode="replace_new_secondary", remote_node="node3"
            ),
        ),
    ),
    Scenario(
        name="replace-lost-secondary",
        given=LOST,
        dark="node2",
        act=(
            InstanceReplaceDisks(
                instance_name=NAME, mode="replace_new_secondary", remote_node="node3"
            ),
        ),
    ),
    Scenario(
        name="recreate",
        given=(
            create("plain", start=False, pnode="node2"),
            NodeSetParams(node_name="node2", offline=True),
        ),
        dark="node2",
        act=(
            InstanceRecreateDisks(
                instance_name=NAME, nodes=("node3",), disks=((0, {"size": 2048}),)
            ),
        ),
    ),
    Scenario(name="disk-add", given=RUNS, act=(modify(("add", -1, {"size": 1024})),)),
    Scenario(
        name="disk-add-diskless",
        given=(create("diskless"),),
        act=(modify(("add", -1, {"size": 1024, "dev_type": "plain"})),),
    ),
    Scenario(name="disk-add-stopped", given=DOWN, act=(modify(("add", 0, {"size": 1024})),)),
    Scenario(name="disk-remove", given=TWO, act=(modify(("remove", 0, {})),)),
    Scenario(
        name="disks-exchange",
        given=(create("plain", disks=({"size": 1024}, {"size": 2048})),),
        act=(
            modify(
                ("remove", 0, {}),
                ("add", -1, {"size": 1024, "name": "data"}),
                ("modify", 1, {"mode": "ro"}),
            ),
        ),
    ),
    Scenario(
        name="convert-to-drbd",
        given=(create("plain", start=False),),
        act=(InstanceSetParams(instance_name=NAME, disk_template="drbd", remote_node="node2"),),
    ),
    Scenario(
        name="convert-to-plain",
        given=DOWN,
        act=(InstanceSetParams(instance_name=NAME, disk_template="plain"),),
    ),
    Scenario(
        name="cards",
        given=RUNS,
        act=(
            InstanceSetParams(
                instance_name=NAME,
                nics=(("modify", 0, {"name": "lan"}), ("add", 0, {}), ("add", -1, {})),
            ),
        ),
    ),
    Scenario(name="verify-disks", given=RUNS, act=(ClusterVerifyDisks(),)),
    Scenario(name="verify-group-disks", given=RUNS, act=(GroupVerifyDisks(group_name="default"),)),
    Scenario(name="repair-disk-sizes", given=RUNS, act=(ClusterRepairDiskSizes(),)),
    Scenario(
        name="repair-disks",
        given=RUNS,
        act=(InstanceRepairDisks(instance_name=NAME, keep="node1"),),
        ends=Status.ERROR,  # nothing is broken; see the stories for what is
    ),
    Scenario(
        name="move",
        given=PLAIN,
        act=(InstanceMove(instance_name=NAME, target_node="node3", shutdown_timeout=5),),
    ),
    Scenario(
        name="move-stopped",
        given=(create("plain", start=False, disks=({"size": 1024}, {"size": 2048})),),
        act=(InstanceMove(instance_name=NAME, target_node="node2"),),
    ),
    Scenario(
        name="replace-nothing",
        given=RUNS,
        act=(InstanceReplaceDisks(instance_name=NAME, mode="replace_auto"),),
    ),
)
