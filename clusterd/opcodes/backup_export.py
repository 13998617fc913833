"""Export an instance: its disks and its description, on a node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

from clusterd.hooks import HookPoint, instance_environment, master_node
from clusterd.model import Instance, Node
from clusterd.opcodes import disk_steps, guest_os, instance_remove, locking, requirements
from clusterd.opcodes.fields import SHUTDOWN_TIMEOUT_S, Compress, InstanceName, ShutdownTimeout
from clusterd.opcodes.instance_remove import InstanceRemove
from clusterd.steps.cluster import Say
from clusterd.steps.disks import AttachVolume, DetachVolume
from clusterd.steps.exports import BeginExport, CommitExport, RemoveExport
from clusterd.steps.guests import AskGuestToStop, DestroyGuest, StartGuest, UnlinkDisks
from clusterd.steps.snapshots import FreezeGuest, ThawGuest
from clusterd.steps.streams import ExportDisk, ForgetStill, StillVolume
from clusterd.view import View
from clusterd.volumes import guests_alone, keeps_stills, params_of, read_by_still
from jobqueue.errors import Refused
from jobqueue.lock import Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step

ELSEWHERE = "exports to other clusters (mode 'remote'); copy the directory of an export there"


class BackupExport(Opcode, frozen=True, kw_only=True, tag="OP_BACKUP_EXPORT"):
    """Export an instance to a node."""

    instance_name: InstanceName
    target_node: Annotated[
        str | list[Any] | None, Meta(description="node that keeps the export")
    ] = None
    compress: Compress = "none"
    shutdown_timeout: ShutdownTimeout = SHUTDOWN_TIMEOUT_S
    shutdown: Annotated[bool, Meta(description="stop the guest while its disks are looked at")] = (
        True
    )
    remove_instance: Annotated[bool, Meta(description="remove the instance afterwards")] = False
    ignore_remove_failures: Annotated[
        bool, Meta(description="forget it although parts could not be removed")
    ] = False
    mode: Annotated[Literal["local", "remote"], Meta(description="local: to a node")] = "local"
    x509_key_name: Any = None
    destination_x509_ca: str | None = None
    zero_free_space: bool = False
    zeroing_timeout_fixed: int | None = None
    zeroing_timeout_per_mib: float | None = None
    long_sleep: Annotated[
        bool, Meta(description="the guest stays down until everything is copied")
    ] = False


def locks(opcode: BackupExport, view: View) -> Iterable[Lock]:
    """The instance, its nodes and the one that keeps the export."""
    instance = view.configuration.instance(opcode.instance_name)
    return locking.on_instance(view, instance, keeper(opcode, view))


def keeper(opcode: BackupExport, view: View) -> Node:
    """The node that keeps the export; raises Refused."""
    requirements.served(
        {
            ELSEWHERE: opcode.mode != "local",
            "writing zeros to the free space of a guest": opcode.zero_free_space,
        }
    )
    if not isinstance(opcode.target_node, str):
        raise Refused("Name the node that shall keep the export (option -n)", "wrong_input")
    return view.configuration.node(opcode.target_node)


def sights(opcode: BackupExport, view: View) -> Iterable[str]:
    """The instance's node and the one that keeps the export."""
    instance = view.configuration.instance(opcode.instance_name)
    return [view.primary(instance).name, keeper(opcode, view).name]


