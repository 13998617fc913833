"""A node's storage as administrators see it: physical volumes, volume groups, directories, logical
volumes; and the two things that may be done to them.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec

from clusterd.verbs.declare import verb
from clusterd.verbs.errors import WrongInput
from clusterd.verbs.host import Host
from storage.lvm_report import MIB, REPORT_OPTIONS

Row = dict[str, Any]

VOLUME_FIELDS = "vg_name,lv_name,lv_size,devices"
GROUP_FIELDS = "vg_name,vg_size,vg_free"
DISK_FIELDS = "pv_name,pv_size,pv_used,pv_free,pv_attr"


@verb(reads=True)
async def storage_units(
    host: Host, kind: str, directories: tuple[str, ...]
) -> tuple[dict[str, Any], ...]:
    """Units of ``kind`` (lvm-pv, lvm-vg; file and sharedfile: the ``directories`` that exist):
    name, size, used, free in MiB, allocatable. Sorted by name."""
    if kind == "lvm-pv":
        return await _disks(host)
    if kind == "lvm-vg":
        return await _groups(host)
    if kind in ("file", "sharedfile"):
        return await host.threads.run(_directories, directories)
    raise WrongInput(f"storage of type '{kind}' is not known", subject=kind)


@verb(reads=True)
async def logical_volumes(host: Host) -> tuple[dict[str, Any], ...]:
    """Each logical volume: vg, name, size in MiB, and phys, the disks that it lies on."""
    rows = await _report(host, "lvs", "lv", VOLUME_FIELDS)
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        disks = sorted({one.split("(")[0] for one in row["devices"].split(",") if one})
        key = (row["vg_name"], row["lv_name"])
        known = found.setdefault(
            key, {"vg": key[0], "name": key[1], "size": _mib(row["lv_size"]), "phys": []}
        )
        known["phys"] = sorted({*known["phys"], *disks})
    return tuple(found[key] for key in sorted(found))


@verb(subject="lvm", observed=True)
async def set_allocatable(host: Host, name: str, allowed: bool) -> None:
    """New extents may (not) be taken from a physical volume; so already is success."""
    await host.commands.run("pvchange", "--allocatable", "y" if allowed else "n", name)


@verb(subject="lvm", observed=True)
async def repair_volume_group(host: Host, name: str) -> None:
    """The volume group no longer counts on disks that are gone; none gone is success."""
    await host.commands.run("vgreduce", "--removemissing", name)


async def _disks(host: Host) -> tuple[Row, ...]:
    return tuple(
        {
            "name": row["pv_name"],
            "size": _mib(row["pv_size"]),
            "used": _mib(row["pv_used"]),
            "free": _mib(row["pv_free"]),
            "allocatable": row["pv_attr"].startswith("a"),
        }
        for row in await _report(host, "pvs", "pv", DISK_FIELDS)
    )


async def _groups(host: Host) -> tuple[Row, ...]:
    return tuple(
        {
            "name": row["vg_name"],
            "size": _mib(row["vg_size"]),
            "used": _mib(row["vg_size"]) - _mib(row["vg_free"]),
            "free": _mib(row["vg_free"]),
            "allocatable": True,
        }
        for row in await _report(host, "vgs", "vg", GROUP_FIELDS)
    )


def _directories(directories: tuple[str, ...]) -> tuple[Row, ...]:
    found = []
    for name in sorted(directories):
        if not os.path.isdir(name):
            continue
        state = os.statvfs(name)
        total, free = (
            state.f_frsize * blocks // MIB for blocks in (state.f_blocks, state.f_bavail)
        )
        found.append(
            {"name": name, "size": total, "used": total - free, "free": free, "allocatable": True}
        )
    return tuple(found)


async def _report(host: Host, program: str, kind: str, fields: str) -> list[dict[str, str]]:
    output = await host.commands.run(program, *REPORT_OPTIONS, "-o", fields)
    if not output.stdout.strip():
        return []
    decoded = msgspec.json.decode(
        output.stdout, type=dict[str, list[dict[str, list[dict[str, str]]]]]
    )
    rows = [row for part in decoded["report"] for row in part.get(kind, [])]
    return sorted(rows, key=lambda row: sorted(row.items()))


def _mib(size_bytes: str) -> int:
    return int(size_bytes or 0) // MIB
