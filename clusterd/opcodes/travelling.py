"""Live migration of guests whose disks are on their node alone: the disks travel with them. Pure.

Room is made on the target first, as drafted disks; the contents are copied while the guest runs and
kept equal until it has left; the old disks go last.
"""

from __future__ import annotations

from clusterd import capacity
from clusterd.model import Instance, Node
from clusterd.opcodes import copies, disk_steps, requirements
from clusterd.steps.cluster import Say
from clusterd.steps.disk_changes import DraftDisks
from clusterd.steps.disk_moves import CommitTravelled
from clusterd.steps.disks import AttachVolume, EnsureVolume, OpenVolume
from clusterd.steps.guests import UnlinkDisks
from clusterd.steps.migration import AwaitMigration, BeginMigration, SettleGuest
from clusterd.view import View
from clusterd.volumes import has_mirror, is_shared
from jobqueue.errors import Refused
from jobqueue.step import Step


def travels(instance: Instance) -> bool:
    """Whether disks must be copied for the instance to be elsewhere."""
    template = instance.disk_template
    return bool(instance.disks) and not has_mirror(template) and not is_shared(template)


def target_of(view: View, instance: Instance, target: str | None) -> Node:
    """Where the instance goes; raises Refused."""
    if not travels(instance):
        return requirements.other_node(view, instance, target)
    node = requirements.asked_node(view, instance, target)
    if node.uuid == instance.primary_node:
        raise Refused(
            f"Cannot migrate instance '{instance.name}' to its primary node {node.name}",
            "wrong_state",
        )
    return node


def check(view: View, instance: Instance, target: Node) -> None:
    """The target has room, and nothing would stay behind."""
    if not travels(instance):
        return
    requirements.disks_settled(view, instance)
    if instance.snapshots:
        names = ", ".join(one.name for one in instance.snapshots)
        raise Refused(
            f"The disks of instance '{instance.name}' would lose their snapshots ({names}): remove"
            " those first",
            "wrong_state",
        )
    requirements.room_for(view, target, capacity.disk_need_mib(copies.fresh(instance)))


def plan(view: View, instance: Instance, target: Node, *, live: bool) -> list[Step]:
    """Make room, copy while the guest runs, move it, change hands, remove the old disks."""
    source, name, places = view.primary(instance), instance.uuid, range(len(instance.disks))
    steps: list[Step] = [
        *disk_steps.tidy(view, instance),
        Say(text=f"Migrating instance {instance.name} with its disks"),
        DraftDisks(instance=name, disks=copies.fresh(instance), moving_to=target.uuid),
        Say(text=f"* making disks on {target.name}"),
    ]
    for at in places:
        steps += [
            EnsureVolume(instance=name, disk=at, node=target.name, drafted=True),
            AttachVolume(instance=name, disk=at, node=target.name, drafted=True),
            OpenVolume(instance=name, disk=at, node=target.name, force=True, drafted=True),
        ]
    return [
        *steps,
        Say(text=f"* migrating instance to {target.name}"),
        BeginMigration(
            instance=name, node=source.name, target=target.name, live=live, travels=True
        ),
        AwaitMigration(instance=name, node=source.name, target=target.name, travels=True),
        *hand_over(instance, source, target),
        Say(text="* done"),
    ]


def hand_over(instance: Instance, source: Node, target: Node) -> list[Step]:
    """What follows once the guest runs on the target with its disks there."""
    name = instance.uuid
    return [
        CommitTravelled(instance=name, primary=target.uuid, left=source.uuid),
        SettleGuest(instance=name, node=target.name, arrived=True),
        SettleGuest(instance=name, node=source.name, arrived=False),
        UnlinkDisks(instance=name, node=source.name),
        *disk_steps.forget_old(instance, [(source,) for _ in instance.disks]),
    ]


def stayed(view: View, instance: Instance, target: Node) -> list[Step]:
    """What is left of a migration once the guest is known not to have moved."""
    return [
        SettleGuest(instance=instance.uuid, node=target.name, arrived=False),
        *disk_steps.tidy(view, instance),
    ]