def check(opcode: BackupExport, view: View) -> None:
    """Both nodes answer, the disks can be read, and a guest is stopped where it must be."""
    instance = view.configuration.instance(opcode.instance_name)
    requirements.node_online(view, view.primary(instance))
    requirements.node_online(view, keeper(opcode, view))
    if not instance.disks:
        raise Refused(f"Instance '{instance.name}' has no disks to export", "wrong_state")
    requirements.disks_settled(view, instance)
    if opcode.remove_instance and not opcode.shutdown:
        raise Refused("Can not remove instance without shutting it down before", "wrong_input")
    readable(view, instance)
    requirements.guest_seen(view, instance)
    runs = requirements.runs(view, instance)
    if runs and not opcode.long_sleep and not _stills(instance):
        what = ", ".join(sorted({disk.template for disk in instance.disks}))
        raise Refused(
            f"Disks of template {what} cannot be read while they are written: export with"
            " --long-sleep, and the instance stays down as long as it takes"
            + ("" if opcode.shutdown else ", and without --noshutdown"),
            "wrong_state",
        )
    if runs and opcode.long_sleep and not opcode.shutdown:
        raise Refused("--long-sleep and --noshutdown exclude each other", "wrong_input")


def readable(view: View, instance: Instance) -> None:
    """The contents of the disks can be read as they are; raises Refused."""
    primary = view.primary(instance)
    if instance.os:
        guest_os.found_on(view, primary, instance.os, force_variant=True)
    for index, disk in enumerate(instance.disks):
        params = params_of(view, disk.template, disk.params, primary.group)
        what = f"Disk {index} of instance '{instance.name}'"
        if not instance.os and guests_alone(disk.template, params):
            raise Refused(
                f"{what} is reached by its guest alone, and no OS definition is there to export"
                " it: set access to kernelspace",
                "wrong_state",
            )


def _stills(instance: Instance) -> bool:
    return all(keeps_stills(disk.template) for disk in instance.disks)


def plan(opcode: BackupExport, view: View) -> Sequence[Step]:
    """Look at the disks at one moment, let the guest go on, copy, commit; then what was asked."""
    instance = view.configuration.instance(opcode.instance_name)
    source, target = view.primary(instance), keeper(opcode, view)
    up, name, places = requirements.runs(view, instance), instance.uuid, range(len(instance.disks))
    stills = _stills(instance) and not opcode.long_sleep and up
    stops = up and opcode.shutdown
    again = stops and not opcode.remove_instance
    start: list[Step] = [
        Say(text=f"Starting instance {instance.name}"),
        StartGuest(instance=name, node=source.name),
    ]
    steps: list[Step] = [
        *disk_steps.tidy(view, instance),
        BeginExport(name=instance.name, node=target.name),
    ]
    if stops:
        steps += _stop(opcode, instance, source)
    elif up:
        steps.append(FreezeGuest(instance=name, node=source.name))
    if not up:
        steps += _usable(view, instance, source)
    if stills:
        steps.append(Say(text="* taking a picture of each disk"))
        steps += [StillVolume(instance=name, disk=at, node=source.name) for at in places]
    if up and not stops:
        steps.append(ThawGuest(instance=name, node=source.name))
    if again and stills:
        steps += start
    for at in places:
        steps += _exported(opcode, view, instance, at, still=stills)
    if stills:
        steps += [ForgetStill(instance=name, disk=at, node=source.name) for at in places]
    if not up and not instance.disks_active:
        steps += _unusable(view, instance, source)
    steps.append(CommitExport(name=instance.name, node=target.name))
    if again and not stills:
        steps += start
    steps += _older(view, instance, target)
    if opcode.remove_instance:
        steps.append(Say(text=f"* the export is complete; removing instance {instance.name}"))
        removal = InstanceRemove(
            instance_name=instance.name, ignore_failures=opcode.ignore_remove_failures
        )
        steps += instance_remove.plan(removal, view)
    return steps


def _exported(
    opcode: BackupExport, view: View, instance: Instance, at: int, *, still: bool
) -> list[Step]:
    """One disk is in the export. ``still``: there is one of each disk."""
    source, target, disk = view.primary(instance), keeper(opcode, view), instance.disks[at]
    params = params_of(view, disk.template, disk.params, source.group)
    alone = not still and read_by_still(disk.template, params)
    on_disk: Any = {"instance": instance.uuid, "disk": at, "node": source.name}
    steps: list[Step] = [Say(text=f"* exporting disk {at} to {target.name}")]
    if alone:
        steps.append(StillVolume(**on_disk))
    steps.append(
        ExportDisk(**on_disk, keeper=target.name, compress=opcode.compress, still=still or alone)
    )
    if alone:
        steps.append(ForgetStill(**on_disk))
    return steps


