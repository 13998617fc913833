"""What a simulation must know of a live cluster: its configuration without secrets, and what its
nodes see of themselves. Read only; made from one moment.
"""

from __future__ import annotations

from typing import Any

import msgspec

from clusterd.configuration import key_of
from clusterd.model import ANY, Instance, Node
from clusterd.view import View
from hypervisors.guest import GuestState
from storage.volume import Capacity


class HostLikeness(msgspec.Struct, frozen=True, kw_only=True):
    """One node. ``seen``: it answers, or has at least answered; without, all else is unknown."""

    name: str
    reachable: bool
    seen: bool = False
    memory_free_mib: int = 0
    cpus: int = 1
    capacity: tuple[Capacity, ...] = ()
    bridges: tuple[str, ...] = ()
    oses: dict[str, tuple[str, ...]] = {}
    """Valid OS definitions -> variants."""
    running: tuple[str, ...] = ()
    """Guests whose processors run here."""


class Likeness(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster. ``objects``: keys of the configuration -> stored objects."""

    time: float
    master: str
    objects: dict[str, Any]
    hosts: tuple[HostLikeness, ...]


def likeness(view: View) -> Likeness:
    """Of this moment."""
    configuration = view.configuration
    objects: list[ANY] = [
        configuration.cluster,
        *configuration.groups(),
        *configuration.networks(),
        *configuration.nodes(),
        *map(_without_secrets, configuration.instances()),
    ]
    return Likeness(
        time=view.now,
        master=configuration.node(configuration.cluster.master_node).name,
        objects={key_of(value): msgspec.to_builtins(value) for value in objects},
        hosts=tuple(_host(view, node) for node in configuration.nodes()),
    )


def _without_secrets(instance: Instance) -> Instance:
    """What two sides of a mirror share stays shared, and is no secret any more."""
    disks = tuple(
        disk
        if disk.drbd is None
        else msgspec.structs.replace(
            disk, drbd=msgspec.structs.replace(disk.drbd, secret=disk.uuid)
        )
        for disk in instance.disks
    )
    return msgspec.structs.replace(instance, disks=disks, osparams={})


def _host(view: View, node: Node) -> HostLikeness:
    seen = view.sight(node).observation
    if seen is None:
        return HostLikeness(name=node.name, reachable=view.reachable(node))
    hardware = seen.hardware
    return HostLikeness(
        name=node.name,
        reachable=view.reachable(node),
        seen=True,
        memory_free_mib=hardware.memory_free_mib if hardware is not None else 0,
        cpus=hardware.cpus if hardware is not None else 1,
        capacity=seen.capacity,
        bridges=seen.bridges,
        oses={found.name: found.variants for found in seen.oses if found.valid},
        running=tuple(
            guest.name
            for guests in seen.guests.values()
            for guest in guests
            if guest.state is GuestState.RUNNING
        ),
    )
