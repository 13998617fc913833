"""Ganeti's odd spellings at the RAPI: rows, not code paths."""

from __future__ import annotations

RENAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "OP_INSTANCE_CREATE": (("os", "os_type"), ("name", "instance_name")),
    "OP_INSTANCE_SET_PARAMS": (("custom_beparams", "beparams"), ("custom_hvparams", "hvparams")),
    "OP_BACKUP_EXPORT": (("destination", "target_node"),),
    "OP_GROUP_ADD": (("name", "group_name"),),
    "OP_GROUP_SET_PARAMS": (
        ("custom_ndparams", "ndparams"),
        ("custom_ipolicy", "ipolicy"),
        ("custom_diskparams", "diskparams"),
    ),
    "OP_NETWORK_ADD": (("name", "network_name"),),
}
"""Opcode -> (key in the body, field). Sending both is refused."""

FORBIDDEN: dict[str, frozenset[str]] = {"OP_CLUSTER_SET_PARAMS": frozenset({"compression_tools"})}
"""Opcode -> fields that nobody may set over the network."""

COMMA_LISTS: dict[str, frozenset[str]] = {
    "OP_NETWORK_ADD": frozenset({"add_reserved_ips", "tags"}),
    "OP_NETWORK_SET_PARAMS": frozenset({"add_reserved_ips", "remove_reserved_ips"}),
}
"""Opcode -> fields that may come as one text with commas."""

RESOURCE_NAMES = {
    "/2/modify": "cluster_modify",
    "/2/redistribute-config": "redist_config",
    "/2/instances/{name}/disk/{disk}/grow": "instances_name_disk_grow",
    "/2/jobs/{id}": "jobs_id",
}
"""Path -> name in the reason trail, where it is not made of the path's words."""

FEATURES = (
    "node-evac-res1",
    "instance-reinstall-reqv1",
    "instance-create-reqv1",
    "node-migrate-reqv1",
)
"""What the stock client looks for before it creates, reinstalls, evacuates and migrates."""

ROLES = {
    "M": "master",
    "C": "master-candidate",
    "D": "drained",
    "O": "offline",
    "R": "regular",
}
ROLE_CHANGES: dict[str, dict[str, bool]] = {
    "regular": {"master_candidate": False, "offline": False, "drained": False},
    "master-candidate": {"master_candidate": True},
    "drained": {"drained": True},
    "offline": {"offline": True},
}


def resource_name(pattern: str) -> str:
    """``/2/instances/{name}/activate-disks`` -> ``instances_name_activate_disks``"""
    if pattern in RESOURCE_NAMES:
        return RESOURCE_NAMES[pattern]
    words = pattern.removeprefix("/2").strip("/").split("/")
    return "_".join(word.strip("{}").replace("-", "_") for word in words)
