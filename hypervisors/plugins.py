"""The values that describe drivers, and how a node and a master find them.

A module of this package that has ``PLUGINS`` offers drivers; nothing else needs to be touched to
add one. Importing such a module does nothing but define it and needs no hypervisor's library; one
that cannot be imported is an error. The master reads the declarations, a node also calls ``make``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

import hypervisors
from hypervisors.errors import Unsupported
from hypervisors.guest import ParamValue
from hypervisors.interface import Clock, Driver, Threads


class PeerSockets(Protocol):
    """The node daemons' links to each other, which carry live migrations."""

    async def libvirt_socket(self, target: str) -> str:
        """Path of a unix socket here whose bytes come out at libvirt's socket on node ``target``.

        It may be connected several times at once.
        """

    async def expect_guest(self, uuid: str) -> None:
        """On the target: the directory of the sockets through which it will come is there."""

    async def ways(self, target: str, uuid: str) -> tuple[str, str]:
        """Paths of two unix sockets here, for a guest's memory and its disks: their bytes come out
        at sockets of the same paths on node ``target``, where QEMU will listen."""

    async def end_ways(self, target: str, uuid: str) -> None:
        """They are not needed any more."""


class NoPeers:
    """A node that reaches no other."""

    async def libvirt_socket(self, target: str) -> str:
        """Always refuses."""
        raise Unsupported(f"this node has no link to node {target}", subject=target)

    async def expect_guest(self, uuid: str) -> None:
        """Nothing comes."""

    async def ways(self, target: str, uuid: str) -> tuple[str, str]:
        """Always refuses."""
        raise Unsupported(f"this node has no link to node {target}", subject=target)

    async def end_ways(self, target: str, uuid: str) -> None:
        """There are none."""


class HypervisorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator may set for the drivers of one node."""

    libvirt_uri: str = "qemu:///system"
    console_directory: str = "/var/log/clusterd/console"
    """Where guests' serial consoles are recorded; empty records none."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a node hands to the drivers that it makes."""

    threads: Threads
    clock: Clock
    peers: PeerSockets
    settings: HypervisorSettings = HypervisorSettings()


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """One driver. Invariant: ``make`` answers a driver of ``name`` and touches nothing."""

    name: str
    """For users, as in ``-H kvm``."""
    make: Callable[[Surroundings], Driver]
    parameters: type[msgspec.Struct]
    """The hypervisor parameters with their defaults."""
    check: Callable[[Mapping[str, ParamValue]], Any]
    """Raises BadParameter when such parameters can be honoured on no node."""
    global_parameters: frozenset[str] = frozenset()
    """Parameters that may be set for the cluster only."""
    can_migrate: bool = True

    def defaults(self) -> dict[str, ParamValue]:
        """Each parameter's default, by name in order."""
        values: dict[str, ParamValue] = msgspec.structs.asdict(self.parameters())
        return dict(sorted(values.items()))


def built_in() -> Mapping[str, Plugin]:
    """The drivers of this package by name, sorted. Raises what a broken module raises."""
    found: dict[str, Plugin] = {}
    for module in sorted(pkgutil.iter_modules(hypervisors.__path__), key=lambda entry: entry.name):
        offered = getattr(importlib.import_module(f"hypervisors.{module.name}"), "PLUGINS", ())
        for plugin in offered:
            if plugin.name in found:
                raise ValueError(f"two drivers are called {plugin.name}")
            found[plugin.name] = plugin
    return MappingProxyType({name: found[name] for name in sorted(found)})
