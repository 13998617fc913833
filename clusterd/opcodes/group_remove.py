"""Remove an empty node group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clusterd.hooks import HookPoint, master_node
from clusterd.opcodes import grouping, locking
from clusterd.opcodes.fields import GroupName
from clusterd.steps import objects
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class GroupRemove(Opcode, frozen=True, kw_only=True, tag="OP_GROUP_REMOVE"):
    """Remove an empty node group."""

    group_name: GroupName


def locks(opcode: GroupRemove, view: View) -> Iterable[Lock]:
    """The group alone."""
    group = view.configuration.group(opcode.group_name)
    return (BIG_LOCK_SHARED, locking.group_lock(group.name))


def check(opcode: GroupRemove, view: View) -> None:
    """It is empty, connected to no network, and not the only one."""
    group = view.configuration.group(opcode.group_name)
    nodes = [node.name for node in grouping.nodes_of(view, group)]
    if nodes:
        raise Refused(
            f"Group '{group.name}' not empty, has the following nodes: {', '.join(nodes)}",
            "wrong_state",
        )
    if len(list(view.configuration.groups())) == 1:
        raise Refused(f"Group '{group.name}' is the only group, cannot be removed", "wrong_state")
    connected = [one.name for one in view.configuration.networks() if one.uuid in group.networks]
    if connected:
        raise Refused(
            f"Group '{group.name}' is connected to network {', '.join(connected)}: disconnect it "
            f"with 'gnt-network disconnect {connected[0]} {group.name}'",
            "wrong_state",
        )


def plan(opcode: GroupRemove, view: View) -> Sequence[Step]:
    """One write."""
    return [objects.forget(view.configuration.group(opcode.group_name))]


def environment(opcode: GroupRemove, _view: View) -> dict[str, str]:
    """The group."""
    return {"GROUP_NAME": opcode.group_name}


KIND = OpcodeKind(
    opcode=GroupRemove,
    locks=locks,
    check=check,
    plan=plan,
    summary_field="group_name",
    hooks=HookPoint("group-remove", "GROUP", environment, master_node),
)
