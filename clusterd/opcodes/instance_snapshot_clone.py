"""Make a new instance from a snapshot of another one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from clusterd import address_pool, ipolicy
from clusterd.model import AdminState, Disk, DiskOrigin, Instance, Nic, Node
from clusterd.opcodes import disk_steps, locking, requirements, wiring
from clusterd.opcodes.fields import IgnoreIpolicy, InstanceName, NodeName, SnapshotName
from clusterd.opcodes.instance_snapshot_remove import wanted
from clusterd.steps.cluster import Say
from clusterd.steps.disks import DetachVolume
from clusterd.steps.guests import StartGuest
from clusterd.steps.instances import CommitInstance, DrawInstance
from clusterd.view import View
from clusterd.volumes import is_shared, volume_on
from jobqueue.errors import Refused
from jobqueue.lock import Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class InstanceSnapshotClone(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_SNAPSHOT_CLONE"):
    """Make a new instance, by copy on write, from a snapshot of another one."""

    instance_name: InstanceName
    snapshot: SnapshotName
    new_name: Annotated[InstanceName, Meta(description="name of the new instance")]
    pnode: Annotated[
        NodeName | None, Meta(description="its node; default is where the other one is")
    ] = None
    start: Annotated[bool, Meta(description="start it when it is made")] = False
    ignore_ipolicy: IgnoreIpolicy = False


def home(opcode: InstanceSnapshotClone, view: View) -> Node:
    """Where the new instance will be."""
    if opcode.pnode:
        return view.configuration.node(opcode.pnode)
    return view.primary(view.configuration.instance(opcode.instance_name))


def locks(opcode: InstanceSnapshotClone, view: View) -> Iterable[Lock]:
    """The instance, shared, and the new name; the nodes must stay what they are."""
    source = view.configuration.instance(opcode.instance_name)
    found = {
        *locking.on_instance(view, source, home(opcode, view)),
        locking.instance_lock(opcode.new_name),
        *wiring.locks(view, [{"network": nic.network} for nic in source.nics]),
    }
    return sorted(found)


def sights(opcode: InstanceSnapshotClone, view: View) -> Iterable[str]:
    """The new instance's node."""
    return [home(opcode, view).name]


def check(opcode: InstanceSnapshotClone, view: View) -> None:
    """The name is free, the snapshot is there, the node reaches it and can take one more."""
    if view.configuration.find_instance(opcode.new_name) is not None:
        raise Refused(f"Instance '{opcode.new_name}' is already in the cluster", "already_exists")
    source = view.configuration.instance(opcode.instance_name)
    wanted(source, opcode.snapshot)
    node = home(opcode, view)
    if node.uuid != source.primary_node and not is_shared(source.disk_template):
        raise Refused(
            f"The disks of instance '{source.name}' are on its node only; clone it there",
            "wrong_input",
        )
    instance = draft(opcode, view)
    requirements.node_takes_instances(view, node)
    requirements.hypervisor_answers(view, node, instance.hypervisor)
    if opcode.start:
        requirements.memory_free(view, node, instance, f"creating instance {instance.name}")
    if not opcode.ignore_ipolicy:
        ipolicy.require(view, instance)


def draft(opcode: InstanceSnapshotClone, view: View) -> Instance:
    """The new instance as it will be, without identities; raises Refused."""
    source = view.configuration.instance(opcode.instance_name)
    snapshot = wanted(source, opcode.snapshot)
    return msgspec.structs.replace(
        source,
        uuid="unfinished",
        name=opcode.new_name,
        serial_no=1,
        primary_node=home(opcode, view).uuid,
        secondary_node=None,
        admin_state=AdminState.DOWN,
        admin_state_source="admin",
        disks_active=False,
        disks=tuple(
            _disk(view, source, disk, opcode.snapshot)
            for disk in source.disks
            if disk.uuid in snapshot.disks
        ),
        nics=tuple(_card(nic) for nic in source.nics),
        network_port=None,
        snapshots=(),
    )


def _card(nic: Nic) -> Nic:
    """The same wire, and an address of its own where the source has one of a network's."""
    pooled = nic.network is not None and nic.ip is not None
    ip = address_pool.POOL if pooled else None
    return Nic(uuid="", mac="", ip=ip, network=nic.network, params=nic.params)


def _disk(view: View, source: Instance, disk: Disk, snapshot: str) -> Disk:
    volume = volume_on(view, source, disk, view.primary(source))
    origin = DiskOrigin(
        pool=volume.pool,
        name=volume.name,
        snapshot=snapshot,
        size_mib=disk.size_mib,
        label=source.name,
    )
    return msgspec.structs.replace(disk, uuid="", label="", origin=origin, synced=False)


def plan(opcode: InstanceSnapshotClone, view: View) -> Sequence[Step]:
    """Draw, clone, commit, start."""
    instance = draft(opcode, view)
    node = home(opcode, view)
    port = view.configuration.instance(opcode.instance_name).network_port is not None
    steps: list[Step] = [DrawInstance(draft=instance, network_port=port)]
    steps.append(Say(text=f"* cloning {len(instance.disks)} disks"))
    for index, disk in enumerate(instance.disks):
        steps += disk_steps.make(instance.name, index, disk, (node,))
    if not opcode.start:
        steps += [
            DetachVolume(instance=instance.name, disk=index, node=node.name)
            for index, _disk in enumerate(instance.disks)
        ]
    state = AdminState.UP if opcode.start else AdminState.DOWN
    steps.append(
        CommitInstance(instance=instance.name, admin_state=state, disks_active=opcode.start)
    )
    if opcode.start:
        steps.append(Say(text="* starting instance..."))
        steps.append(StartGuest(instance=instance.name, node=node.name))
    return steps


KIND = OpcodeKind(
    opcode=InstanceSnapshotClone,
    locks=locks,
    sights=sights,
    check=check,
    plan=plan,
    summary_field="instance_name",
)
