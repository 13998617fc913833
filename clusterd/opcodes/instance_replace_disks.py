"""Replace one copy of an instance's mirrored disks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from clusterd import capacity
from clusterd.hooks import HookPoint, instance_environment, master_node
from clusterd.iallocator.answers import Answer
from clusterd.iallocator.choice import Choice, Taken, allocator_name
from clusterd.iallocator.data import disk_total_mib
from clusterd.iallocator.requests import Relocate
from clusterd.model import Disk, DrbdPair, Instance, Node
from clusterd.opcodes import disk_steps, locking, placing, requirements, wiring
from clusterd.opcodes.fields import (
    NAME,
    PLAIN,
    EarlyRelease,
    Iallocator,
    IgnoreIpolicy,
    InstanceName,
)
from clusterd.steps.cluster import Say
from clusterd.steps.disk_changes import (
    CommitDisks,
    DraftDisks,
    SwapVolume,
    TurnMirror,
    raw_fields,
)
from clusterd.steps.disks import AttachVolume, AwaitMirror, DetachVolume, EnsureVolume
from clusterd.view import View
from clusterd.volumes import has_mirror, label_on, numbered, volume_on
from jobqueue.errors import Refused
from jobqueue.lock import Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step
from jobqueue.surroundings import Chosen
from storage.volume import Health


class InstanceReplaceDisks(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_REPLACE_DISKS"):
    """Replace one copy of an instance's mirrored disks."""

    instance_name: InstanceName
    mode: Annotated[
        Literal[
            "replace_on_primary", "replace_on_secondary", "replace_new_secondary", "replace_auto"
        ],
        Meta(description="which copy is made anew; replace_auto: the broken one"),
    ]
    disks: Annotated[
        tuple[Annotated[int, Meta(ge=0)], ...], Meta(description="indices of disks; none: all")
    ] = ()
    remote_node: Annotated[
        Annotated[str, Meta(pattern=NAME, extra=PLAIN)] | None,
        Meta(description="new secondary node"),
    ] = None
    early_release: EarlyRelease = False
    iallocator: Iallocator = None
    ignore_ipolicy: IgnoreIpolicy = False


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """What the request comes to."""

    indices: tuple[int, ...]
    node: Node | None = None
    """Where a copy is made; None when nothing needs to be."""
    former: Node | None = None
    """The secondary that is left for ``node``; None: the copy on ``node`` itself is replaced."""


def aim(opcode: InstanceReplaceDisks, view: View) -> Aim:
    """Which copies are made anew; raises Refused."""
    instance = view.configuration.instance(opcode.instance_name)
    secondary = view.secondary(instance)
    if not has_mirror(instance.disk_template) or secondary is None:
        raise Refused(
            f"Can only run replace disks for mirrored instances, not for disk template "
            f"{instance.disk_template}",
            "wrong_input",
        )
    given = sorted(set(opcode.disks))
    indices = tuple(requirements.disk_at(instance, index) for index in given)
    everything = tuple(range(len(instance.disks)))
    if opcode.mode == "replace_new_secondary":
        return _new_secondary(opcode, view, secondary, everything)
    if opcode.remote_node is not None or opcode.iallocator:
        raise Refused(
            "A new node is only chosen for a new secondary (mode replace_new_secondary)",
            "wrong_input",
        )
    if opcode.mode == "replace_auto":
        if opcode.disks:
            raise Refused("Cannot name disks for an automatic replacement", "wrong_input")
        return _broken(view, instance, secondary)
    on_primary = opcode.mode == "replace_on_primary"
    node = view.primary(instance) if on_primary else secondary
    return Aim(indices=indices or everything, node=node)


def _new_secondary(
    opcode: InstanceReplaceDisks, view: View, secondary: Node, everything: tuple[int, ...]
) -> Aim:
    instance = view.configuration.instance(opcode.instance_name)
    if opcode.disks and set(opcode.disks) != set(everything):
        raise Refused("All disks go to a new secondary node together", "wrong_input")
    if opcode.remote_node is None:
        raise Refused(
            "Name the new secondary node, or an iallocator that chooses one (options -n, -I)",
            "wrong_input",
        )
    node = view.configuration.node(opcode.remote_node)
    if node.uuid == instance.primary_node:
        raise Refused(
            f"The specified node {node.name} is the primary node of the instance", "wrong_input"
        )
    if node.uuid == secondary.uuid:
        raise Refused(
            f"The specified node {node.name} is already the secondary node of the instance",
            "wrong_input",
        )
    return Aim(indices=everything, node=node, former=secondary)


