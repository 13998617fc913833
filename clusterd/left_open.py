"""Disks that are usable where their instance does not live, as a migration leaves them whose source
could not let go of them. Pure: reads a view.

Two readers: verification tells of them, the reconciler has them closed.
"""

from __future__ import annotations

from collections.abc import Iterator

from clusterd.model import Instance, Node
from clusterd.view import View
from clusterd.volumes import has_mirror, volume_on
from storage.volume import Role


def left_open(view: View, instance: Instance) -> Iterator[str]:
    """Mirrored disks that more than the primary node may write though nothing moves."""
    if instance.moving_to is not None:
        return
    for node in view.nodes_of(instance):
        observation = view.sight(node).observation
        status = {volume.uuid: volume for volume in observation.volumes} if observation else {}
        for index, disk in enumerate(instance.disks):
            seen = status.get(disk.uuid)
            if seen is None or not has_mirror(disk.template):
                continue
            if seen.role is Role.PRIMARY and node.uuid != instance.primary_node:
                yield f"disk/{index} is open for writing on {node.name}, not its primary node"
            elif seen.two_primaries_allowed:
                yield f"disk/{index} on {node.name} may be written by two nodes"


def left_attached(view: View) -> Iterator[tuple[Instance, Node, str]]:
    """Shared disks that a node holds though their instance lives on another one and nothing moves
    it, as far as nodes tell which they hold: the instance, the node, and what is wrong."""
    for node in view.configuration.nodes():
        observation = view.sight(node).observation
        if node.offline or observation is None or not view.reachable(node):
            continue
        for stored in observation.stored:
            if not stored.held:
                continue
            instance = view.configuration.find_instance(stored.owner or "")
            if instance is None or instance.primary_node == node.uuid:
                continue
            if instance.moving_to is not None or instance.drafted:
                continue
            for index, disk in enumerate(instance.disks):
                if volume_on(view, instance, disk, node).name == stored.name:
                    text = f"disk/{index} is attached on {node.name}, not its primary node"
                    yield instance, node, text
