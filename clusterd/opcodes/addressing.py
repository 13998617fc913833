"""What opcodes on networks share: fields, what a network may look like, who uses it. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Annotated

from msgspec import Meta

from clusterd import address_pool
from clusterd.hooks import master_node
from clusterd.model import Group, Instance, Network, Nic
from clusterd.opcodes import grouping
from clusterd.opcodes.requirements import NAMED_MAX
from clusterd.view import View
from jobqueue.errors import Refused

Gateway = Annotated[str | None, Meta(description="the IPv4 gateway")]
Network6 = Annotated[str | None, Meta(description="the IPv6 subnet")]
Gateway6 = Annotated[str | None, Meta(description="the IPv6 gateway")]
MacPrefix = Annotated[
    str | None, Meta(description="first three octets of its cards' MAC addresses")
]
MAX_ADDRESSES = 2 ** (32 - address_pool.WIDEST_PREFIX)
Addresses = Annotated[tuple[str, ...], Meta(max_length=MAX_ADDRESSES)]
ConflictsCheck = Annotated[bool, Meta(description="look for addresses that are in use")]

PREFIX = re.compile(r"([0-9a-f]{2}:){2}[0-9a-f]{2}")


def require_free(view: View, name: str) -> None:
    """No network has the name; raises Refused."""
    found = view.configuration.find_network(name)
    if found is not None:
        raise Refused(
            f"Desired network name '{name}' already exists as a network (UUID: {found.uuid})",
            "already_exists",
        )


def mac_prefix(text: str) -> str:
    """The prefix in small letters; raises Refused."""
    prefix = text.lower()
    if not PREFIX.fullmatch(prefix) or int(prefix[:2], 16) & 1:
        raise Refused(f"Invalid MAC address prefix '{text}'", "wrong_input")
    return prefix


def gateway_in(network: Network, text: str) -> str:
    """An address of the network that is not its first or last; raises Refused."""
    found = str(address_pool.address(text))
    number = address_pool.place(network, found)
    if number is None or number in (0, address_pool.size(network) - 1):
        raise Refused(
            f"Gateway {found} is no address of a host in network {network.network}", "wrong_input"
        )
    return found


def six(network6: str | None, gateway6: str | None) -> tuple[str | None, str | None]:
    """IPv6 subnet and gateway that go together; raises Refused."""
    try:
        subnet = ipaddress.IPv6Network(network6) if network6 else None
        gateway = ipaddress.IPv6Address(gateway6) if gateway6 else None
    except ValueError as error:
        raise Refused(f"Invalid IPv6 subnet or gateway: {error}", "wrong_input") from None
    if gateway is not None and (subnet is None or gateway not in subnet):
        where = f"subnet {subnet}" if subnet is not None else "an IPv6 subnet, which is missing"
        raise Refused(f"IPv6 gateway {gateway} is not in {where}", "wrong_input")
    return (None if subnet is None else str(subnet)), (None if gateway is None else str(gateway))


def places(network: Network, addresses: Iterable[str]) -> list[tuple[str, int]]:
    """(address, its number in the pool); raises Refused for one that is not in it."""
    found = []
    for text in addresses:
        one = str(address_pool.address(text))
        number = address_pool.place(network, one)
        if number is None:
            raise Refused(f"{one} is not an address of network {network.network}", "wrong_input")
        found.append((one, number))
    return found


def groups_of(view: View, network: Network) -> list[Group]:
    """The groups that it is connected to, by name."""
    return [group for group in view.configuration.groups() if network.uuid in group.networks]


def require_unused(
    view: View, instances: Iterable[Instance], uses: Callable[[Nic], bool], words: str
) -> None:
    """No card is in the way; raises Refused naming instances, cards and addresses."""
    found = [
        f"{one.name} (card {index}, {nic.ip or 'no address'})"
        for one in instances
        for index, nic in enumerate(one.nics)
        if uses(nic)
    ]
    if found:
        named = ", ".join(found[:NAMED_MAX])
        more = f" and {len(found) - NAMED_MAX} more" if len(found) > NAMED_MAX else ""
        raise Refused(
            f"{words}: {named}{more}; remove or modify these network cards", "wrong_state"
        )


def nodes_of(view: View, groups: Iterable[Group]) -> list[str]:
    """Host names of the groups' nodes."""
    return [node.name for group in groups for node in grouping.nodes_of(view, group)]


def nodes_reached(view: View, network: Network | None) -> list[str]:
    """The master, and the nodes of the groups that it is connected to."""
    groups = groups_of(view, network) if network is not None else []
    return [*master_node(None, view), *nodes_of(view, groups)]