def _broken(view: View, instance: Instance, secondary: Node) -> Aim:
    """The copies that are faulty or gone, all on one node."""
    found: dict[str, list[int]] = {}
    primary = view.primary(instance)
    for node in (primary, secondary):
        observation = view.sight(node).observation
        if observation is None:
            continue
        stored = {one.name for one in observation.stored}
        seen = {one.uuid: one for one in observation.volumes}
        for index, disk in enumerate(instance.disks):
            status = seen.get(disk.uuid)
            faulty = status is not None and status.path and status.health is Health.FAULTY
            if faulty or volume_on(view, instance, disk, node).name not in stored:
                found.setdefault(node.uuid, []).append(index)
    if len(found) > 1:
        raise Refused(
            f"Instance {instance.name} has faulty disks on more than one node: replace them "
            "one node after the other (options -p and -s)",
            "wrong_state",
        )
    for uuid, indices in found.items():
        return Aim(indices=tuple(indices), node=view.configuration.node(uuid))
    return Aim(indices=())


def wanted(opcode: InstanceReplaceDisks, view: View, taken: Taken) -> Relocate | None:
    """A new secondary node, where an allocator is named instead of one."""
    if opcode.mode != "replace_new_secondary" or not opcode.iallocator:
        return None
    if opcode.remote_node is not None:
        raise Refused("Give either the iallocator or the new secondary, not both", "wrong_input")
    instance = view.configuration.instance(opcode.instance_name)
    secondary = view.secondary(instance)
    if not has_mirror(instance.disk_template) or secondary is None:
        return None  # what is wrong with it is told by the check
    return Relocate(
        name=instance.name,
        relocate_from=(secondary.name,),
        disk_total_mib=disk_total_mib(instance),
        excluded=placing.excluded(view, instance, taken, None),
    )


def settle(opcode: InstanceReplaceDisks, view: View, answer: Answer) -> Chosen:
    """The opcode with the node."""
    if not answer.nodes:
        raise placing.none_found(view, opcode, opcode.instance_name, answer.info)
    (node,) = placing.nodes_of(view, opcode.instance_name, answer.nodes, 1)
    name = allocator_name(view, opcode.iallocator)
    return Chosen(opcode=msgspec.structs.replace(opcode, remote_node=node, iallocator=name))


def locks(opcode: InstanceReplaceDisks, view: View) -> tuple[Lock, ...]:
    """The instance and its nodes; for a new one its networks too."""
    instance = view.configuration.instance(opcode.instance_name)
    if not opcode.remote_node:
        return locking.on_instance(view, instance)
    node = view.configuration.node(opcode.remote_node)
    return (*locking.on_instance(view, instance, node), *wiring.kept(view, instance))


def sights(opcode: InstanceReplaceDisks, view: View) -> Iterable[str]:
    """The instance's nodes and a new one, as far as they are not offline."""
    instance = view.configuration.instance(opcode.instance_name)
    found = [*view.nodes_of(instance)]
    if opcode.remote_node:
        found.append(view.configuration.node(opcode.remote_node))
    return [node.name for node in found if not node.offline]


def check(opcode: InstanceReplaceDisks, view: View) -> None:
    """The node has room for a copy, and the node with the other copy answers."""
    instance = view.configuration.instance(opcode.instance_name)
    requirements.disks_settled(view, instance)
    wanted = aim(opcode, view)
    if wanted.node is None:
        return
    requirements.node_online(view, view.primary(instance))
    if wanted.former is None:
        for node in view.nodes_of(instance):
            requirements.node_online(view, node)
    else:
        requirements.node_takes_instances(view, wanted.node)
        wiring.require_connected(view, instance, wanted.node)
    disks = [instance.disks[index] for index in wanted.indices]
    requirements.room_for(view, wanted.node, capacity.disk_need_mib(disks))


def plan(opcode: InstanceReplaceDisks, view: View) -> Sequence[Step]:
    """Make the new copy beside the old one; the old one goes when the new one is complete."""
    instance = view.configuration.instance(opcode.instance_name)
    wanted = aim(opcode, view)
    if wanted.node is None:
        return [Say(text=f"No disks need replacement for instance '{instance.name}'")]
    former = numbered(instance)
    drafts = tuple(_draft(former[index], wanted) for index in wanted.indices)
    primary, secondary = view.primary(instance), view.secondary(instance)
    steps: list[Step] = disk_steps.tidy(view, instance)
    if not instance.disks_active:
        answers = secondary if secondary is not None and view.reachable(secondary) else None
        steps += disk_steps.activate(instance, primary, answers)
    steps += [
        *([Say(text=_selected(opcode))] if opcode.iallocator else []),
        Say(text=f"* making new disks on node {wanted.node.name}"),
        DraftDisks(instance=instance.uuid, disks=drafts),
    ]
    change = _Change(view=view, instance=instance, aim=wanted, primary=primary)
    steps += change.connected()
    if opcode.early_release:
        steps += [*change.released(), *change.complete(drafted=False)]
    else:
        steps += [*change.complete(drafted=True), *change.released()]
    if not instance.disks_active:
        after = wanted.node if wanted.former is not None else secondary
        steps += disk_steps.deactivate(instance, primary, after)
    return steps


def _selected(opcode: InstanceReplaceDisks) -> str:
    return (
        f"Selected new secondary for instance '{opcode.instance_name}': {opcode.remote_node}"
        f" (iallocator {opcode.iallocator})"
    )


