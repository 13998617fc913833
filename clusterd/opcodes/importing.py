"""Making an instance from an export: what the export fills in, and how its contents come. Pure.

What is given goes before what the export says. Parameters that this version does not know are left
out; those that equal the cluster's are left to it when defaults are to be identified.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from clusterd import address_pool, defaults, parameters
from clusterd.export_file import Exported, read
from clusterd.model import Instance, Network, Node, Params
from clusterd.opcodes import locking, requirements
from clusterd.steps.cluster import Say
from clusterd.steps.guests import RunOs
from clusterd.steps.streams import ImportDisk
from clusterd.view import View
from clusterd.volumes import guests_alone, params_of
from clusterd.world import ExportFound
from jobqueue.errors import Refused
from jobqueue.lock import Lock
from jobqueue.step import Step


class ExportSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an instance comes from."""

    node: str
    """Host name."""
    path: str
    name: str
    """What it was called."""
    dumps: tuple[str, ...]
    """Files with the contents of the disks; empty where there are none."""
    sizes_mib: tuple[int, ...]
    left_out: tuple[str, ...] = ()
    """Parameters that are not known here."""


def learn(opcode: Any, view: View) -> tuple[str, str] | None:
    """The node and the export to be read; raises Refused."""
    if opcode.mode != "import":
        if opcode.source is not None:
            raise Refused("Only an import has a source", "wrong_input")
        return None
    path = opcode.src_path or opcode.instance_name
    if opcode.src_node is not None:
        node = view.configuration.node(opcode.src_node)
        requirements.node_online(view, node)
        return node.name, path
    if path.startswith("/"):
        raise Refused(
            "Importing an instance from a path requires a source node option (--src-node)",
            "wrong_input",
        )
    for node in view.configuration.nodes():
        seen = view.sight(node).observation
        if view.reachable(node) and seen is not None and path in seen.exports:
            return node.name, path
    raise Refused(f"No export found for relative path {path}", "wrong_input")


def learned(opcode: Any, view: View, answer: tuple[str, ExportFound]) -> Any:
    """The opcode with everything that the export says and nobody else did; raises Refused."""
    node, found = answer
    exported = read(found.text, found.path)
    if not exported.disks:
        raise Refused(f"The export {found.path} has no disks", "wrong_input")
    disks = opcode.disks or tuple(
        {"size": disk.size_mib, **({"name": disk.name} if disk.name else {})}
        for disk in exported.disks
    )
    if len(disks) < len(exported.disks):
        raise Refused(
            f"Not enough disks to import (instance: {len(disks)}, export: {len(exported.disks)})",
            "wrong_input",
        )
    hypervisor = opcode.hypervisor or _hypervisor(view, exported)
    own_hv = _known(exported.hvparams, parameters.hypervisor_defaults(hypervisor))
    if exported.hypervisor not in ("", hypervisor):
        own_hv = {}
    own_be = _known(exported.beparams, {**defaults.BEPARAMS, "memory": 0})
    if opcode.identify_defaults:
        cluster = view.configuration.cluster
        base_hv = parameters.hypervisor_defaults(hypervisor) | cluster.hvparams.get(hypervisor, {})
        own_hv = _other_than(own_hv, base_hv, "hypervisor")
        own_be = _other_than(own_be, {**defaults.BEPARAMS, **cluster.beparams}, "backend")
    return msgspec.structs.replace(
        opcode,
        disk_template=opcode.disk_template or exported.disk_template or None,
        disks=tuple(disks),
        nics=_nics(opcode, view, exported),
        os_type=opcode.os_type or exported.os or None,
        hypervisor=hypervisor,
        hvparams={**own_hv, **opcode.hvparams},
        beparams={**own_be, **opcode.beparams},
        osparams={**exported.osparams, **(opcode.osparams or {})},
        osparams_private={**exported.osparams_private, **(opcode.osparams_private or {})},
        tags=opcode.tags or exported.tags,
        source=ExportSource(
            node=node,
            path=found.path,
            name=exported.name,
            dumps=tuple(f"{found.path}/{one.dump}" if one.dump else "" for one in exported.disks),
            sizes_mib=tuple(one.size_mib for one in exported.disks),
            left_out=_left_out(exported, hypervisor),
        ),
    )


def _hypervisor(view: View, exported: Exported) -> str:
    enabled = view.configuration.cluster.enabled_hypervisors
    return exported.hypervisor if exported.hypervisor in enabled else enabled[0]


def _known(found: Mapping[str, str], known: Mapping[str, Any]) -> Params:
    return {key: text for key, text in found.items() if key in known and text != "None"}


