"""From a disk of an instance to the volume that one node holds of it. Pure.

On-node names follow Ganeti: ``<label>.disk0`` for plain, ``<label>.disk0_data`` and ``_meta`` for
drbd, ``<directory>/<instance>/<label>.file.disk0`` for files.
"""

from __future__ import annotations

from clusterd.model import Disk, Instance, Node
from clusterd.names import DRBD_META_SIZE_MIB
from clusterd.view import View
from storage.volume import Mirror, Template, Volume

_NAMES = {
    "plain": "{label}.disk{index}",
    "drbd": "{label}.disk{index}_data",
    "file": "{label}.file.disk{index}",
    "sharedfile": "{label}.sharedfile.disk{index}",
    "memory": "{label}.disk{index}",
}

MIRRORED = frozenset({"drbd"})
"""Templates with a copy on a secondary node."""

SHARED = frozenset({"sharedfile", "diskless"})
"""Templates whose data each node of the group can reach."""

LVM = frozenset({"plain", "drbd"})


def overhead_mib(template: str) -> int:
    """What a disk takes beside its own size on each node that holds it."""
    return DRBD_META_SIZE_MIB if template == "drbd" else 0


def volume_on(view: View, instance: Instance, disk: Disk, node: Node) -> Volume:
    """One disk as ``node`` holds it."""
    index = instance.disks.index(disk)
    group = view.primary(instance).group
    params = {**view.diskparams(disk.template, group), **disk.params}
    return Volume(
        template=Template(disk.template),
        uuid=disk.uuid,
        pool=disk.pool,
        name=_NAMES[disk.template].format(label=disk.label, index=index),
        size_mib=disk.size_mib,
        owner=instance.uuid,
        label=instance.name,
        index=index,
        access=disk.mode,
        mirror=_mirror(view, disk, node, index),
        params=params,
    )


def _mirror(view: View, disk: Disk, node: Node, index: int) -> Mirror | None:
    pair = disk.drbd
    if pair is None:
        return None
    mine = pair.nodes.index(node.uuid)
    peer = view.configuration.node(pair.nodes[1 - mine])
    return Mirror(
        minor=pair.minors[mine],
        port=pair.port,
        secret=pair.secret,
        local_name=node.name,
        local_address=node.secondary_ip,
        peer_name=peer.name,
        peer_address=peer.secondary_ip,
        peer_minor=pair.minors[1 - mine],
        meta_pool=disk.meta_pool or disk.pool,
        meta_name=f"{disk.label}.disk{index}_meta",
        meta_size_mib=DRBD_META_SIZE_MIB,
    )
