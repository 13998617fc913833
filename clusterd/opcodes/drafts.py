"""From what an operator asks for to drafts of disks. Pure.

A draft is complete but for the identities that a step draws. Raises Refused naming the disk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clusterd.model import Cluster, Disk, DrbdPair, Node, Params
from clusterd.names import DEFAULT_VG, MAX_DISKS
from clusterd.view import View
from clusterd.volumes import (
    begun_with,
    checked_values,
    disk_parameters,
    lasting_parameters,
    mount_parameter,
    must_adopt,
    takes_any_parameter,
)
from jobqueue.errors import Refused
from storage import device_names

PARAMETER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
DIGITS = re.compile(r"[0-9]{1,18}")

DISK_KEYS = frozenset(
    {"size", "mode", "name", "vg", "metavg", "spindles", "access", "dev_type", "adopt", "provider"}
)
_PER_DISK = ("rbd", "ext", "gluster")
"""Templates whose parameters may all be given for one disk; of others those that last."""


def disks(
    view: View,
    specs: tuple[dict[str, Any], ...],
    template: str,
    nodes: tuple[Node, ...],
    subdirectory: str | None = None,
) -> tuple[Disk, ...]:
    """Drafts of the disks of one template on ``nodes`` (primary first)."""
    if template == "diskless":
        if specs:
            raise Refused("Disk specifications given for a diskless instance", "wrong_input")
        return ()
    if not specs:
        raise Refused("No disk information specified", "wrong_input")
    if len(specs) > MAX_DISKS:
        raise Refused(f"{len(specs)} disks asked for, at most {MAX_DISKS}", "wrong_input")
    return tuple(
        disk(view, index, spec, template, nodes, subdirectory) for index, spec in enumerate(specs)
    )


def disk(
    view: View,
    index: int,
    spec: Mapping[str, Any],
    template: str,
    nodes: tuple[Node, ...],
    subdirectory: str | None = None,
) -> Disk:
    """The draft of one disk."""
    own = _own_names(spec, template)
    unknown = sorted(set(spec) - DISK_KEYS - own)
    if unknown:
        raise Refused(f"Disk {index}: unknown parameter '{unknown[0]}'", "wrong_input")
    if spec.get("dev_type") not in (None, template):
        raise Refused(
            f"Disk {index}: it cannot be of type '{spec['dev_type']}', as the disks of an instance"
            f" have one template, here {template}",
            "wrong_input",
        )
    adopted = str(spec.get("adopt") or "")
    size = 1 if adopted else spec.get("size")
    if isinstance(size, str) and DIGITS.fullmatch(size):
        size = int(size)
    if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
        raise Refused(f"Disk {index}: missing or invalid size {spec.get('size')!r}", "wrong_input")
    mode = spec.get("mode") or "rw"
    if mode not in ("rw", "ro"):
        raise Refused(f"Disk {index}: invalid access mode '{mode}', use rw or ro", "wrong_input")
    cluster = view.configuration.cluster
    pool, meta_pool = _pools(view, cluster, spec, template, nodes[0], subdirectory)
    pair = None
    if template == "drbd":
        pair = DrbdPair(nodes=(nodes[0].uuid, nodes[1].uuid), minors=(-1, -1), port=0, secret="")
    return Disk(
        uuid="",
        template=template,
        size_mib=0 if adopted else size,
        pool=pool,
        meta_pool=meta_pool,
        label=adopted if must_adopt(template) else "",
        mode="ro" if mode == "ro" else "rw",
        name=item_name(f"Disk {index}", spec),
        drbd=pair,
        params=begun_with(
            view, template, _own_parameters(index, spec, template, own), nodes[0].group
        ),
    )


def _own_names(spec: Mapping[str, Any], template: str) -> frozenset[str]:
    """The parameters that may be given for this disk alone."""
    if takes_any_parameter(template):
        others = set(spec) - DISK_KEYS
        wrong = sorted(key for key in others if not PARAMETER.fullmatch(key))
        if wrong:
            raise Refused(f"'{wrong[0]}' is no name of a disk parameter", "wrong_input")
        return disk_parameters(template) | others
    if spec.get("provider"):
        raise Refused(f"Disk template '{template}' has no providers (option -t ext)", "wrong_input")
    if template not in _PER_DISK:
        return lasting_parameters(template)
    return disk_parameters(template) - {mount_parameter(template)}


def _own_parameters(
    index: int, spec: Mapping[str, Any], template: str, own: frozenset[str]
) -> Params:
    """The template's parameters that are given for this disk alone."""
    given = {key: spec[key] for key in sorted(own & set(spec)) if spec[key] is not None}
    try:
        checked_values(template, given)
    except Refused as refused:
        raise Refused(f"Disk {index}: {refused.message}", "wrong_input") from None
    return given


def _pools(
    view: View,
    cluster: Cluster,
    spec: Mapping[str, Any],
    template: str,
    node: Node,
    subdirectory: str | None,
) -> tuple[str, str]:
    if template in ("plain", "drbd"):
        group = cluster.volume_group_name or DEFAULT_VG
        params = view.diskparams("drbd", node.group)
        meta = spec.get("metavg") or (params.get("metavg") if template == "drbd" else None)
        data = str(spec.get("vg") or group)
        return data, str(meta or data) if template == "drbd" else ""
    if template == "rbd":
        params = view.diskparams("rbd", node.group)
        pool = str(spec.get("pool") or params.get("pool") or "rbd")
        namespace = str(spec.get("namespace") or params.get("namespace") or "")
        return f"{pool}/{namespace}" if namespace else pool, ""
    if template in ("ext", "gluster", "blockdev"):
        return _outside_pool(view, spec, template, node), ""
    if template in ("file", "sharedfile"):
        base = cluster.file_storage_dir if template == "file" else cluster.shared_file_storage_dir
        if not base:
            raise Refused(f"The cluster has no directory for template '{template}'", "wrong_state")
        if subdirectory and (subdirectory.startswith("/") or ".." in subdirectory.split("/")):
            raise Refused(
                f"File storage directory '{subdirectory}' must be relative, without '..'",
                "wrong_input",
            )
        return f"{base}/{subdirectory}" if subdirectory else base, ""
    return "memory", ""


def _outside_pool(view: View, spec: Mapping[str, Any], template: str, node: Node) -> str:
    """Where the disk is, for templates whose data something outside keeps."""
    if template == "blockdev":
        return device_names.POOL
    if template == "gluster":
        params = {**view.diskparams("gluster", node.group), **spec}
        return "{host}:{port}/{volume}".format_map(params)
    if not spec.get("provider"):
        raise Refused("A disk of template 'ext' needs provider=NAME", "wrong_input")
    return str(spec["provider"])


def item_name(what: str, spec: Mapping[str, Any]) -> str | None:
    """The name that a disk or card gets, None for none."""
    name = spec.get("name")
    if name is not None and not isinstance(name, str):
        raise Refused(f"{what}: the name is not text: {name!r}", "wrong_input")
    return name or None