class _Change:
    """The parts of the plan. Pure."""

    def __init__(self, *, view: View, instance: Instance, aim: Aim, primary: Node) -> None:
        assert aim.node is not None
        self._view, self._instance, self._aim = view, instance, aim
        self._node, self._primary = aim.node, primary

    def connected(self) -> list[Step]:
        """The new copies are made and receive the data."""
        name, node = self._instance.uuid, self._node.name
        steps: list[Step] = []
        for place, index in enumerate(self._aim.indices):
            steps.append(EnsureVolume(instance=name, disk=place, node=node, drafted=True))
            if self._aim.former is None:
                steps += [
                    AwaitMirror(instance=name, disk=index, node=self._primary.name),
                    SwapVolume(
                        instance=name,
                        disk=index,
                        draft=place,
                        node=node,
                        primary=self._node.uuid == self._primary.uuid,
                    ),
                ]
                continue
            steps += [
                AttachVolume(instance=name, disk=place, node=node, drafted=True),
                TurnMirror(instance=name, disk=index, draft=place, node=self._primary.name),
                AwaitMirror(instance=name, disk=place, node=self._primary.name, drafted=True),
            ]
        return steps

    def complete(self, *, drafted: bool) -> list[Step]:
        """The new copies have all data."""
        steps: list[Step] = [Say(text="* waiting for the new disks to be complete")]
        for place, index in enumerate(self._aim.indices):
            steps.append(
                AwaitMirror(
                    instance=self._instance.uuid,
                    disk=place if drafted else index,
                    node=self._primary.name,
                    synced=True,
                    drafted=drafted,
                )
            )
        return steps

    def released(self) -> list[Step]:
        """The new copies are the instance's, the old ones are gone."""
        name, former = self._instance.uuid, self._aim.former
        holder = former if former is not None else self._node
        answers = self._view.reachable(holder)
        steps: list[Step] = []
        if former is not None and answers:
            steps += [
                DetachVolume(instance=name, disk=index, node=former.name)
                for index in self._aim.indices
            ]
        new = raw_fields(secondary_node=self._node.uuid) if former is not None else {}
        left = former.uuid if former is not None else None
        steps.append(
            CommitDisks(
                instance=name, places=self._aim.indices, keeps=answers, left=left, changes=new
            )
        )
        if not answers:
            steps.append(Say(text=f"node {holder.name} does not answer: {disk_steps.LEFT_BEHIND}"))
            return steps
        steps.append(Say(text=f"* removing the old disks on node {holder.name}"))
        steps += disk_steps.forget_old(self._instance, [[holder] for _ in self._aim.indices])
        return steps


def _draft(disk: Disk, wanted: Aim) -> Disk:
    """The disk with its new copy, but for identities."""
    pair, node = disk.drbd, wanted.node
    assert pair is not None
    assert node is not None
    labels = [label_on(disk, uuid) for uuid in pair.nodes]
    if wanted.former is None:
        labels[pair.nodes.index(node.uuid)] = ""
        new = msgspec.structs.replace(pair, labels=(labels[0], labels[1]))
        return msgspec.structs.replace(disk, drbd=new)
    mine = 1 - pair.nodes.index(wanted.former.uuid)
    nodes, minors = list(pair.nodes), list(pair.minors)
    nodes[1 - mine], minors[1 - mine] = node.uuid, -1
    new = DrbdPair(
        nodes=(nodes[0], nodes[1]), minors=(minors[0], minors[1]), port=0, secret="",
        labels=pair.labels,
    )  # fmt: skip
    return msgspec.structs.replace(disk, drbd=new)


def environment(opcode: InstanceReplaceDisks, view: View) -> dict[str, str]:
    """The instance block, the mode, and the secondary before and after."""
    instance = view.configuration.instance(opcode.instance_name)
    secondary = view.secondary(instance)
    return {
        **instance_environment(view, instance),
        "MODE": opcode.mode,
        "NEW_SECONDARY": opcode.remote_node or "",
        "OLD_SECONDARY": secondary.name if secondary is not None else "",
    }


def hook_nodes(opcode: InstanceReplaceDisks, view: View) -> list[str]:
    """Master, primary, and a new secondary."""
    instance = view.configuration.find_instance(opcode.instance_name)
    own = [view.primary(instance).name] if instance is not None else []
    new = [view.configuration.node(opcode.remote_node).name] if opcode.remote_node else []
    return [*master_node(opcode, view), *own, *new]


KIND = OpcodeKind(
    opcode=InstanceReplaceDisks,
    choice=Choice(wanted=wanted, settle=settle),
    locks=locks,
    sights=sights,
    check=check,
    plan=plan,
    summary_field="instance_name",
    hooks=HookPoint(
        "mirrors-replace",
        "INSTANCE",
        environment,
        hook_nodes,
        lasting=("MODE", "NEW_SECONDARY", "OLD_SECONDARY"),
    ),
)
