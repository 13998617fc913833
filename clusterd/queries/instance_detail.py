"""Everything about one instance, as ``gnt-instance info`` and RAPI's ``/info`` show it. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from clusterd.model import AdminState, Disk, Instance, Node
from clusterd.view import View
from clusterd.volumes import volume_on
from storage.volume import Health, VolumeStatus

LDISK = {Health.OK: 1, Health.SYNC: 2, Health.UNKNOWN: 3, Health.FAULTY: 4}
"""Ganeti's numbers for the state of the local data."""


def detail(view: View, instance: Instance, *, static: bool) -> dict[str, Any]:
    """The row; ``run_state`` and disk statuses are None where only static data are wanted."""
    primary = view.primary(instance)
    secondary = view.secondary(instance)
    group = view.configuration.group(primary.group)
    others = [view.configuration.group(n.group) for n in (secondary,) if n is not None]
    run_state = None
    if not static:
        guest = view.guest(instance, primary)
        run_state = "up" if guest is not None and guest.alive else "down"
    return {
        "name": instance.name,
        "config_state": "up" if instance.admin_state is AdminState.UP else "down",
        "run_state": run_state,
        "pnode": primary.name,
        "pnode_group_uuid": group.uuid,
        "pnode_group_name": group.name,
        "snodes": [secondary.name] if secondary is not None else [],
        "snodes_group_uuids": [other.uuid for other in others],
        "snodes_group_names": [other.name for other in others],
        "os": instance.os,
        "nics": [_nic(view, instance, index) for index in range(len(instance.nics))],
        "disk_template": instance.disk_template,
        "disks": [
            _disk(view, instance, index, disk, static=static)
            for index, disk in enumerate(instance.disks)
        ],
        "hypervisor": instance.hypervisor,
        "network_port": instance.network_port,
        "hv_instance": instance.hvparams,
        "hv_actual": view.hvparams(instance),
        "be_instance": instance.beparams,
        "be_actual": view.beparams(instance),
        "os_instance": instance.osparams,
        "os_actual": {
            **view.configuration.cluster.osparams.get(instance.os.split("+", maxsplit=1)[0], {}),
            **instance.osparams,
        },
        "serial_no": instance.serial_no,
        "mtime": instance.mtime,
        "ctime": instance.ctime,
        "uuid": instance.uuid,
    }


def _nic(view: View, instance: Instance, index: int) -> list[Any]:
    nic = instance.nics[index]
    network = view.network_of(nic)
    params = view.nicparams(nic.params)
    return [
        nic.name,
        nic.uuid,
        nic.ip,
        nic.mac,
        params.get("mode"),
        params.get("link"),
        params.get("vlan"),
        nic.network,
        None if network is None else msgspec.to_builtins(network),
    ]


def _disk(
    view: View, instance: Instance, index: int, disk: Disk, *, static: bool
) -> dict[str, Any]:
    primary, secondary = view.primary(instance), view.secondary(instance)
    mirrored = disk.drbd is not None
    return {
        "iv_name": f"disk/{index}",
        "dev_type": disk.template,
        "logical_id": logical_id(view, instance, disk, primary),
        "drbd_info": _drbd_info(view, instance, disk) if mirrored else None,
        "pstatus": None if static else _status(view, disk, primary),
        "sstatus": None
        if static or secondary is None or not mirrored
        else _status(view, disk, secondary),
        "sync_stalled": None if static or not mirrored else _stalled(view, disk),
        "children": _children(view, instance, disk, primary) if mirrored else [],
        "mode": disk.mode,
        "size": disk.size_mib,
        "spindles": None,
        "name": disk.name,
        "uuid": disk.uuid,
    }


def logical_id(view: View, instance: Instance, disk: Disk, node: Node) -> list[Any]:
    """What identifies the disk's storage, Ganeti's shape of each template."""
    volume = volume_on(view, instance, disk, node)
    pair = disk.drbd
    if pair is not None:
        return [*pair.nodes, pair.port, *pair.minors, pair.secret]
    if disk.template in ("file", "sharedfile"):
        return ["loop", f"{volume.pool}/{instance.name}/{volume.name}"]
    if disk.template == "rbd":
        return ["rbd", volume.name]
    if disk.template == "gluster":
        return ["loop", f"ganeti/{volume.name}"]
    return [volume.pool, volume.name]


def _drbd_info(view: View, instance: Instance, disk: Disk) -> dict[str, Any]:
    pair = disk.drbd
    assert pair is not None
    primary, secondary = view.primary(instance), view.secondary(instance)
    minors = dict(zip(pair.nodes, pair.minors, strict=True))
    return {
        "primary_node": primary.name,
        "primary_minor": minors.get(primary.uuid),
        "secondary_node": secondary.name if secondary is not None else None,
        "secondary_minor": minors.get(secondary.uuid) if secondary is not None else None,
        "port": pair.port,
    }


def _children(view: View, instance: Instance, disk: Disk, node: Node) -> list[dict[str, Any]]:
    volume = volume_on(view, instance, disk, node)
    mirror = volume.mirror
    assert mirror is not None
    parts = (
        (volume.pool, volume.name, disk.size_mib),
        (mirror.meta_pool, mirror.meta_name, mirror.meta_size_mib),
    )
    return [
        {
            "iv_name": "",
            "dev_type": "plain",
            "logical_id": [pool, name],
            "drbd_info": None,
            "pstatus": None,
            "sstatus": None,
            "children": [],
            "mode": "rw",
            "size": size,
            "spindles": None,
            "name": None,
            "uuid": "",
        }
        for pool, name, size in parts
    ]


def _status(view: View, disk: Disk, node: Node) -> list[Any] | None:
    """[device, major, minor, percent, seconds left, degraded, ldisk], None when not attached."""
    found = _seen(view, disk, node)
    if found is None or found.path is None:
        return None
    digits = "".join(ch for ch in found.path.rsplit("/", 1)[-1] if ch.isdigit())
    is_drbd = found.path.startswith("/dev/drbd")
    return [
        found.path,
        147 if is_drbd else None,
        int(digits) if is_drbd and digits else None,
        found.sync_percent,
        found.sync_seconds_left,
        found.degraded,
        LDISK[found.health],
    ]


def _stalled(view: View, disk: Disk) -> bool:
    """A synchronisation that was begun does not go on, as either node sees it. It stands beside the
    statuses, which have as many places as Ganeti's."""
    pair = disk.drbd
    nodes = pair.nodes if pair is not None else ()
    seen = [_seen(view, disk, view.configuration.node(uuid)) for uuid in nodes]
    return any(status is not None and status.sync_stalled for status in seen)


def _seen(view: View, disk: Disk, node: Node) -> VolumeStatus | None:
    observation = view.sight(node).observation
    volumes = observation.volumes if observation is not None else ()
    return next((volume for volume in volumes if volume.uuid == disk.uuid), None)
