"""Change parameters of the cluster."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

import hypervisors.plugins
import storage.plugin
from clusterd import balancing, ipolicy, parameters
from clusterd.hooks import HookPoint, master_node
from clusterd.iallocator import choice
from clusterd.iallocator.data import LVM
from clusterd.model import Cluster, Node
from clusterd.model import Params as OwnParams
from clusterd.opcodes import addressing, candidates, locking, requirements, roles
from clusterd.opcodes.fields import Force, Params
from clusterd.parameters import MAX_NUMBER
from clusterd.steps.cluster import RequireAllocator, Say, record_cluster
from clusterd.steps.nodes import record_node
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step
from storage.site_directories import is_name


class ClusterSetParams(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_SET_PARAMS"):
    """Change parameters of the cluster."""

    force: Force = False
    vg_name: Annotated[str | None, Meta(description="volume group for lvm disk templates")] = None
    enabled_hypervisors: tuple[str, ...] | None = None
    enabled_disk_templates: tuple[str, ...] | None = None
    hvparams: dict[str, Params] | None = None
    os_hvp: dict[str, dict[str, Params]] | None = None
    beparams: Params | None = None
    osparams: dict[str, dict[str, str | None]] | None = None
    diskparams: dict[str, Params] | None = None
    nicparams: Params | None = None
    ndparams: Params | None = None
    ipolicy: dict[str, Any] | None = None
    candidate_pool_size: Annotated[int, Meta(ge=1, le=MAX_NUMBER)] | None = None
    max_running_jobs: Annotated[int, Meta(ge=1, le=MAX_NUMBER)] | None = None
    max_tracked_jobs: Annotated[int, Meta(ge=1, le=MAX_NUMBER)] | None = None
    job_archive_age: (
        Annotated[
            float, Meta(ge=0, description="archive jobs so many seconds after their end; 0: never")
        ]
        | None
    ) = None
    mac_prefix: str | None = None
    master_netdev: str | None = None
    master_netmask: Annotated[int, Meta(ge=1, le=128)] | None = None
    maintain_node_health: bool | None = None
    prealloc_wipe_disks: bool | None = None
    drbd_helper: str | None = None
    default_iallocator: str | None = None
    default_iallocator_params: Params | None = None
    reserved_lvs: tuple[str, ...] | None = None
    hidden_os: tuple[tuple[Literal["add", "remove"], str], ...] | None = None
    blacklisted_os: tuple[tuple[Literal["add", "remove"], str], ...] | None = None
    file_storage_dir: str | None = None
    shared_file_storage_dir: str | None = None
    gluster_storage_dir: str | None = None
    modify_etc_hosts: bool | None = None
    balancing: Annotated[
        dict[str, Any] | None,
        Meta(description="how the cluster is kept even: the values to change, by name"),
    ] = None


PLAIN = (
    "candidate_pool_size",
    "max_running_jobs",
    "max_tracked_jobs",
    "mac_prefix",
    "master_netdev",
    "master_netmask",
    "maintain_node_health",
    "prealloc_wipe_disks",
    "default_iallocator",
    "default_iallocator_params",
    "reserved_lvs",
    "file_storage_dir",
    "shared_file_storage_dir",
    "gluster_storage_dir",
    "modify_etc_hosts",
    "enabled_hypervisors",
    "enabled_disk_templates",
)
"""Fields that are stored as they are given."""


def check(opcode: ClusterSetParams, view: View) -> None:
    """Something is changed and what instances use stays enabled."""
    requirements.served(
        {
            "powering off guests that should not run": bool(opcode.maintain_node_health),
            "changing /etc/hosts of the nodes": bool(opcode.modify_etc_hosts),
        }
    )
    if not changes(opcode, view):
        raise Refused("Please give at least one of the parameters", "wrong_input")
    used_templates = {i.disk_template for i in view.configuration.instances(unfinished=True)}
    used_hypervisors = {i.hypervisor for i in view.configuration.instances(unfinished=True)}
    templates = [str(template) for template in storage.plugin.built_in()]
    drivers = list(hypervisors.plugins.built_in())
    _kept(opcode.enabled_disk_templates, used_templates, templates, "disk template")
    _kept(opcode.enabled_hypervisors, used_hypervisors, drivers, "hypervisor")
    for one in opcode.reserved_lvs or ():
        try:
            re.compile(one)
        except re.error as error:
            raise Refused(f"Reserved volumes '{one}': {error}", "wrong_input") from None
    _check_directories(opcode, view)
    if opcode.vg_name is not None:
        _check_volume_group(opcode, view, opcode.vg_name)
    allocator = opcode.default_iallocator
    if allocator and not is_name(allocator):
        raise Refused(f"'{allocator}' cannot be the name of an iallocator", "wrong_input")
    if opcode.mac_prefix is not None:
        addressing.mac_prefix(opcode.mac_prefix)


def _check_directories(opcode: ClusterSetParams, view: View) -> None:
    for field in ("file_storage_dir", "shared_file_storage_dir", "gluster_storage_dir"):
        path = getattr(opcode, field)
        if path and not parameters.is_directory_path(path):
            raise Refused(f"'{path}' is no absolute path of a directory", "wrong_input")
    mounts = opcode.gluster_storage_dir
    if mounts is None or mounts == view.configuration.cluster.gluster_storage_dir:
        return
    for instance in view.configuration.instances(unfinished=True):
        if instance.disk_template == "gluster" and instance.disks_active:
            raise Refused(
                f"Instance '{instance.name}' uses its disks where Gluster volumes are mounted now:"
                " shut it down to have them mounted elsewhere",
                "wrong_state",
            )


def _check_volume_group(opcode: ClusterSetParams, view: View, group: str) -> None:
    """Where LVM is used, every node in service that can be seen has the volume group."""
    configuration = view.configuration
    templates = opcode.enabled_disk_templates or configuration.cluster.enabled_disk_templates
    uses = sorted(set(templates).intersection(LVM))
    if not uses:
        return
    if not group:
        raise Refused(
            f"Disk templates that use LVM are enabled ({', '.join(uses)}): they need a volume"
            " group",
            "wrong_state",
        )
    for node in configuration.nodes():
        observation = view.sight(node).observation
        if node.offline or observation is None:
            continue
        groups = {found.pool for found in observation.capacity if found.template in LVM}
        if group not in groups:
            raise Refused(
                f"Volume group '{group}' is not on node {node.name}: make it there, and name it in"
                " the node's settings (storage.volume_groups)",
                "environment_error",
            )


def _kept(wanted: tuple[str, ...] | None, used: set[str], served: Sequence[str], word: str) -> None:
    if wanted is None:
        return
    if not wanted:
        raise Refused(f"At least one {word} must stay enabled", "wrong_input")
    unknown = sorted(set(wanted) - set(served))
    if unknown:
        raise Refused(
            f"Unknown {word} '{unknown[0]}': served are {', '.join(served)}", "wrong_input"
        )
    missing = sorted(used - set(wanted))
    if missing:
        raise Refused(
            f"Cannot disable {word} '{missing[0]}': instances are using it", "wrong_state"
        )


def changes(opcode: ClusterSetParams, view: View) -> dict[str, Any]:
    """Field -> new value."""
    cluster = view.configuration.cluster
    new: dict[str, Any] = {
        key: getattr(opcode, key) for key in PLAIN if getattr(opcode, key) is not None
    }
    if opcode.vg_name is not None:
        new["volume_group_name"] = opcode.vg_name
    if opcode.job_archive_age is not None:
        new["job_archive_age_s"] = opcode.job_archive_age
    if opcode.drbd_helper is not None:
        new["drbd_usermode_helper"] = opcode.drbd_helper
    if opcode.beparams:
        new["beparams"] = parameters.beparams(opcode.beparams, cluster.beparams)
    if opcode.ndparams:
        new["ndparams"] = parameters.node(opcode.ndparams, cluster.ndparams)
    if opcode.nicparams:
        new["nicparams"] = parameters.nic(opcode.nicparams, cluster.nicparams)
    new.update(_plugin_params(opcode, cluster))
    if opcode.ipolicy is not None:
        new["ipolicy"] = ipolicy.changed(opcode.ipolicy, cluster.ipolicy)
    if opcode.balancing:
        new["balancing"] = balancing.changed(cluster.balancing, opcode.balancing)
    for field in ("hidden_os", "blacklisted_os"):
        if getattr(opcode, field) is not None:
            new[field] = _listed(getattr(cluster, field), getattr(opcode, field))
    return new


def _plugin_params(opcode: ClusterSetParams, cluster: Cluster) -> dict[str, Any]:
    """Parameters by hypervisor, disk template and OS definition."""
    new: dict[str, Any] = {}
    if opcode.hvparams:
        own: dict[str, OwnParams] = dict(cluster.hvparams)
        for name, given in opcode.hvparams.items():
            own[name] = parameters.hypervisor(name, given, own.get(name, {}))
        new["hvparams"] = own
    if opcode.diskparams:
        disks: dict[str, OwnParams] = dict(cluster.diskparams)
        for template, given in opcode.diskparams.items():
            disks[template] = parameters.disk(template, given, disks.get(template, {}))
        new["diskparams"] = disks
    if opcode.os_hvp:
        new["os_hvp"] = _os_hvp(opcode, cluster.os_hvp)
    if opcode.osparams:
        new["osparams"] = {
            **cluster.osparams,
            **{
                name: {key: text for key, text in given.items() if text is not None}
                for name, given in opcode.osparams.items()
            },
        }
    return new


def _os_hvp(
    opcode: ClusterSetParams, old: dict[str, dict[str, OwnParams]]
) -> dict[str, dict[str, OwnParams]]:
    new = {name: dict(levels) for name, levels in old.items()}
    for os_name, levels in (opcode.os_hvp or {}).items():
        for hypervisor, given in levels.items():
            base = new.setdefault(os_name, {}).get(hypervisor, {})
            new[os_name][hypervisor] = parameters.hypervisor(hypervisor, given, base)
    return new


def _listed(old: tuple[str, ...], edits: Any) -> tuple[str, ...]:
    names = list(old)
    for action, name in edits:
        if action == "add" and name not in names:
            names.append(name)
        if action == "remove" and name in names:
            names.remove(name)
    return tuple(names)


def promoted(opcode: ClusterSetParams, view: View) -> list[Node]:
    """Nodes that become candidates because there shall be more."""
    before = view.configuration.cluster.candidate_pool_size
    wanted = opcode.candidate_pool_size or before
    return roles.missing_candidates(view, wanted) if wanted > before else []


def locks(opcode: ClusterSetParams, view: View) -> Sequence[Lock]:
    """The cluster is shared with others; nodes that get another role are not."""
    nodes = promoted(opcode, view)
    return [BIG_LOCK_SHARED, *(locking.node_lock(node, shared=False) for node in nodes)]


def plan(opcode: ClusterSetParams, view: View) -> Sequence[Step]:
    """One write, after a look at what it names, and what makes further nodes candidates."""
    cluster = view.configuration.cluster
    steps: list[Step] = []
    allocator = opcode.default_iallocator
    if allocator and allocator not in choice.BUILT_IN:
        master = view.configuration.node(cluster.master_node)
        steps.append(RequireAllocator(name=allocator, node=master.name))
    steps.append(record_cluster(cluster, **changes(opcode, view)))
    gains = promoted(opcode, view)
    for node in gains:
        steps.append(Say(text=f" - INFO: Promoting node {node.name} to master candidate"))
        steps.append(record_node(node, master_candidate=True))
    return [*steps, *(candidates.steps(view, gains=gains) if gains else ())]


def environment(opcode: ClusterSetParams, view: View) -> dict[str, str]:
    """The cluster's name and the new volume group."""
    return {
        "OP_TARGET": view.configuration.cluster.name,
        "NEW_VG_NAME": str(opcode.vg_name),
    }


KIND = OpcodeKind(
    opcode=ClusterSetParams,
    locks=locks,
    check=check,
    plan=plan,
    hooks=HookPoint("cluster-modify", "CLUSTER", environment, master_node),
)
