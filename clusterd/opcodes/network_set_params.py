"""Change a network; its subnet stays what it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from clusterd import address_pool
from clusterd.hooks import HookPoint, master_node
from clusterd.model import Network
from clusterd.opcodes import addressing, locking
from clusterd.opcodes.addressing import Addresses, Gateway, Gateway6, Network6
from clusterd.opcodes.fields import NetworkName
from clusterd.steps import objects
from clusterd.steps.cluster import Say
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step

NONE = "none"
"""Takes a value away."""


class NetworkSetParams(Opcode, frozen=True, kw_only=True, tag="OP_NETWORK_SET_PARAMS"):
    """Change a network; its subnet stays what it is."""

    network_name: NetworkName
    gateway: Gateway = None
    network6: Network6 = None
    gateway6: Gateway6 = None
    mac_prefix: addressing.MacPrefix = None
    add_reserved_ips: (
        Annotated[Addresses, Meta(description="addresses that no instance may have from now on")]
        | None
    ) = None
    remove_reserved_ips: (
        Annotated[Addresses, Meta(description="addresses that instances may have again")] | None
    ) = None


ASKED = (
    "gateway",
    "network6",
    "gateway6",
    "mac_prefix",
    "add_reserved_ips",
    "remove_reserved_ips",
)


def locks(opcode: NetworkSetParams, view: View) -> Iterable[Lock]:
    """The network alone."""
    network = view.configuration.network(opcode.network_name)
    return (BIG_LOCK_SHARED, locking.network_lock(network.name))


def _asked(text: str | None, present: str | None) -> str | None:
    if text is None:
        return present
    return None if text.lower() == NONE or not text else text


def changed(opcode: NetworkSetParams, view: View) -> tuple[Network, list[str]]:
    """The network as it will be, and what is to be warned of. Raises Refused."""
    old = view.configuration.network(opcode.network_name)
    network6, gateway6 = addressing.six(
        _asked(opcode.network6, old.network6), _asked(opcode.gateway6, old.gateway6)
    )
    prefix = _asked(opcode.mac_prefix, old.mac_prefix)
    new = msgspec.structs.replace(
        old,
        network6=network6,
        gateway6=gateway6,
        mac_prefix=addressing.mac_prefix(prefix) if prefix else None,
        ext_reservations=address_pool.reserved(old),
    )
    new = _with_gateway(new, _asked(opcode.gateway, old.gateway), view)
    return _with_reservations(new, opcode, view)


def _with_gateway(network: Network, text: str | None, view: View) -> Network:
    """The old one is free, the new one reserved."""
    gateway = addressing.gateway_in(network, text) if text else None
    if gateway == network.gateway:
        return network
    bits = address_pool.reserved(network)
    before = address_pool.place(network, network.gateway)
    if before is not None:
        bits = address_pool.marked(bits, [before], address_pool.FREE)
    number = address_pool.place(network, gateway)
    if gateway is not None and number is not None:
        if bits[number] == address_pool.RESERVED:
            raise Refused(f"Gateway IP address {gateway} is already reserved", "wrong_state")
        _require_unused(network, gateway, view)
        bits = address_pool.marked(bits, [number], address_pool.RESERVED)
    return msgspec.structs.replace(network, gateway=gateway, ext_reservations=bits)


def _with_reservations(
    network: Network, opcode: NetworkSetParams, view: View
) -> tuple[Network, list[str]]:
    bits, warnings = network.ext_reservations, []
    for address, number in addressing.places(network, opcode.add_reserved_ips or ()):
        if bits[number] == address_pool.RESERVED:
            warnings.append(f"IP address {address} is already reserved")
            continue
        _require_unused(network, address, view)
        bits = address_pool.marked(bits, [number], address_pool.RESERVED)
    for address, number in addressing.places(network, opcode.remove_reserved_ips or ()):
        if address == network.gateway:
            warnings.append(f"Cannot unreserve the gateway's IP address {address}")
        elif number in (0, address_pool.size(network) - 1):
            warnings.append(f"IP address {address} is none of a host: it stays reserved")
        elif bits[number] == address_pool.FREE:
            warnings.append(f"IP address {address} is already unreserved")
        else:
            bits = address_pool.marked(bits, [number], address_pool.FREE)
    return msgspec.structs.replace(network, ext_reservations=bits), warnings


def _require_unused(network: Network, address: str, view: View) -> None:
    present = view.configuration.addresses_in(network.uuid)
    had_by = present.get(address_pool.as_number(address))
    if had_by is not None:
        name = view.configuration.instance(had_by).name
        raise Refused(f"IP address {address} is used by instance {name}", "wrong_state")


def check(opcode: NetworkSetParams, view: View) -> None:
    """Something is to change, and it goes together."""
    if all(getattr(opcode, field) is None for field in ASKED):
        raise Refused("Please pass at least one modification", "wrong_input")
    changed(opcode, view)


def plan(opcode: NetworkSetParams, view: View) -> Sequence[Step]:
    """One write."""
    old = view.configuration.network(opcode.network_name)
    new, warnings = changed(opcode, view)
    fields = ("gateway", "network6", "gateway6", "mac_prefix", "ext_reservations")
    changes: dict[str, Any] = {
        field: getattr(new, field) for field in fields if getattr(new, field) != getattr(old, field)
    }
    told: list[Step] = [Say(text=f" - WARNING: {words}") for words in warnings]
    return [*told, objects.record(old, **changes)] if changes else told


def environment(opcode: NetworkSetParams, view: View) -> dict[str, str]:
    """The network as it will be, or is by then."""
    return address_pool.words(_shown(opcode, view), "")


def _shown(opcode: NetworkSetParams, view: View) -> Network:
    try:
        return changed(opcode, view)[0]
    except Refused:
        return view.configuration.network(opcode.network_name)


KIND = OpcodeKind(
    opcode=NetworkSetParams,
    locks=locks,
    check=check,
    plan=plan,
    summary_field="network_name",
    hooks=HookPoint("network-modify", "NETWORK", environment, master_node),
)
