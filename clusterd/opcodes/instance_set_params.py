"""Change the parameters of an instance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from clusterd import capacity, ipolicy, parameters
from clusterd.hooks import HookPoint, instance_environment, instance_nodes
from clusterd.model import AdminState, Instance, Node
from clusterd.opcodes import (
    copies,
    disk_plans,
    guest_os,
    item_changes,
    locking,
    requirements,
    seeding,
    wiring,
)
from clusterd.opcodes.fields import (
    Beparams,
    Force,
    Hvparams,
    Iallocator,
    IgnoreIpolicy,
    InstanceName,
    OsName,
    Osparams,
)
from clusterd.steps.guest_devices import ReshapeGuest
from clusterd.steps.instances import SetNics, record
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.lock import Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class InstanceSetParams(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_SET_PARAMS"):
    """Change the parameters of an instance."""

    instance_name: InstanceName
    force: Force = False
    force_variant: bool = False
    ignore_ipolicy: IgnoreIpolicy = False
    nics: Annotated[tuple[Any, ...], Meta(description="(operation, card, parameters)")] = ()
    disks: Annotated[tuple[Any, ...], Meta(description="(operation, disk, parameters)")] = ()
    beparams: Beparams = {}
    hvparams: Hvparams = {}
    osparams: Osparams | None = None
    osparams_private: dict[str, str] | None = None
    runtime_mem: int | None = None
    disk_template: str | None = None
    ext_params: dict[str, Any] = {}
    file_driver: str | None = None
    file_storage_dir: str | None = None
    pnode: str | None = None
    remote_node: str | None = None
    iallocator: Iallocator = None
    os_name: Annotated[OsName | None, Meta(description="OS definition to record")] = None
    wait_for_sync: bool = True
    offline: Annotated[bool | None, Meta(description="mark offline, or online (down) again")] = None
    conflicts_check: bool = True
    hotplug: Annotated[bool, Meta(description="give a running guest its new devices at once")] = (
        True
    )
    instance_communication: bool | None = None
    cloud_init: seeding.CloudInitWanted = None
    user_data: seeding.UserData = None
    ssh_keys: seeding.SshKeys = None
    network_config: seeding.NetworkConfig = None


def sights(opcode: InstanceSetParams, view: View) -> Iterable[str]:
    """The nodes on which something is to be changed, or must not run."""
    instance = view.configuration.instance(opcode.instance_name)
    nodes = list(view.nodes_of(instance)) if opcode.disks or opcode.disk_template else []
    if opcode.offline or opcode.nics or opcode.os_name:
        nodes.append(view.primary(instance))
    if opcode.remote_node:
        nodes.append(view.configuration.node(opcode.remote_node))
    return sorted({node.name for node in nodes if not node.offline})


def locks(opcode: InstanceSetParams, view: View) -> tuple[Lock, ...]:
    """The instance, its nodes and a new secondary, and the networks of its cards as far as it
    matters where they are connected."""
    instance = view.configuration.instance(opcode.instance_name)
    others = [view.configuration.node(opcode.remote_node)] if opcode.remote_node else []
    specs = [item[-1] for item in opcode.nics if isinstance(item, list | tuple) and item]
    if others:
        specs += [{"network": nic.network} for nic in instance.nics]
    return (*locking.on_instance(view, instance, *others), *wiring.locks(view, specs))


def check(opcode: InstanceSetParams, view: View) -> None:
    """Something is to be changed, and each change makes sense."""
    instance = view.configuration.instance(opcode.instance_name)
    requirements.served(
        {
            "a change of the primary node": bool(opcode.pnode),
            "choosing a node by an allocator; name it (option -n)": bool(opcode.iallocator),
            "a change of the memory of a running guest": opcode.runtime_mem is not None,
            "private OS parameters of an instance that exists": bool(opcode.osparams_private),
            "parameters of external storage": bool(opcode.ext_params),
            "other drivers or directories for disks in files": bool(
                opcode.file_driver or opcode.file_storage_dir
            ),
            "instance communication": bool(opcode.instance_communication),
        }
    )
    if opcode.offline is False and instance.admin_state is not AdminState.OFFLINE:
        raise Refused(f"Instance '{instance.name}' is not marked offline", "wrong_state")
    if opcode.os_name:
        primary = view.primary(instance)
        guest_os.found_on(view, primary, opcode.os_name, force_variant=opcode.force_variant)
    new = changes(opcode, view)
    if opcode.offline or opcode.disks or "nics" in new:
        requirements.guest_seen(view, instance)
    if opcode.offline and requirements.runs(view, instance):
        raise Refused(f"Instance '{instance.name}' is running, cannot mark offline", "wrong_state")
    if not new and not opcode.disks and not opcode.disk_template:
        raise Refused("No changes submitted", "wrong_input")
    if opcode.osparams:
        os_name, primary = opcode.os_name or instance.os, view.primary(instance)
        names = [key for key, text in opcode.osparams.items() if text is not None]
        guest_os.parameters_known(view, primary, os_name, names)
    if not opcode.ignore_ipolicy:
        after = msgspec.structs.replace(instance, **{**new, "disks": instance.disks})
        ipolicy.require_still(view, instance, after)
    if opcode.disk_template:
        _check_conversion(opcode, view, instance)
    elif opcode.remote_node:
        raise Refused(
            "A secondary node is only named when the disk template becomes a mirrored one; use "
            "replace-disks",
            "wrong_input",
        )
    if opcode.disks:
        _check_disks(opcode, view, instance)


def _check_disks(opcode: InstanceSetParams, view: View, instance: Instance) -> None:
    nodes = view.nodes_of(instance)
    wanted = item_changes.disks(opcode.disks, view, instance, nodes)
    requirements.disks_settled(view, instance)
    requirements.no_children(view, instance, [instance.disks[at] for at in wanted.removed])
    for node in nodes if wanted.added or wanted.removed else ():
        requirements.node_online(view, node)
        added = [disk for _, disk in wanted.added]
        requirements.room_for(view, node, capacity.disk_need_mib(added))
        requirements.providers_found(view, node, added)
    if wanted.removed and not opcode.hotplug and requirements.runs(view, instance):
        raise Refused(
            f"Instance '{instance.name}' is running: stop it to remove disks without hotplug",
            "wrong_state",
        )
    if not opcode.ignore_ipolicy and (wanted.added or wanted.removed):
        left = [disk for at, disk in enumerate(instance.disks) if at not in wanted.removed]
        disks = (*left, *(disk for _, disk in wanted.added))
        after = msgspec.structs.replace(instance, disks=disks, disk_template=wanted.template)
        ipolicy.require(view, after)


_NO_CONVERSION = {
    True: "Conversion from the 'diskless' disk template is not supported; add disks instead (--disk"
    " add:size=SIZE,dev_type=TEMPLATE)",
    False: "Conversion to the 'diskless' disk template is not supported; remove the disks instead"
    " (--disk N:remove)",
}
"""By whether the instance has no disks yet."""


def _check_conversion(opcode: InstanceSetParams, view: View, instance: Instance) -> None:
    old, new = instance.disk_template, opcode.disk_template
    if opcode.disks:
        raise Refused(
            "Disk template conversion and other disk changes are not supported at the same time",
            "wrong_input",
        )
    if old == new:
        raise Refused(f"Instance already has the specified disk template {old}", "wrong_state")
    if item_changes.DISKLESS in (old, new):
        raise Refused(_NO_CONVERSION[old == item_changes.DISKLESS], "wrong_input")
    if (old, new) not in disk_plans.CONVERSIONS and not copies.converts(old, str(new)):
        raise Refused(
            f"Disks are converted among {', '.join(copies.COPIED)}, not from {old} to {new}",
            "wrong_input",
        )
    if new not in view.configuration.cluster.enabled_disk_templates:
        raise Refused(f"Disk template '{new}' is not enabled in cluster", "wrong_input")
    requirements.guest_seen(view, instance)
    if instance.admin_state is AdminState.UP or requirements.runs(view, instance):
        raise Refused(
            f"Instance '{instance.name}' is marked to be up: shut it down to convert its disks",
            "wrong_state",
        )
    requirements.no_snapshots(instance, "converted")
    requirements.disks_settled(view, instance)
    requirements.node_online(view, view.primary(instance))
    if new != "drbd":
        if opcode.remote_node:
            raise Refused(f"Disk template {new} has no secondary node", "wrong_input")
        _check_copies(view, instance, str(new), None)
        return
    if not opcode.remote_node:
        raise Refused("A mirrored disk template needs a secondary node (option -n)", "wrong_input")
    secondary = view.configuration.node(opcode.remote_node)
    if secondary.uuid == instance.primary_node:
        raise Refused("The secondary node cannot be the primary node", "wrong_input")
    requirements.node_takes_instances(view, secondary)
    wiring.require_connected(view, instance, secondary)
    if (old, new) not in disk_plans.CONVERSIONS:
        _check_copies(view, instance, str(new), secondary)
        return
    disks = disk_plans.mirrored(view, instance, secondary)
    requirements.room_for(view, secondary, capacity.disk_need_mib(disks))


def _check_copies(view: View, instance: Instance, template: str, secondary: Node | None) -> None:
    if (instance.disk_template, template) in disk_plans.CONVERSIONS:
        return
    nodes = [view.primary(instance), *((secondary,) if secondary is not None else ())]
    disks = copies.as_template(view, instance, template, secondary)
    copies.check(view, instance, disks, nodes)


def changes(opcode: InstanceSetParams, view: View) -> dict[str, Any]:
    """Field -> new value."""
    instance = view.configuration.instance(opcode.instance_name)
    new: dict[str, Any] = {}
    if opcode.beparams:
        new["beparams"] = parameters.beparams(opcode.beparams, instance.beparams)
    if opcode.hvparams:
        new["hvparams"] = parameters.hypervisor(
            instance.hypervisor, opcode.hvparams, instance.hvparams
        )
    if opcode.osparams:
        given = opcode.osparams
        kept = {key: text for key, text in instance.osparams.items() if key not in given}
        new["osparams"] = kept | {key: text for key, text in given.items() if text is not None}
    if opcode.os_name:
        new["os"] = opcode.os_name
    if opcode.offline is not None:
        new["admin_state"] = AdminState.OFFLINE if opcode.offline else AdminState.DOWN
    cloud_init = seeding.seed(opcode, instance.cloud_init)
    if cloud_init != instance.cloud_init:
        new["cloud_init"] = cloud_init
    if opcode.nics:
        new["nics"] = item_changes.nics(
            opcode.nics, view, instance, conflicts_check=opcode.conflicts_check
        )
    return new


def plan(opcode: InstanceSetParams, view: View) -> Sequence[Step]:
    """One write for fields, then cards, disks, the template; a running guest is told."""
    instance = view.configuration.instance(opcode.instance_name)
    new = changes(opcode, view)
    cards = new.pop("nics", None)
    hot = opcode.hotplug and requirements.runs(view, instance)
    steps: list[Step] = [record(instance, **new)] if new else []
    if cards is not None:
        steps.append(SetNics(instance=instance.uuid, nics=cards, before=instance.nics))
        if hot:
            node = view.primary(instance).name
            steps.append(ReshapeGuest(instance=instance.uuid, node=node, optional=True))
    if opcode.disks:
        nodes = view.nodes_of(instance)
        wanted = item_changes.disks(opcode.disks, view, instance, nodes)
        steps += disk_plans.change(view, instance, wanted, hot=hot)
    if opcode.disk_template:
        node_name = opcode.remote_node
        secondary = view.configuration.node(node_name) if node_name else None
        steps += disk_plans.convert(
            view, instance, opcode.disk_template, secondary, wait=opcode.wait_for_sync
        )
    return steps


def result(opcode: InstanceSetParams, view: View, _outputs: Sequence[Any]) -> Any:
    """[[parameter, new value]]"""
    rows: list[list[Any]] = []
    rows += [[f"be/{key}", value] for key, value in sorted(opcode.beparams.items())]
    rows += [[f"hv/{key}", value] for key, value in sorted(opcode.hvparams.items())]
    rows += [[f"os/{key}", value] for key, value in sorted((opcode.osparams or {}).items())]
    rows += [[f"nic.{item[0]}/{item[1]}", item[-1]] for item in opcode.nics]
    rows += [[f"disk.{item[0]}/{item[1]}", item[-1]] for item in opcode.disks]
    if opcode.disk_template:
        rows.append(["disk_template", opcode.disk_template])
    if opcode.offline is not None:
        rows.append(["admin_state", "offline" if opcode.offline else "down"])
    if opcode.cloud_init is not None or seeding.told(opcode):
        seeded = view.configuration.instance(opcode.instance_name).cloud_init is not None
        rows.append(["cloud_init", "from the next start" if seeded else "no"])
    if opcode.os_name:
        rows.append(["os", opcode.os_name])
    return rows


def environment(opcode: InstanceSetParams, view: View) -> dict[str, str]:
    """The instance block with the new values."""
    instance = view.configuration.instance(opcode.instance_name)
    # afterwards the cards are what they were to become, and are not found by their old places
    new = changes(msgspec.structs.replace(opcode, nics=()), view)
    shown = instance_environment(view, msgspec.structs.replace(instance, **new))
    if opcode.disk_template:
        shown["NEW_DISK_TEMPLATE"] = opcode.disk_template
    return shown


KIND = OpcodeKind(
    opcode=InstanceSetParams,
    locks=locks,
    sights=sights,
    check=check,
    plan=plan,
    result=result,
    summary_field="instance_name",
    hooks=HookPoint("instance-modify", "INSTANCE", environment, instance_nodes),
)
