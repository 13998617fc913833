"""Remove a network that is connected to no node group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clusterd.hooks import HookPoint, master_node
from clusterd.opcodes import addressing, locking
from clusterd.opcodes.fields import Force, NetworkName
from clusterd.steps import objects
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class NetworkRemove(Opcode, frozen=True, kw_only=True, tag="OP_NETWORK_REMOVE"):
    """Remove a network that is connected to no node group."""

    network_name: NetworkName
    force: Force = False


def locks(opcode: NetworkRemove, view: View) -> Iterable[Lock]:
    """The network alone."""
    network = view.configuration.network(opcode.network_name)
    return (BIG_LOCK_SHARED, locking.network_lock(network.name))


def check(opcode: NetworkRemove, view: View) -> None:
    """No group is connected to it, and no card is in it."""
    network = view.configuration.network(opcode.network_name)
    groups = [group.name for group in addressing.groups_of(view, network)]
    if groups:
        raise Refused(
            f"Network '{network.name}' is still connected to node group {', '.join(groups)}: "
            f"disconnect it with 'gnt-network disconnect {network.name} {groups[0]}'",
            "wrong_state",
        )
    addressing.require_unused(
        view,
        view.configuration.instances(unfinished=True),
        lambda nic: nic.network == network.uuid,
        f"Network '{network.name}' is in use",
    )


def plan(opcode: NetworkRemove, view: View) -> Sequence[Step]:
    """One write."""
    return [objects.forget(view.configuration.network(opcode.network_name))]


def environment(opcode: NetworkRemove, _view: View) -> dict[str, str]:
    """The network."""
    return {"NETWORK_NAME": opcode.network_name}


KIND = OpcodeKind(
    opcode=NetworkRemove,
    locks=locks,
    check=check,
    plan=plan,
    summary_field="network_name",
    hooks=HookPoint("network-remove", "NETWORK", environment, master_node),
)
