"""From an instance to the guest that a hypervisor starts and the environment of scripts. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from clusterd import address_pool
from clusterd.model import Disk, Instance, Params
from clusterd.names import OS_API_VERSION
from clusterd.view import View
from clusterd.volumes import in_files
from hypervisors.guest import Guest, GuestDisk, GuestNic, NetworkDisk
from storage.volume import VolumeStatus

SEED_INDEX = 23
"""The guest's disk X: behind the last that an instance can have."""
IDE_SEED_INDEX = 1
"""There are four places; the last two are for images of the operator's."""


def guest_of(
    view: View,
    instance: Instance,
    paths: Sequence[str],
    *,
    statuses: Sequence[VolumeStatus] = (),
    seed: str = "",
    hvparams: Params | None = None,
    beparams: Params | None = None,
) -> Guest:
    """The guest; ``paths`` are its disks' devices on the node, in order, ``statuses`` what the
    node found of them: without, they are devices or raw files. ``seed`` is the path of its seed
    disk, if it has one."""
    backend = {**view.beparams(instance), **(beparams or {})}
    return Guest(
        name=instance.name,
        uuid=instance.uuid,
        memory_mib=int(backend["maxmem"]),
        vcpus=int(backend["vcpus"]),
        disks=tuple(
            _disk(disk, instance.number_of(disk), path, statuses[index] if statuses else None)
            for index, (disk, path) in enumerate(zip(instance.disks, paths, strict=True))
        )
        + ((_seed(view, instance, seed),) if seed else ()),
        nics=tuple(_nics(view, instance)),
        params={**view.hvparams(instance), **(hvparams or {})},
        network_port=instance.network_port,
    )


def _disk(disk: Disk, index: int, path: str, status: VolumeStatus | None) -> GuestDisk:
    source = status.source if status is not None else None
    return GuestDisk(
        path=path,
        uuid=disk.uuid,
        index=index,
        kind="file" if in_files(disk.template) else "block",
        access=disk.mode,
        format=status.format if status is not None else "raw",
        size_mib=disk.size_mib if status is not None and status.format != "raw" else 0,
        source=None if source is None else NetworkDisk(**msgspec.structs.asdict(source)),
    )


def _seed(view: View, instance: Instance, path: str) -> GuestDisk:
    """A disk that is only read, behind all that the instance can have."""
    narrow = view.hvparams(instance).get("disk_type") == "ide"
    return GuestDisk(
        path=path,
        uuid=f"cidata-{instance.uuid}",
        index=IDE_SEED_INDEX if narrow else SEED_INDEX,
        kind="file",
        access="ro",
    )


def _nics(view: View, instance: Instance) -> Sequence[GuestNic]:
    cards = []
    for index, nic in enumerate(instance.nics):
        params = view.nicparams(nic.params)
        cards.append(
            GuestNic(
                mac=nic.mac,
                uuid=nic.uuid,
                index=index,
                mode=str(params.get("mode", "bridged")),  # type: ignore[arg-type]
                link=str(params.get("link", "")),
                ip=nic.ip,
                vlan=str(params.get("vlan", "")),
            )
        )
    return cards


def os_environment(view: View, instance: Instance, paths: Sequence[str]) -> dict[str, str]:
    """The environment of OS scripts, interface version 20 (all but PATH)."""
    name, _, variant = instance.os.partition("+")
    secondary = view.secondary(instance)
    env = {
        "OS_API_VERSION": str(OS_API_VERSION),
        "OS_NAME": name,
        "OS_VARIANT": variant,
        "DEBUG_LEVEL": "0",
        "HYPERVISOR": instance.hypervisor,
        "INSTANCE_NAME": instance.name,
        "INSTANCE_OS": instance.os,
        "INSTANCE_UUID": instance.uuid,
        "INSTANCE_CTIME": f"{instance.ctime:.6f}",
        "INSTANCE_MTIME": f"{instance.mtime:.6f}",
        "INSTANCE_PRIMARY_NODE": view.primary(instance).name,
        "INSTANCE_SECONDARY_NODES": secondary.name if secondary is not None else "",
        "DISK_COUNT": str(len(instance.disks)),
        "NIC_COUNT": str(len(instance.nics)),
    }
    for index, (disk, path) in enumerate(zip(instance.disks, paths, strict=True)):
        kind = "file:loop" if in_files(disk.template) else "block"
        env |= {
            f"DISK_{index}_PATH": path,
            f"DISK_{index}_ACCESS": disk.mode,
            f"DISK_{index}_UUID": disk.uuid,
            f"DISK_{index}_SIZE": str(disk.size_mib),
            f"DISK_{index}_BACKEND_TYPE": kind,
            f"DISK_{index}_FRONTEND_TYPE": str(view.hvparams(instance).get("disk_type", "")),
        }
        if disk.name:
            env[f"DISK_{index}_NAME"] = disk.name
    env |= _nic_environment(view, instance)
    env |= {f"INSTANCE_BE_{key}": str(value) for key, value in view.beparams(instance).items()}
    env |= {f"INSTANCE_HV_{key}": str(value) for key, value in view.hvparams(instance).items()}
    defaults = view.configuration.cluster.osparams.get(name, {})
    for key, value in {**defaults, **instance.osparams}.items():
        env[f"OSP_{key.upper()}"] = value
    return env


def _nic_environment(view: View, instance: Instance) -> dict[str, str]:
    env: dict[str, str] = {}
    for index, nic in enumerate(instance.nics):
        params = view.nicparams(nic.params)
        env |= {
            f"NIC_{index}_MAC": nic.mac,
            f"NIC_{index}_UUID": nic.uuid,
            f"NIC_{index}_MODE": str(params.get("mode", "")),
            f"NIC_{index}_LINK": str(params.get("link", "")),
            f"NIC_{index}_FRONTEND_TYPE": str(view.hvparams(instance).get("nic_type", "")),
        }
        if nic.ip:
            env[f"NIC_{index}_IP"] = nic.ip
        if nic.name:
            env[f"NIC_{index}_NAME"] = nic.name
        if params.get("mode") == "bridged":
            env[f"NIC_{index}_BRIDGE"] = str(params.get("link", ""))
        network = view.network_of(nic)
        if network is not None:
            env[f"NIC_{index}_NETWORK_UUID"] = network.uuid
            env |= address_pool.words(network, f"NIC_{index}_")
    return env
