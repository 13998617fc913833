"""Disconnect a network from a node group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clusterd import address_pool
from clusterd.hooks import HookPoint
from clusterd.opcodes import addressing, grouping, locking
from clusterd.opcodes.fields import GroupName, NetworkName
from clusterd.steps import objects
from clusterd.steps.cluster import Say
from clusterd.view import View
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class NetworkDisconnect(Opcode, frozen=True, kw_only=True, tag="OP_NETWORK_DISCONNECT"):
    """Disconnect a network from a node group."""

    group_name: GroupName
    network_name: NetworkName


def locks(opcode: NetworkDisconnect, view: View) -> Iterable[Lock]:
    """The group and the network, which nobody is putting a card into; the cards of the group's
    instances must stay what they are."""
    group = view.configuration.group(opcode.group_name)
    network = view.configuration.network(opcode.network_name)
    instances = grouping.instances_of(view, group)
    return (
        BIG_LOCK_SHARED,
        *(locking.instance_lock(one.name, shared=True) for one in instances),
        locking.group_lock(group.name),
        locking.network_lock(network.name),
    )


def check(opcode: NetworkDisconnect, view: View) -> None:
    """No card of the group's instances is in it."""
    group = view.configuration.group(opcode.group_name)
    network = view.configuration.network(opcode.network_name)
    if network.uuid not in group.networks:
        return
    addressing.require_unused(
        view,
        grouping.instances_of(view, group, unfinished=True),
        lambda nic: nic.network == network.uuid,
        f"Network '{network.name}' is in use in node group '{group.name}'",
    )


def plan(opcode: NetworkDisconnect, view: View) -> Sequence[Step]:
    """One write."""
    group = view.configuration.group(opcode.group_name)
    network = view.configuration.network(opcode.network_name)
    if network.uuid not in group.networks:
        text = f"Network '{network.name}' is not mapped to group '{group.name}'"
        return [Say(text=f" - WARNING: {text}")]
    networks = {uuid: params for uuid, params in group.networks.items() if uuid != network.uuid}
    return [objects.record(group, networks=networks)]


def environment(opcode: NetworkDisconnect, view: View) -> dict[str, str]:
    """The group, how it is connected if it is, and the network."""
    group = view.configuration.group(opcode.group_name)
    network = view.configuration.network(opcode.network_name)
    present = group.networks.get(network.uuid, {})
    return {
        "GROUP_NAME": opcode.group_name,
        **{f"GROUP_NETWORK_{key.upper()}": str(value) for key, value in present.items()},
        **address_pool.words(network, ""),
    }


def hook_nodes(opcode: NetworkDisconnect, view: View) -> list[str]:
    """The group's nodes."""
    return addressing.nodes_of(view, [view.configuration.group(opcode.group_name)])


KIND = OpcodeKind(
    opcode=NetworkDisconnect,
    locks=locks,
    check=check,
    plan=plan,
    summary_field="network_name",
    hooks=HookPoint("network-disconnect", "NETWORK", environment, hook_nodes),
)
