"""Fields of an instance's disks and network cards: lists of all, and one field a position. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from clusterd.model import Disk, Instance, Nic
from clusterd.names import MAX_DISKS, MAX_NICS
from clusterd.queries.field import UNAVAILABLE, Cell, Field, Value, normal, plain, present
from clusterd.queries.sources import Sources
from clusterd.volumes import overhead_mib

BRIDGED = ("bridged", "openvswitch")


def ordinal(number: int) -> str:
    """``1st``, ``2nd``..."""
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def template_of(instance: Instance) -> str:
    """The disks' template; ``mixed`` when they differ, ``diskless`` without disks."""
    templates = {disk.template for disk in instance.disks}
    if not templates:
        return "diskless"
    return templates.pop() if len(templates) == 1 else "mixed"


def disk_usage_mib(instance: Instance) -> int:
    """What the disks take on each node, DRBD's metadata included."""
    return sum(disk.size_mib + overhead_mib(disk.template) for disk in instance.disks)


class Part(msgspec.Struct, frozen=True):
    """One thing about each disk or card: a list field and a field a position."""

    one: str
    """``disk.size`` of ``disk.size/0``."""
    many: str
    title: str
    titles: str
    kind: str
    words: str
    """``size``: ``Size of the 1st disk``, ``Sizes...`` is never built from it."""
    get: Callable[[Sources, Any], Any]


def _bridge(sources: Sources, nic: Nic) -> Any:
    params = sources.view.nicparams(nic.params)
    return params["link"] if params["mode"] in BRIDGED else None


def _network_name(sources: Sources, nic: Nic) -> str | None:
    network = sources.network(nic.network)
    return network.name if network is not None else None


def _param(name: str) -> Callable[[Sources, Nic], Any]:
    return lambda sources, nic: sources.view.nicparams(nic.params).get(name)


def _spindles(_sources: Sources, disk: Disk) -> Any:
    return disk.params.get("spindles")


DISK_PARTS = (
    Part("disk.size", "disk.sizes", "Disk", "Disk_sizes", "unit", "size", lambda _s, d: d.size_mib),
    Part("disk.name", "disk.names", "DiskName", "Disk_names", "text", "name", lambda _s, d: d.name),
    Part("disk.uuid", "disk.uuids", "DiskUUID", "Disk_UUIDs", "text", "UUID", lambda _s, d: d.uuid),
    Part(
        "disk.spindles",
        "disk.spindles",
        "DiskSpindles",
        "Disk_spindles",
        "number",
        "spindles",
        _spindles,
    ),
)
NIC_PARTS = (
    Part("nic.ip", "nic.ips", "NicIP", "NIC_IPs", "text", "IP address", lambda _s, n: n.ip),
    Part("nic.mac", "nic.macs", "NicMAC", "NIC_MACs", "text", "MAC address", lambda _s, n: n.mac),
    Part("nic.name", "nic.names", "NicName", "NIC_Names", "text", "name", lambda _s, n: n.name),
    Part("nic.uuid", "nic.uuids", "NicUUID", "NIC_UUIDs", "text", "UUID", lambda _s, n: n.uuid),
    Part("nic.mode", "nic.modes", "NicMode", "NIC_modes", "text", "mode", _param("mode")),
    Part("nic.link", "nic.links", "NicLink", "NIC_links", "text", "link", _param("link")),
    Part("nic.vlan", "nic.vlans", "NicVLAN", "NIC_VLANs", "text", "VLAN", _param("vlan")),
    Part("nic.bridge", "nic.bridges", "NicBridge", "NIC_bridges", "text", "bridge", _bridge),
    Part(
        "nic.network",
        "nic.networks",
        "NicNetwork",
        "NIC_networks",
        "text",
        "network's UUID",
        lambda _s, n: n.network,
    ),
    Part(
        "nic.network.name",
        "nic.networks.names",
        "NicNetworkName",
        "NIC_networks_names",
        "text",
        "network's name",
        _network_name,
    ),
)
ALIASES = {
    "sda_size": "disk.size/0",
    "sdb_size": "disk.size/1",
    "ip": "nic.ip/0",
    "mac": "nic.mac/0",
    "bridge": "nic.bridge/0",
    "nic_mode": "nic.mode/0",
    "nic_link": "nic.link/0",
    "nic_network": "nic.network/0",
}


def _list(parts: Callable[[Instance], Any], part: Part) -> Value:
    def value(sources: Sources, instance: Instance) -> Cell:
        return normal([part.get(sources, thing) for thing in parts(instance)])

    return value


def _at(parts: Callable[[Instance], Any], part: Part, index: int) -> Value:
    def value(sources: Sources, instance: Instance) -> Cell:
        things = parts(instance)
        if index >= len(things):
            return UNAVAILABLE
        return present(part.get(sources, things[index]))

    return value


def _spread(
    parts: tuple[Part, ...], things: Callable[[Instance], Any], count: int, noun: str
) -> Iterable[Field]:
    for part in parts:
        words = part.words[0].upper() + part.words[1:]
        doc = f"{words} of each {noun}, in order"
        yield Field(part.many, part.titles, "other", doc, _list(things, part))
        for index in range(count):
            yield Field(
                f"{part.one}/{index}",
                f"{part.title}/{index}",
                part.kind,
                f"{words} of the {ordinal(index + 1)} {noun}",
                _at(things, part, index),
            )


def _fields() -> Iterable[Field]:
    yield from _spread(DISK_PARTS, lambda i: i.disks, MAX_DISKS, "disk")
    yield from _spread(NIC_PARTS, lambda i: i.nics, MAX_NICS, "network card")
    yield Field("disk.count", "Disks", "number", "How many disks", plain(lambda i: len(i.disks)))
    yield Field("nic.count", "NICs", "number", "How many cards", plain(lambda i: len(i.nics)))
    yield Field(
        "disk_usage",
        "DiskUsage",
        "unit",
        "What its disks take on each of its nodes, which is more than the guest sees",
        plain(disk_usage_mib),
    )
    yield Field(
        "disk_template", "Disk_template", "text", "How its disks are stored", plain(template_of)
    )
    yield Field(
        "custom_nicparams",
        "CustomNicParameters",
        "other",
        "Parameters set for each network card itself",
        plain(lambda i: [nic.params for nic in i.nics]),
    )


def _with_aliases(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    known = {field.name: field for field in fields}
    return fields + tuple(
        msgspec.structs.replace(known[target], name=alias) for alias, target in ALIASES.items()
    )


FIELDS = _with_aliases(tuple(_fields()))
