"""Move an instance to another node group."""

from __future__ import annotations

from collections.abc import Iterable

from clusterd.hooks import HookPoint, instance_environment, master_node
from clusterd.iallocator.choice import Choice, Taken, node_excluded
from clusterd.iallocator.requests import ChangeGroup
from clusterd.opcodes import locking, moving
from clusterd.opcodes.fields import EarlyRelease, Iallocator, InstanceName, TargetGroups
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind


class InstanceChangeGroup(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_CHANGE_GROUP"):
    """Move an instance to another node group."""

    instance_name: InstanceName
    target_groups: TargetGroups = None
    iallocator: Iallocator = None
    early_release: EarlyRelease = False


def targets(opcode: InstanceChangeGroup, view: View) -> tuple[str, ...]:
    """uuids of the groups it may go to; raises Refused."""
    instance = view.configuration.instance(opcode.instance_name)
    own = {node.group for node in view.nodes_of(instance)}
    if opcode.target_groups is None:
        others = tuple(group.uuid for group in view.configuration.groups() if group.uuid not in own)
        if not others:
            raise Refused("There are no possible target groups", "wrong_input")
        return others
    if not opcode.target_groups:
        raise Refused("No target group was named", "wrong_input")
    asked = tuple(view.configuration.group(name) for name in opcode.target_groups)
    for group in asked:
        if group.uuid in own:
            raise Refused(
                f"Cannot use the group '{group.name}' as a target: instance '{instance.name}' is "
                f"in it already",
                "wrong_input",
            )
    return tuple(group.uuid for group in asked)


def locks(opcode: InstanceChangeGroup, view: View) -> Iterable[Lock]:
    """It must stay where it is until its job is in the queue."""
    instance = view.configuration.instance(opcode.instance_name)
    return (BIG_LOCK_SHARED, locking.instance_lock(instance.name, shared=True))


def wanted(opcode: InstanceChangeGroup, view: View, taken: Taken) -> ChangeGroup:
    """The moves."""
    instance = view.configuration.instance(opcode.instance_name)
    return ChangeGroup(
        instances=(instance.name,),
        target_groups=targets(opcode, view),
        excluded=node_excluded(view, taken),
    )


def environment(opcode: InstanceChangeGroup, view: View) -> dict[str, str]:
    """The instance block and the groups."""
    instance = view.configuration.instance(opcode.instance_name)
    names = [view.configuration.group(uuid).name for uuid in targets(opcode, view)]
    return {**instance_environment(view, instance), "TARGET_GROUPS": " ".join(names)}


KIND = OpcodeKind(
    opcode=InstanceChangeGroup,
    choice=Choice(wanted=wanted, settle=moving.moves_as_jobs),
    locks=locks,
    plan=moving.nothing_to_move,
    result=moving.jobs_result,
    summary_field="instance_name",
    hooks=HookPoint("instance-change-group", "INSTANCE", environment, master_node),
)
