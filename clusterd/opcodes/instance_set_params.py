"""Change the parameters of an instance."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from clusterd import parameters
from clusterd.hooks import HookPoint, instance_environment, instance_nodes
from clusterd.model import AdminState, Instance, Nic
from clusterd.names import MAX_NICS
from clusterd.opcodes import drafts, locking, requirements
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
from clusterd.steps.instances import SetNics, record
from clusterd.view import View
from jobqueue.errors import Refused
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
    hotplug: Annotated[
        bool, Meta(description="accepted for compatibility: it changes at its next start")
    ] = True
    instance_communication: bool | None = None


def sights(opcode: InstanceSetParams, view: View) -> Iterable[str]:
    """The primary node, where it matters whether the guest runs."""
    if not opcode.offline:
        return []
    return [view.primary(view.configuration.instance(opcode.instance_name)).name]


def check(opcode: InstanceSetParams, view: View) -> None:
    """Something is to be changed, and each change makes sense."""
    instance = view.configuration.instance(opcode.instance_name)
    if opcode.disks or opcode.disk_template or opcode.pnode or opcode.remote_node:
        raise Refused("This version does not change disks or nodes of an instance", "wrong_input")
    if opcode.runtime_mem is not None:
        raise Refused("This version does not change the memory of a running guest", "wrong_input")
    if opcode.offline and requirements.runs(view, instance):
        raise Refused(f"Instance '{instance.name}' is running, cannot mark offline", "wrong_state")
    if opcode.offline is False and instance.admin_state is not AdminState.OFFLINE:
        raise Refused(f"Instance '{instance.name}' is not marked offline", "wrong_state")
    requirements.served(
        {
            "private OS parameters of an instance that exists": bool(opcode.osparams_private),
            "parameters of external storage": bool(opcode.ext_params),
            "other drivers or directories for disks in files": bool(
                opcode.file_driver or opcode.file_storage_dir
            ),
            "instance communication": bool(opcode.instance_communication),
        }
    )
    new = changes(opcode, view)
    if not new:
        raise Refused("No changes submitted", "wrong_input")
    if "nics" in new:
        _cards_fit(view, instance, new["nics"])


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
    if opcode.nics:
        new["nics"] = _nics(opcode, view, instance)
    return new


def _nics(opcode: InstanceSetParams, view: View, instance: Instance) -> tuple[Any, ...]:
    cards = list(instance.nics)
    for item in opcode.nics:
        operation, which, spec = item if len(item) == 3 else (item[0], -1, item[1])
        if isinstance(operation, int):
            operation, which = "modify", operation
        if operation == "add":
            cards.append(drafts.nic(view, len(cards), spec))
            continue
        at = _position(cards, which, "Network card")
        if operation in ("remove", "detach"):
            del cards[at]
        elif operation == "modify":
            old = cards[at]
            base = {"mac": old.mac, "ip": old.ip, "name": old.name, **old.params}
            new = drafts.nic(view, at, {**base, **spec})
            cards[at] = msgspec.structs.replace(new, uuid=old.uuid)
        else:
            raise Refused(f"Unknown operation '{operation}' on a network card", "wrong_input")
    return tuple(cards)


def _cards_fit(view: View, instance: Instance, cards: Sequence[Nic]) -> None:
    """Not too many, and no address twice in the cluster."""
    if len(cards) > MAX_NICS:
        raise Refused(f"{len(cards)} network cards asked for, at most {MAX_NICS}", "wrong_input")
    taken = set(view.configuration.macs()) - {card.mac for card in instance.nics}
    for card in cards:
        if card.mac and card.mac in taken:
            raise Refused(
                f"MAC address {card.mac} already in use in cluster", "resource_not_unique"
            )
        taken.add(card.mac)


def _position(items: list[Any], which: Any, word: str) -> int:
    """An item by index (-1: the last), name or uuid."""
    if isinstance(which, str) and re.fullmatch(r"-?[0-9]{1,9}", which):
        which = int(which)
    if isinstance(which, int):
        at = len(items) - 1 if which == -1 else which
        if 0 <= at < len(items):
            return at
    for at, item in enumerate(items):
        if which in (item.name, item.uuid):
            return at
    raise Refused(f"{word} '{which}' not found", "unknown_entity")


def plan(opcode: InstanceSetParams, view: View) -> Sequence[Step]:
    """One write."""
    instance = view.configuration.instance(opcode.instance_name)
    new = changes(opcode, view)
    cards = new.pop("nics", None)
    steps: list[Step] = [record(instance, **new)] if new else []
    if cards is not None:
        steps.append(SetNics(instance=instance.uuid, nics=cards, before=instance.nics))
    return steps


def result(opcode: InstanceSetParams, view: View, _outputs: Sequence[Any]) -> Any:
    """[[parameter, new value]]"""
    rows: list[list[Any]] = []
    rows += [[f"be/{key}", value] for key, value in sorted(opcode.beparams.items())]
    rows += [[f"hv/{key}", value] for key, value in sorted(opcode.hvparams.items())]
    rows += [[f"os/{key}", value] for key, value in sorted((opcode.osparams or {}).items())]
    rows += [[f"nic.{item[0]}/{item[1]}", item[-1]] for item in opcode.nics]
    if opcode.offline is not None:
        rows.append(["admin_state", "offline" if opcode.offline else "down"])
    if opcode.os_name:
        rows.append(["os", opcode.os_name])
    return rows


def environment(opcode: InstanceSetParams, view: View) -> dict[str, str]:
    """The instance block with the new values."""
    instance = view.configuration.instance(opcode.instance_name)
    new = {key: value for key, value in changes(opcode, view).items() if key != "nics"}
    return instance_environment(view, msgspec.structs.replace(instance, **new))


KIND = OpcodeKind(
    opcode=InstanceSetParams,
    locks=locking.the_instance,
    sights=sights,
    check=check,
    plan=plan,
    result=result,
    summary_field="instance_name",
    hooks=HookPoint("instance-modify", "INSTANCE", environment, instance_nodes),
)
