"""Add a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from clusterd import address_pool, tags
from clusterd.hooks import HookPoint, master_node
from clusterd.model import Network
from clusterd.opcodes import addressing, locking
from clusterd.opcodes.addressing import Addresses, ConflictsCheck, Gateway, Gateway6, Network6
from clusterd.opcodes.fields import NewNetworkName
from clusterd.steps import objects
from clusterd.steps.cluster import Say
from clusterd.view import View
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class NetworkAdd(Opcode, frozen=True, kw_only=True, tag="OP_NETWORK_ADD"):
    """Add a network."""

    network_name: NewNetworkName
    network: Annotated[str, Meta(description="the IPv4 subnet, such as 192.0.2.0/24")]
    gateway: Gateway = None
    network6: Network6 = None
    gateway6: Gateway6 = None
    mac_prefix: addressing.MacPrefix = None
    add_reserved_ips: (
        Annotated[Addresses, Meta(description="addresses that no instance may have")] | None
    ) = None
    conflicts_check: ConflictsCheck = True
    tags: Annotated[tuple[str, ...], Meta(description="tags")] = ()


def locks(opcode: NetworkAdd, _view: View) -> Iterable[Lock]:
    """The new name."""
    return (BIG_LOCK_SHARED, locking.network_lock(opcode.network_name))


def of_the_cluster(opcode: NetworkAdd, view: View) -> list[tuple[str, str]]:
    """(address, whose) of the nodes and of the cluster itself, which no instance may have."""
    if not opcode.conflicts_check:
        return []
    found = [
        (address, f"node '{node.name}'")
        for node in view.configuration.nodes()
        for address in dict.fromkeys((node.primary_ip, node.secondary_ip))
    ]
    return [*found, (view.configuration.cluster.master_ip, "the cluster")]


def draft(opcode: NetworkAdd, view: View) -> Network:
    """The network as it will be, without identity. Raises Refused."""
    network6, gateway6 = addressing.six(opcode.network6, opcode.gateway6)
    bare = Network(
        uuid="",
        name=opcode.network_name,
        tags=tuple(sorted(set(opcode.tags))),
        network=str(address_pool.subnet(opcode.network)),
        network6=network6,
        gateway6=gateway6,
        mac_prefix=addressing.mac_prefix(opcode.mac_prefix) if opcode.mac_prefix else None,
    )
    if opcode.gateway:
        gateway = addressing.gateway_in(bare, opcode.gateway)
        bare = msgspec.structs.replace(bare, gateway=gateway)
    numbers = [number for _, number in addressing.places(bare, opcode.add_reserved_ips or ())]
    for address, _owner in of_the_cluster(opcode, view):
        number = address_pool.place(bare, address)
        numbers += [number] if number is not None else []
    bits = address_pool.marked(address_pool.reserved(bare), numbers, address_pool.RESERVED)
    return msgspec.structs.replace(bare, ext_reservations=bits)


def check(opcode: NetworkAdd, view: View) -> None:
    """The name is free, and subnets, gateways, addresses and tags go together."""
    addressing.require_free(view, opcode.network_name)
    tags.require_valid(opcode.tags)
    draft(opcode, view)


def plan(opcode: NetworkAdd, view: View) -> Sequence[Step]:
    """One write."""
    network = draft(opcode, view)
    told: list[Step] = [
        Say(text=f" - INFO: Reserved IP address of {owner} ({address})")
        for address, owner in of_the_cluster(opcode, view)
        if address_pool.place(network, address) is not None
    ]
    return [*told, objects.add(network)]


def environment(opcode: NetworkAdd, view: View) -> dict[str, str]:
    """The new network."""
    found = view.configuration.find_network(opcode.network_name)
    return address_pool.words(found or draft(opcode, view), "")


KIND = OpcodeKind(
    opcode=NetworkAdd,
    locks=locks,
    check=check,
    plan=plan,
    summary_field="network_name",
    hooks=HookPoint("network-add", "NETWORK", environment, master_node),
)
