"""Which instances have disks that are not usable where they should be. Pure: reads a view.

Two readers: the operation that lists them for an operator, and the watcher's rounds.
"""

from __future__ import annotations

import msgspec

from clusterd.model import Instance, Node
from clusterd.view import View
from clusterd.volumes import has_mirror, holders, on_volume_group, volume_on
from storage.volume import Link

LISTED = ("ext", "plain")
"""Templates whose nodes tell which volumes are attached."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong in a group."""

    silent: dict[str, str]
    """Node -> why nothing is known of it."""
    inactive: tuple[str, ...]
    """Instances whose disks should be in use and are not, or not on each node."""
    missing: dict[str, tuple[tuple[str, str], ...]]
    """Instance -> (node, volume) that does not exist."""


def of_group(view: View, group_uuid: str, *, strict: bool = True) -> Health:
    """The state of the disks of all instances whose primary node is in the group.
    ``strict``: a mirror that stands alone is not in use as it should be."""
    nodes = [node for node in view.configuration.nodes() if node.group == group_uuid]
    silent = {
        node.name: "the node does not answer"
        for node in nodes
        if not node.offline and (not view.reachable(node) or view.sight(node).observation is None)
    }
    inactive: list[str] = []
    missing: dict[str, tuple[tuple[str, str], ...]] = {}
    for instance in view.configuration.instances():
        if view.primary(instance).group != group_uuid:
            continue
        lacks = tuple(_missing(view, instance))
        if lacks:
            missing[instance.name] = lacks
        elif instance.disks_active and _inactive(view, instance, strict):
            inactive.append(instance.name)
    return Health(silent=silent, inactive=tuple(inactive), missing=missing)


def _answering(view: View, instance: Instance) -> list[Node]:
    return [node for node in view.nodes_of(instance) if view.reachable(node)]


def _missing(view: View, instance: Instance) -> list[tuple[str, str]]:
    found = []
    for node in _answering(view, instance):
        observation = view.sight(node).observation
        if observation is None:
            continue
        stored = {one.name for one in observation.stored}
        for disk in instance.disks:
            if node.uuid not in holders(instance, disk) or not on_volume_group(disk.template):
                continue
            volume = volume_on(view, instance, disk, node)
            if volume.name not in stored:
                found.append((node.name, f"{volume.pool}/{volume.name}"))
    return found


def _inactive(view: View, instance: Instance, strict: bool) -> list[str]:
    """The disks that are not usable, or stand alone."""
    found = []
    for node in _answering(view, instance):
        observation = view.sight(node).observation
        if observation is None:
            continue
        mirrors = {one.uuid: one for one in observation.volumes}
        attached = {one.name for one in observation.stored if one.attached}
        for disk in instance.disks:
            if node.uuid not in holders(instance, disk):
                continue
            name = volume_on(view, instance, disk, node).name
            seen = mirrors.get(disk.uuid)
            if has_mirror(disk.template) and seen is not None:
                alone = strict and seen.link is Link.STANDALONE
                if seen.path is None or alone:
                    found.append(name)
            elif disk.template in LISTED and name not in attached:
                found.append(name)
    return found
