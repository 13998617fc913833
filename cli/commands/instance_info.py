"""What ``gnt-instance info`` shows of one instance. Pure; the input is OP_INSTANCE_QUERY_DATA's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cli.output import moment, params, unit

Row = tuple[str, Any]

FAULTY = 4
_LOCAL_DISK = {3: " *UNCERTAIN STATE*", FAULTY: " *MISSING DISK*"}
"""Ganeti's numbers of the local disk's status; 1 is healthy, 2 is being synchronised."""


def instance_info(data: Mapping[str, Any], *, static: bool) -> list[Row]:
    """Keys and values in their order."""
    state = f"configured to be {data['config_state']}"
    if not static:
        state += f", actual state is {data['run_state']}"
    group = f"{data['pnode_group_name']} (UUID {data['pnode_group_uuid']})"
    secondaries = [
        f"{name} (group {group_name}, group UUID {group_uuid})"
        for name, group_name, group_uuid in zip(
            data["snodes"], data["snodes_group_names"], data["snodes_group_uuids"], strict=True
        )
    ]
    rows: list[Row] = [
        ("Instance name", data["name"]),
        ("UUID", data["uuid"]),
        ("Serial number", data["serial_no"]),
        ("Creation time", moment(data["ctime"])),
        ("Modification time", moment(data["mtime"])),
        ("State", state),
        (
            "Nodes",
            [
                [("primary", data["pnode"]), ("group", group)],
                [("secondaries", secondaries)],
            ],
        ),
        ("Operating system", data["os"]),
        ("Operating system parameters", params(data["os_instance"], data["os_actual"])),
        ("Allocated network port", data["network_port"]),
        ("Hypervisor", data["hypervisor"]),
    ]
    connection = console_connection(data)
    if connection:
        rows.append(("console connection", connection))
    rows += [
        ("Hypervisor parameters", params(data["hv_instance"], data["hv_actual"])),
        ("Back-end parameters", params(data["be_instance"], data["be_actual"])),
        ("NICs", [_nic(index, nic) for index, nic in enumerate(data["nics"])]),
        ("Disk template", data["disk_template"]),
        ("Disks", [_disk(disk, f"disk/{index}") for index, disk in enumerate(data["disks"])]),
    ]
    return rows


def console_connection(data: Mapping[str, Any]) -> str:
    """Where VNC listens; empty without it."""
    address = data["hv_actual"].get("vnc_bind_address")
    port = data["network_port"]
    if not address or not port:
        return ""
    if address == "0.0.0.0":
        return f"vnc to {data['pnode']}:{port} (display {port - 5900})"
    if address == "127.0.0.1":
        return f"vnc to {data['pnode']}:{port} (only from that node, display {port - 5900})"
    return f"vnc to {address}:{port} (display {port - 5900})"


def _nic(index: int, nic: Sequence[Any]) -> list[Row]:
    name, uuid, ip, mac, mode, link, vlan, _, network = nic
    return [
        (f"nic/{index}", ""),
        ("MAC", mac),
        ("IP", ip),
        ("mode", mode),
        ("link", link),
        ("vlan", vlan or ""),
        ("network", network["name"] if network else None),
        ("UUID", uuid),
        ("name", name),
    ]


def _disk(disk: Mapping[str, Any], title: str) -> list[Row]:
    size = "unknown" if disk["size"] is None else unit(disk["size"], "h")
    rows: list[Row] = [(title, f"{disk['dev_type']}, size {size}")]
    if disk.get("mode") is not None:
        rows.append(("access mode", disk["mode"]))
    rows += _identity(disk)
    for side, place in (("pstatus", "on primary"), ("sstatus", "on secondary")):
        if disk.get(side):
            stalled = bool(disk.get("sync_stalled"))
            rows.append((place, _status(disk["dev_type"], disk[side], stalled=stalled)))
    rows += [("name", disk.get("name")), ("UUID", disk.get("uuid"))]
    children = disk.get("children") or ()
    if children:
        rows.append(
            ("child devices", [_disk(child, f"child {i}") for i, child in enumerate(children)])
        )
    return rows


def _identity(disk: Mapping[str, Any]) -> list[Row]:
    drbd = disk.get("drbd_info")
    if not drbd:
        return [("logical_id", disk["logical_id"] and str(disk["logical_id"]))]
    return [
        ("nodeA", f"{drbd['primary_node']}, minor={drbd['primary_minor']}"),
        ("nodeB", f"{drbd['secondary_node']}, minor={drbd['secondary_minor']}"),
        ("port", drbd["port"]),
    ]


def _status(template: str, status: Sequence[Any], *, stalled: bool) -> str:
    path, major, minor, percent, estimate_s, degraded, local = status
    text = f"{path} ({_number(major)}:{_number(minor)})"
    if template != "drbd":
        return text + (" *FAILED*" if local == FAULTY else "")
    if percent is None:
        sync = "in sync"
    else:
        left = f"{estimate_s}s" if estimate_s else "unknown"
        when = "*STALLED*" if stalled else f"ETA {left}"
        sync = f"*RECOVERING* {percent:5.2f}%, {when}"
    health = "*DEGRADED*" if degraded else "ok"
    return f"{text} {sync}, status {health}{_LOCAL_DISK.get(local, '')}"


def _number(value: Any) -> str:
    return "N/A" if value is None else str(value)
