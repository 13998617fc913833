"""The value that describes a backend, and how a node and a master find them.

A module of this package that has ``PLUGINS`` offers backends; nothing else needs to be touched to
add one. Importing such a module does nothing but define it, and one that cannot be imported is an
error. The master reads the declarations, a node also calls ``make``.
"""

from __future__ import annotations

import enum
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

import msgspec

import storage
from storage.errors import BadParameter
from storage.interface import Backend, Commands, Threads
from storage.volume import Template, Volume

P = TypeVar("P", bound=msgspec.Struct)


class Mirrored(enum.StrEnum):
    """Who keeps a second copy."""

    NO = "no"
    """Nobody: the data live and die with their node."""
    INTERNAL = "internal"
    """The backend itself, on a secondary node."""
    EXTERNAL = "external"
    """Something outside: each node of the group reaches the same data."""


class StorageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one node offers. Paths are absolute; an empty tuple offers nothing."""

    volume_groups: tuple[str, ...] = ("xenvg",)
    file_directories: tuple[str, ...] = ("/srv/ganeti/file-storage",)
    shared_file_directories: tuple[str, ...] = ("/srv/ganeti/shared-file-storage",)
    ceph_config: str = "/etc/ceph/ceph.conf"
    ceph_user: str = ""
    """Without ``client.``; empty is ``admin``."""
    ceph_pools: tuple[str, ...] = ("rbd",)
    """Whose room and images are told of: POOL or POOL/NAMESPACE."""
    provider_directories: tuple[str, ...] = ("/srv/ganeti/extstorage",)
    """Where ext-storage providers are looked for, the first first."""
    provider_records: str = "/var/lib/clusterd/extstorage"
    """What is known of their volumes."""
    provider_logs: str = ""
    """What their scripts say; empty: not kept."""
    gluster_directory: str = "/run/clusterd/gluster"
    """Below it volumes of Gluster are mounted."""


class NoParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The backend takes no disk parameters."""


def no_snapshots(_parameters: Mapping[str, object]) -> bool:
    """For backends that keep none."""
    return False


def always_snapshots(_parameters: Mapping[str, object]) -> bool:
    """For backends that keep them whatever the parameters."""
    return True


def always_depend(_parameters: Mapping[str, object]) -> bool:
    """For backends whose clones read from their origin until they are flattened."""
    return True


Make = Callable[[Commands, Threads, StorageSettings], Backend]


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """One backend. Invariant: ``make`` answers a backend of ``template`` and touches nothing."""

    template: Template
    make: Make
    parameters: type[msgspec.Struct] = NoParameters
    """The disk parameters with their defaults; field names in kebab case are users' names."""
    naming: str = "{label}.{template}.disk{index}"
    """Names of volumes on nodes: ``label`` is drawn for each disk, ``index`` its number, ``owner``
    the instance's uuid."""
    mirrored: Mirrored = Mirrored.NO
    overhead_mib: int = 0
    """What a disk takes beside its own size on each node that holds it."""
    uses_volume_groups: bool = False
    uses_directories: bool = False
    snapshots: Callable[[Mapping[str, object]], bool] = no_snapshots
    """(disk parameters) -> whether volumes have snapshots that others can be clones of."""
    clones_depend: Callable[[Mapping[str, object]], bool] = always_depend
    """(disk parameters) -> whether a clone needs the snapshot that it began as."""
    lasting: frozenset[str] = frozenset()
    """Disk parameters that a volume keeps from its beginning, whatever the defaults become."""
    stills: bool = False
    """The contents of one moment can be read while a volume is written."""
    read_by_still: Callable[[Mapping[str, object]], bool] = no_snapshots
    """(disk parameters) -> whether the contents are read from a still only, which is made while
    nobody writes the volume."""
    inner_pool: str = ""
    """The disk parameter that names a pool within the volume's pool; its room is that one's, and
    clones take none at first. ``capacity`` tells it as ``pool/inner``."""
    mounted_below: str = ""
    """The disk parameter for the directory below which nodes mount volumes; the cluster has one."""
    any_pool: bool = False
    """Volumes may lie in pools that a node does not tell the room of."""
    open_parameters: bool = False
    """Disks may have further parameters, which something outside understands."""
    lists_all: bool = True
    """``list`` tells of everything that is stored; else only of what is in use on the node."""
    opens_alone: bool = False
    """``open`` is told whether another node may have the volume open too, on either node."""
    held_by_node: bool = False
    """A node that has a volume attached must let go of it before it is removed, though others reach
    the data too."""
    adopts: bool = False
    """New disks may be data that are there already."""
    makes: bool = True
    """New disks may be made; else they are data that are there already."""
    grows: bool = True

    @property
    def shared(self) -> bool:
        """True when each node of the group reaches the same data."""
        return self.mirrored is Mirrored.EXTERNAL


def checked_parameters(volume: Volume, kind: type[P]) -> P:
    """The volume's parameters, strictly typed; text from a command line is taken as what it says.

    Raises BadParameter naming the parameter.
    """
    try:
        return msgspec.convert(volume.params, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadParameter(
            f"disk parameters of template {volume.template}: {error}", subject=volume.name
        ) from None


def built_in() -> Mapping[Template, Plugin]:
    """The backends of this package by template, sorted. Raises what a broken module raises."""
    found: dict[Template, Plugin] = {}
    for module in sorted(pkgutil.iter_modules(storage.__path__), key=lambda entry: entry.name):
        offered = getattr(importlib.import_module(f"storage.{module.name}"), "PLUGINS", ())
        for plugin in offered:
            if plugin.template in found:
                raise ValueError(f"two storage backends for template {plugin.template}")
            found[plugin.template] = plugin
    return MappingProxyType({template: found[template] for template in sorted(found)})