def _left_out(exported: Exported, hypervisor: str) -> tuple[str, ...]:
    known = {**parameters.hypervisor_defaults(hypervisor), **defaults.BEPARAMS, "memory": 0}
    if exported.hypervisor not in ("", hypervisor):
        return (f"all of {exported.hypervisor}",)
    return tuple(sorted(({*exported.hvparams} | {*exported.beparams}) - {*known}))


def _other_than(found: Params, base: Params, word: str) -> Params:
    return {
        key: value
        for key, value in found.items()
        if key not in base or parameters.typed(key, value, base[key], word) != base[key]
    }


def _nics(opcode: Any, view: View, exported: Exported) -> tuple[dict[str, Any], ...]:
    """Cards that are given, else the export's. Their addresses stay where the name is the same and
    nobody has them."""
    kept = exported.name == opcode.instance_name
    macs = [card.get("mac", "auto") for card in exported.nics]
    free = [
        mac if kept and view.configuration.owner_of_mac(mac.lower()) is None else "auto"
        for mac in macs
    ]
    if opcode.nics:
        return tuple(
            {**card, "mac": free[index]}
            if card.get("mac") in (None, "auto") and index < len(free)
            else card
            for index, card in enumerate(opcode.nics)
        )
    base = {key: str(value) for key, value in view.nicparams({}).items()}
    cards = []
    for index, card in enumerate(exported.nics):
        own = {key: text for key, text in card.items() if key not in ("network", "bridge")}
        if opcode.identify_defaults:
            own = {key: text for key, text in own.items() if base.get(key) != text}
        if "bridge" in card and "link" not in card:
            own["link"] = card["bridge"]
        network = view.configuration.find_network(card.get("network", ""))
        if network is not None:
            own = _in_network(view, card, network, kept=kept)
        cards.append({**own, "mac": free[index]})
    return tuple(cards)


def _in_network(
    view: View, card: dict[str, str], network: Network, *, kept: bool
) -> dict[str, str]:
    """A card in a network that is there: it has its address again, or another one."""
    own = {key: card[key] for key in ("ip", "name") if key in card} | {"network": network.name}
    if "ip" in own:
        number = address_pool.place(network, own["ip"])
        taken = view.configuration.addresses_in(network.uuid)
        free = number is not None and address_pool.as_number(own["ip"]) not in taken
        own["ip"] = own["ip"] if kept and free else address_pool.POOL
    return own


def locks(opcode: Any, view: View) -> list[Lock]:
    """The node that keeps the export."""
    name = opcode.source.node if opcode.source is not None else opcode.src_node
    return [locking.node_lock(view.configuration.node(name), shared=True)] if name else []


def check(source: ExportSource, view: View, instance: Instance) -> None:
    """The contents can be read and written; raises Refused."""
    requirements.node_online(view, view.configuration.node(source.node))
    requirements.scripts_can_write(view, instance)
    if instance.os:
        return
    group = view.primary(instance).group
    for index, (disk, size_mib) in enumerate(zip(instance.disks, source.sizes_mib, strict=False)):
        if disk.size_mib < size_mib:
            raise Refused(
                f"Disk {index} has {disk.size_mib} MiB, the exported one {size_mib} MiB",
                "wrong_input",
            )
        if guests_alone(disk.template, params_of(view, disk.template, disk.params, group)):
            raise Refused(
                f"Disk {index} would be reached by its guest alone, and no OS definition is there"
                " to import it: set access to kernelspace",
                "wrong_state",
            )


def fill(source: ExportSource, instance: Instance, primary: Node, compress: str) -> list[Step]:
    """The contents come, and the guest is told its new name."""
    steps: list[Step] = []
    if source.left_out:
        words = ", ".join(source.left_out)
        steps.append(Say(text=f" - WARNING: parameters not known here are left out: {words}"))
    for index, dump in enumerate(source.dumps):
        if not dump:
            steps.append(Say(text=f"   the export has no contents of disk {index}"))
            continue
        steps.append(Say(text=f"* importing disk {index} from {source.node}"))
        steps.append(
            ImportDisk(
                instance=instance.name,
                disk=index,
                node=primary.name,
                source=source.node,
                dump=dump,
                compress=compress,
                raw=not instance.os,
            )
        )
    if instance.os and source.name not in ("", instance.name):
        steps.append(Say(text="* running the OS definition's rename script..."))
        steps.append(
            RunOs(instance=instance.name, node=primary.name, action="rename", old_name=source.name)
        )
    return steps


def environment(source: ExportSource) -> dict[str, str]:
    """What hooks are told beside the instance block."""
    return {
        "SRC_NODE": source.node,
        "SRC_PATH": source.path,
        "SRC_IMAGES": " ".join(dump for dump in source.dumps if dump),
    }
