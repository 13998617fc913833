"""A cluster's state in lines that can be compared: what is configured, stored, attached, running.

Drawn identities, times and serial numbers are replaced by what they belong to, so two runs that
drew differently look alike when they mean the same.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from clusterd.configuration import PREFIX
from clusterd.model import ANY, KINDS, Image, Instance, Network, Node
from clusterd.simulation.cluster import SimulatedCluster
from clusterd.simulation.hosts import SimulatedHost
from storage.shelf import HOLDING, SHARED_TEMPLATES

MAX_KNOWN = 5000
MAX_ALIKE = 100
VOLATILE = frozenset({"serial_no", "ctime", "mtime", "made_by"})
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Portrait = tuple[str, ...]


def portrait(cluster: SimulatedCluster, *, drawn_addresses: bool = False) -> Portrait:
    """The lines, sorted. ``drawn_addresses``: it does not matter which address of a network a card
    has, as each was drawn."""
    objects = [
        _read(key.split("/")[1], entry.value, drawn_addresses)
        for key, entry in cluster.disk.entries.items()
        if key.startswith(PREFIX)
    ]
    names = tuple([name for one in objects for name in one.names])
    lines = [*(one.line for one in objects), *_hosts(cluster), *_guests(cluster)]
    return _renamed("\n".join(lines), names)


def difference(one: Portrait, other: Portrait) -> list[str]:
    """What only one of them has."""
    lines = difflib.unified_diff(one, other, lineterm="", n=0)
    return [line for line in lines if line[:2] not in ("--", "++", "@@")]


class _Object(msgspec.Struct, frozen=True):
    """What is said of one object of the configuration."""

    line: str
    names: tuple[tuple[str, str], ...]
    """Identity -> what it stands for."""


@functools.lru_cache(MAX_KNOWN)
def _read(kind: str, stored: bytes, drawn_addresses: bool) -> _Object:
    """Most objects are the same from life to life."""
    value = msgspec.json.decode(stored, type=KINDS[kind])
    if drawn_addresses and isinstance(value, Instance):
        nics = tuple(
            msgspec.structs.replace(nic, ip="<drawn>") if nic.network and nic.ip else nic
            for nic in value.nics
        )
        value = msgspec.structs.replace(value, nics=nics)
    kept = _lasting(msgspec.to_builtins(value))
    line = f"config {type(value).__name__} {msgspec.json.encode(kept).decode()}"
    return _Object(line, tuple(_names(value)))


def _lasting(value: Any) -> Any:
    """Without what is different each time, however deep."""
    if isinstance(value, dict):
        return {key: _lasting(value[key]) for key in sorted(value) if key not in VOLATILE}
    return [_lasting(item) for item in value] if isinstance(value, list | tuple) else value


def _hosts(cluster: SimulatedCluster) -> Iterator[str]:
    for host in cluster.hosts.values():
        yield from _stored(host)
        yield from _attached(host)
        yield from _exports(host)
    for key, piece in cluster.wire.shared.items():
        yield f"shared {key[0]} {key[1]}/{key[2]} {piece.size_mib} of {piece.owner}"


def _stored(host: SimulatedHost) -> Iterator[str]:
    for key, piece in host.shelf.own.items():
        yield f"stored {host.name} {key[0]} {key[1]}/{key[2]} {piece.size_mib} of {piece.owner}"


def _attached(host: SimulatedHost) -> Iterator[str]:
    for key, one in host.shelf.attached.items():
        if key[0] in SHARED_TEMPLATES and key[0] not in HOLDING and not host.shelf.busy(one):
            continue  # nothing is there, in reality
        role = "" if one.mirror is None else "primary" if one.primary else "secondary"
        link = "" if one.mirror is None else "connected" if one.connected else "alone"
        two = "two primaries" if one.two_primaries else ""
        yield f"attached {host.name} {key[0]} {key[1]}/{key[2]} {role} {link} {two}"


def _exports(host: SimulatedHost) -> Iterator[str]:
    if not os.path.isdir(host.exports):
        return  # mostly so, and a pattern costs more than to ask
    for file in sorted(host.exports.glob("*/*")):
        yield f"export {file.parent.name} on {host.name} has {file.name}"


def _guests(cluster: SimulatedCluster) -> Iterator[str]:
    for name in cluster.hosts:
        for guest, resident in cluster.room.machine(name).residents.items():
            yield f"guest {guest} on {name} is {resident.presence}"


def _names(value: ANY) -> Iterator[tuple[str, str]]:
    """Identity -> what it stands for."""
    if isinstance(value, Node):
        yield value.uuid, f"<{value.name}>"
    elif isinstance(value, Image | Network):
        yield value.uuid, f"<{type(value).__name__.lower()} {value.name}>"
    elif isinstance(value, Instance):
        yield value.uuid, f"<{value.name}>"
        yield from _parts(value)


def _parts(instance: Instance) -> Iterator[tuple[str, str]]:
    for index, disk in enumerate((*instance.disks, *instance.drafted)):
        yield disk.uuid, f"<{instance.name} disk {index}>"
        yield disk.label, f"<{instance.name} label {index}>"
        if disk.drbd is not None:
            yield disk.drbd.secret, f"<{instance.name} secret {index}>"
            for side, label in enumerate(disk.drbd.labels or ()):
                yield label, f"<{instance.name} label {index} of {side}>"
    for index, nic in enumerate(instance.nics):
        yield nic.uuid, f"<{instance.name} card {index}>"
        yield nic.mac, f"<{instance.name} mac {index}>"


@functools.lru_cache(MAX_ALIKE)
def _renamed(text: str, names: tuple[tuple[str, str], ...]) -> Portrait:
    """Lives that branch off one run mostly draw the same identities."""
    for identity, name in dict(names).items():
        text = text.replace(identity, name)
    return tuple(sorted(UUID.sub("<unknown>", text).split("\n")))
