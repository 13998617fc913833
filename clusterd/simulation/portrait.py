"""A cluster's state in lines that can be compared: what is configured, stored, attached, running.

Drawn identities, times and serial numbers are replaced by what they belong to, so two runs that
drew differently look alike when they mean the same.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from clusterd.configuration import Configuration
from clusterd.model import Instance
from clusterd.simulation.cluster import SimulatedCluster
from clusterd.simulation.hosts import SimulatedHost
from jobqueue.store.memory import MemoryStore

VOLATILE = frozenset({"serial_no", "ctime", "mtime", "made_by"})
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Portrait = tuple[str, ...]


def portrait(cluster: SimulatedCluster) -> Portrait:
    """The lines, sorted."""
    configuration = Configuration()
    store = MemoryStore(cluster.disk)
    Deferred.fromCoroutine(configuration.load(store))
    store.die()
    names = dict(_names(configuration))
    lines = [*_configured(configuration), *_hosts(cluster), *_guests(cluster)]
    return tuple(sorted(_renamed("\n".join(lines), names).split("\n")))


def difference(one: Portrait, other: Portrait) -> list[str]:
    """What only one of them has."""
    lines = difflib.unified_diff(one, other, lineterm="", n=0)
    return [line for line in lines if line[:2] not in ("--", "++", "@@")]


def _configured(configuration: Configuration) -> Iterator[str]:
    objects: Sequence[Any] = [
        configuration.cluster,
        *configuration.groups(),
        *configuration.nodes(),
        *configuration.instances(unfinished=True),
        *configuration.images(unfinished=True),
    ]
    for value in objects:
        kept = _lasting(msgspec.to_builtins(value))
        yield f"config {type(value).__name__} {msgspec.json.encode(kept).decode()}"


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
        role = "" if one.mirror is None else "primary" if one.primary else "secondary"
        link = "" if one.mirror is None else "connected" if one.connected else "alone"
        two = "two primaries" if one.two_primaries else ""
        yield f"attached {host.name} {key[0]} {key[1]}/{key[2]} {role} {link} {two}"


def _exports(host: SimulatedHost) -> Iterator[str]:
    for file in sorted(host.exports.glob("*/*")):
        yield f"export {file.parent.name} on {host.name} has {file.name}"


def _guests(cluster: SimulatedCluster) -> Iterator[str]:
    for name in cluster.hosts:
        for guest, resident in cluster.room.machine(name).residents.items():
            yield f"guest {guest} on {name} is {resident.presence}"


def _names(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Identity -> what it stands for."""
    for node in configuration.nodes():
        yield node.uuid, f"<{node.name}>"
    for image in configuration.images(unfinished=True):
        yield image.uuid, f"<image {image.name}>"
    for instance in configuration.instances(unfinished=True):
        yield instance.uuid, f"<{instance.name}>"
        yield from _parts(instance)


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


def _renamed(text: str, names: dict[str, str]) -> str:
    for identity, name in names.items():
        text = text.replace(identity, name)
    return UUID.sub("<unknown>", text)
