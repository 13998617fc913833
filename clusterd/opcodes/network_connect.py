"""Connect a network to a node group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from msgspec import Meta

from clusterd import address_pool
from clusterd.hooks import HookPoint
from clusterd.model import Params
from clusterd.opcodes import addressing, grouping, locking
from clusterd.opcodes.addressing import ConflictsCheck
from clusterd.opcodes.fields import GroupName, NetworkName
from clusterd.steps import objects
from clusterd.steps.cluster import Say
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class NetworkConnect(Opcode, frozen=True, kw_only=True, tag="OP_NETWORK_CONNECT"):
    """Connect a network to a node group."""

    group_name: GroupName
    network_name: NetworkName
    network_mode: Annotated[
        Literal["bridged", "routed", "openvswitch"], Meta(description="mode of its cards there")
    ]
    network_link: Annotated[
        str, Meta(min_length=1, max_length=255, description="bridge or link of its cards there")
    ]
    network_vlan: Annotated[str, Meta(max_length=255, description="VLAN of its cards there")] = ""
    conflicts_check: ConflictsCheck = True


def locks(opcode: NetworkConnect, view: View) -> Iterable[Lock]:
    """The group; the network must stay what it is. So must the cards of the group's instances,
    whose addresses are looked at."""
    group = view.configuration.group(opcode.group_name)
    network = view.configuration.network(opcode.network_name)
    looked_at = grouping.instances_of(view, group) if opcode.conflicts_check else []
    return (
        BIG_LOCK_SHARED,
        *(locking.instance_lock(one.name, shared=True) for one in looked_at),
        locking.group_lock(group.name),
        locking.network_lock(network.name, shared=True),
    )


def connection(opcode: NetworkConnect) -> Params:
    """The parameters of cards in the network."""
    return {
        "mode": opcode.network_mode,
        "link": opcode.network_link,
        "vlan": opcode.network_vlan,
    }


def check(opcode: NetworkConnect, view: View) -> None:
    """It is not connected in another way, and no card has one of its addresses by chance."""
    group = view.configuration.group(opcode.group_name)
    network = view.configuration.network(opcode.network_name)
    present = group.networks.get(network.uuid)
    if present is not None:
        if present != connection(opcode):
            shown = ", ".join(f"{key} {value}" for key, value in present.items() if value)
            raise Refused(
                f"Network '{network.name}' is already mapped to group '{group.name}' with "
                f"{shown}: disconnect it first",
                "wrong_state",
            )
        return
    if not opcode.conflicts_check:
        return
    addressing.require_unused(
        view,
        grouping.instances_of(view, group, unfinished=True),
        lambda nic: nic.network is None and address_pool.place(network, nic.ip) is not None,
        f"IP addresses of network '{network.name}' are in use in node group '{group.name}' by "
        "cards that are not in it",
    )


def plan(opcode: NetworkConnect, view: View) -> Sequence[Step]:
    """One write."""
    group = view.configuration.group(opcode.group_name)
    network = view.configuration.network(opcode.network_name)
    if network.uuid in group.networks:
        text = f"Network '{network.name}' is already mapped to group '{group.name}'"
        return [Say(text=f" - WARNING: {text}")]
    networks = {**group.networks, network.uuid: connection(opcode)}
    return [objects.record(group, networks=networks)]


def environment(opcode: NetworkConnect, view: View) -> dict[str, str]:
    """The group, how it is connected, and the network."""
    return {
        "GROUP_NAME": opcode.group_name,
        "GROUP_NETWORK_MODE": opcode.network_mode,
        "GROUP_NETWORK_LINK": opcode.network_link,
        "GROUP_NETWORK_VLAN": opcode.network_vlan,
        **address_pool.words(view.configuration.network(opcode.network_name), ""),
    }


def hook_nodes(opcode: NetworkConnect, view: View) -> list[str]:
    """The group's nodes."""
    return addressing.nodes_of(view, [view.configuration.group(opcode.group_name)])


KIND = OpcodeKind(
    opcode=NetworkConnect,
    locks=locks,
    check=check,
    plan=plan,
    summary_field="network_name",
    hooks=HookPoint("network-connect", "NETWORK", environment, hook_nodes),
)
