"""Networks as they are queried: addresses of the pool, who has one, what is reserved."""

from __future__ import annotations

from typing import Any

from clusterd import address_pool
from clusterd.model import Network
from clusterd.queries.field import (
    UNAVAILABLE,
    Cell,
    Field,
    Resource,
    by_name,
    normal,
    optional,
    plain,
    stored_fields,
)
from clusterd.queries.sources import Sources

MAX_MAPPED_ADDRESSES = 65536
"""Larger pools have no map."""


def _used(sources: Sources, network: Network) -> set[int]:
    bits = address_pool.reserved(network)
    used = {number for number, bit in enumerate(bits) if bit == address_pool.RESERVED}
    places = (address_pool.place(network, ip) for ip, _ in sources.addresses.get(network.uuid, ()))
    return used | {number for number in places if number is not None}


def _map(sources: Sources, network: Network) -> Cell:
    size = address_pool.size(network)
    if size > MAX_MAPPED_ADDRESSES:
        return UNAVAILABLE
    used = _used(sources, network)
    return normal("".join("X" if offset in used else "." for offset in range(size)))


def _free(sources: Sources, network: Network) -> Cell:
    return normal(address_pool.size(network) - len(_used(sources, network)))


def _instances(sources: Sources, network: Network) -> list[str]:
    return sorted({instance.name for _, instance in sources.addresses.get(network.uuid, ())})


def _groups(sources: Sources, network: Network) -> list[list[str]]:
    """(name, mode, link, vlan) of each group that reaches it."""
    return [
        [group.name, *(str(params.get(key, "")) for key in ("mode", "link", "vlan"))]
        for group in sources.configuration.groups()
        if (params := group.networks.get(network.uuid)) is not None
    ]


FIELDS = (
    Field("name", "Network", "text", "Name", plain(lambda n: n.name)),
    Field("network", "Subnet", "text", "IPv4 subnet", plain(lambda n: n.network)),
    Field("gateway", "Gateway", "other", "IPv4 gateway", optional(lambda n: n.gateway)),
    Field("network6", "IPv6Subnet", "other", "IPv6 subnet", optional(lambda n: n.network6)),
    Field("gateway6", "IPv6Gateway", "other", "IPv6 gateway", optional(lambda n: n.gateway6)),
    Field("mac_prefix", "MacPrefix", "other", "MAC prefix", optional(lambda n: n.mac_prefix)),
    Field("map", "Map", "text", "X for each taken address, . for each free one", _map),
    Field("free_count", "FreeCount", "number", "Free addresses", _free),
    Field(
        "reserved_count",
        "ReservedCount",
        "number",
        "Taken addresses",
        lambda s, n: normal(len(_used(s, n))),
    ),
    Field(
        "external_reservations",
        "ExternalReservations",
        "text",
        "Addresses that no instance can have",
        plain(lambda n: ", ".join(address_pool.reserved_addresses(n))),
    ),
    Field(
        "group_cnt",
        "NodeGroups",
        "number",
        "How many groups",
        lambda s, n: normal(len(_groups(s, n))),
    ),
    Field(
        "group_list",
        "GroupList",
        "other",
        "Groups that it is connected to",
        lambda s, n: normal(_groups(s, n)),
    ),
    Field(
        "inst_cnt",
        "Instances",
        "number",
        "How many instances have a card in it",
        lambda s, n: normal(len(_instances(s, n))),
    ),
    Field(
        "inst_list",
        "InstanceList",
        "other",
        "Instances that have a card in it",
        lambda s, n: normal(_instances(s, n)),
    ),
)


def find(sources: Sources, name: Any) -> Network | None:
    """A network by name or uuid."""
    for network in sources.networks.values():
        if network.name == name:
            return network
    return sources.networks.get(str(name))


RESOURCE = Resource(
    what="network",
    word="Network",
    key="name",
    fields=by_name(stored_fields("network"), FIELDS),
    all=lambda sources: sources.configuration.networks(),
    find=find,
    name_of=lambda network: network.name,
)