def _stop(opcode: BackupExport, instance: Instance, source: Node) -> list[Step]:
    name, timeout_s = instance.uuid, opcode.shutdown_timeout
    return [
        Say(text=f"Shutting down instance {instance.name}"),
        AskGuestToStop(instance=name, node=source.name, timeout_s=timeout_s, restart=True),
        DestroyGuest(instance=name, node=source.name, restart=True),
    ]


def _usable(view: View, instance: Instance, source: Node) -> list[Step]:
    """The disks of a stopped instance can be read. Those that are to be active stay attached
    whatever comes; that they are is not known, the host may have been without power."""
    if instance.disks_active:
        return [
            AttachVolume(instance=instance.uuid, disk=at, node=source.name, keep=True)
            for at in range(len(instance.disks))
        ]
    secondary = view.secondary(instance)
    mirror = secondary if secondary is not None and view.reachable(secondary) else None
    return disk_steps.activate(instance, source, mirror, force=mirror is None)


def _unusable(view: View, instance: Instance, source: Node) -> list[Step]:
    """They are as they were."""
    secondary = view.secondary(instance)
    nodes = [source, *((secondary,) if secondary is not None and view.reachable(secondary) else ())]
    return [
        UnlinkDisks(instance=instance.uuid, node=source.name),
        *(
            DetachVolume(instance=instance.uuid, disk=at, node=node.name, optional=node != source)
            for node in nodes
            for at in range(len(instance.disks))
        ),
    ]


def _older(view: View, instance: Instance, target: Node) -> list[Step]:
    """Exports of the instance on other nodes go, as in Ganeti."""
    steps: list[Step] = []
    for node in view.configuration.nodes():
        seen = view.sight(node).observation
        if node != target and view.reachable(node) and seen and instance.name in seen.exports:
            steps.append(Say(text=f"* removing the older export on {node.name}"))
            steps.append(RemoveExport(name=instance.name, node=node.name, optional=True))
    return steps


def result(opcode: BackupExport, view: View, outputs: Sequence[Any]) -> Any:
    """[whether it was completed, per disk whether it was copied]"""
    instance = view.configuration.find_instance(opcode.instance_name)
    if instance is not None:
        return [True, [True for _ in instance.disks]]
    return [True, [True for output in outputs if isinstance(output, int)]]


def environment(opcode: BackupExport, view: View) -> dict[str, str]:
    """The instance block and how it is exported."""
    instance = view.configuration.find_instance(opcode.instance_name)
    env = {"OP_TARGET": opcode.instance_name}
    if instance is not None:
        env = instance_environment(view, instance)
    return {
        **env,
        "EXPORT_MODE": opcode.mode,
        "EXPORT_NODE": str(opcode.target_node or ""),
        "EXPORT_DO_SHUTDOWN": str(opcode.shutdown),
        "SHUTDOWN_TIMEOUT": str(opcode.shutdown_timeout),
        "REMOVE_INSTANCE": str(int(opcode.remove_instance)),
    }


def hook_nodes(opcode: BackupExport, view: View) -> list[str]:
    """Master, primary, and the node that keeps it."""
    instance = view.configuration.find_instance(opcode.instance_name)
    own = [view.primary(instance).name] if instance is not None else []
    return [*master_node(opcode, view), *own, keeper(opcode, view).name]


KIND = OpcodeKind(
    opcode=BackupExport,
    locks=locks,
    sights=sights,
    check=check,
    plan=plan,
    result=result,
    summary_field="instance_name",
    hooks=HookPoint("instance-export", "INSTANCE", environment, hook_nodes),
)
