"""Requirements that several operations check: each raises Refused with what, which object, what to
do, and Ganeti's error code. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

from clusterd import capacity
from clusterd.model import AdminState, Disk, Instance, Node
from clusterd.view import View
from clusterd.volumes import (
    disk_parameters,
    has_any_pool,
    has_mirror,
    holders,
    is_shared,
    params_of,
    snapshot_children,
    takes_any_parameter,
)
from jobqueue.errors import Refused

NAMED_MAX = 10
"""Things that a refusal names."""

MOVED = ("OLD_PRIMARY", "NEW_PRIMARY", "OLD_SECONDARY", "NEW_SECONDARY")
"""Variables of hooks that say how an instance moves."""


def served(asked: Mapping[str, bool]) -> None:
    """Nothing is asked for (what -> whether) that this version would have to ignore."""
    for what, wanted in asked.items():
        if wanted:
            raise Refused(f"This version does not serve {what}", "wrong_input")


def node_online(view: View, node: Node) -> None:
    """The node is not marked offline and answers."""
    if node.offline:
        raise Refused(f"Can't use offline node {node.name}", "wrong_state")
    if not view.sight(node).connected:
        raise Refused(
            f"Node {node.name} does not answer: repair it, or mark it offline with "
            f"'gnt-node modify --offline yes {node.name}'",
            "environment_error",
        )


def node_takes_instances(view: View, node: Node) -> None:
    """The node may get (another copy of) an instance."""
    node_online(view, node)
    if node.drained:
        raise Refused(f"Can't use drained node {node.name}", "wrong_state")
    if not node.vm_capable:
        raise Refused(f"Cannot use non-vm_capable node {node.name}", "wrong_state")


def hypervisor_answers(view: View, node: Node, hypervisor: str) -> None:
    """The node's hypervisor answered when it was last asked."""
    observation = view.sight(node).observation
    if observation is None:
        raise Refused(f"Nothing is known yet of node {node.name}; try again", "environment_error")
    if hypervisor not in observation.guests:
        reason = observation.hypervisor_errors.get(hypervisor, "it is not set up there")
        raise Refused(
            f"Hypervisor {hypervisor} does not answer on node {node.name}: {reason}",
            "environment_error",
        )


def guest_seen(view: View, instance: Instance) -> None:
    """Whether the guest runs is known: a hypervisor that does not answer is no guest that is down.
    Nothing is refused because of a node that does not answer at all."""
    primary = view.primary(instance)
    if view.reachable(primary):
        hypervisor_answers(view, primary, instance.hypervisor)


def storage_answers(view: View, node: Node, template: str) -> None:
    """The node's storage of this kind answered when it was last asked."""
    observation = view.sight(node).observation
    reason = observation.storage_errors.get(template) if observation is not None else None
    if reason:
        raise Refused(
            f"Storage '{template}' does not answer on node {node.name}: {reason}",
            "environment_error",
        )


def memory_free(view: View, node: Node, instance: Instance, reason: str) -> None:
    """The node has memory for the instance."""
    needed = int(view.beparams(instance)["maxmem"])
    free = capacity.free_memory_mib(view, node, without=instance.uuid)
    if free is None:
        raise Refused(f"Can't compute node {node.name} free memory", "environment_error")
    if needed > free:
        raise Refused(
            f"Not enough memory on node {node.name} for {reason}: needed {needed} MiB, "
            f"available {max(free, 0)} MiB",
            "insufficient_resources",
        )


def disk_free(view: View, node: Node, instance: Instance) -> None:
    """The node has room for all disks of a new instance, and what makes them."""
    room_for(view, node, capacity.disk_need_mib(instance.disks))
    providers_found(view, node, instance.disks)


def providers_found(view: View, node: Node, disks: Iterable[Disk]) -> None:
    """The ext-storage providers of the disks are on the node, valid, and take their parameters."""
    observation = view.sight(node).observation
    known = {found.name: found for found in observation.providers} if observation else {}
    for disk in disks:
        if not takes_any_parameter(disk.template):
            continue
        found = known.get(disk.pool)
        if found is None or not found.valid:
            reason = found.message if found else f"it has {', '.join(sorted(known)) or 'none'}"
            raise Refused(
                f"ExtStorage provider '{disk.pool}' cannot be used on node {node.name}: {reason};"
                " see 'gnt-storage diagnose'",
                "wrong_input",
            )
        taken = {name.lower() for name, _ in found.parameters} | disk_parameters(disk.template)
        unknown = sorted(key for key in disk.params if key.lower() not in taken)
        if unknown:
            raise Refused(
                f"ExtStorage provider '{disk.pool}' has no parameter '{unknown[0]}': it takes "
                f"{', '.join(name for name, _ in found.parameters) or 'none'}",
                "wrong_input",
            )


def room_for(view: View, node: Node, need: Mapping[tuple[str, str], int]) -> None:
    """The node has room: (template, pool) -> MiB."""
    for (template, pool), needed in sorted(need.items()):
        free = capacity.free_disk_mib(view, node, template, pool)
        if free is None:
            storage_answers(view, node, template)
        if free is None and has_any_pool(template):
            continue
        if free is None:
            what = "volume group" if template in ("plain", "drbd") else "directory"
            raise Refused(
                f"Node {node.name} has no {what} '{pool}' for disk template {template}",
                "wrong_input",
            )
        if needed > free:
            raise Refused(
                f"Not enough disk space on target node {node.name} in '{pool}': required "
                f"{needed} MiB, available {max(free, 0)} MiB",
                "insufficient_resources",
            )


def valid_address(address: str) -> None:
    """Raises Refused for what is no IP address."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise Refused(f"'{address}' is not an IP address", "wrong_input") from None


def addresses_free(view: View, name: str, *addresses: str | None) -> None:
    """No node but ``name`` has these addresses."""
    taken = {
        address: node.name
        for node in view.configuration.nodes()
        if node.name != name
        for address in (node.primary_ip, node.secondary_ip)
    }
    for address in addresses:
        if address in taken:
            raise Refused(
                f"New node IP address {address} conflicts with node {taken[address]}",
                "resource_not_unique",
            )


def no_children(view: View, instance: Instance, disks: Sequence[Disk] | None = None) -> None:
    """No other instance reads from snapshots of its disks, or of some of them."""
    for snapshot in instance.snapshots:
        names = snapshot_children(view, instance, snapshot.name, disks)
        if names:
            raise Refused(
                f"Snapshot '{snapshot.name}' of instance '{instance.name}' is needed by the disks"
                f" of {listed(names)}: make them independent with 'gnt-instance flatten', or"
                " remove the instances",
                "wrong_state",
            )


def no_snapshots(instance: Instance, what: str) -> None:
    """It has none, which would be left behind."""
    if instance.snapshots:
        names = listed([one.name for one in instance.snapshots])
        raise Refused(
            f"Instance '{instance.name}' has snapshots ({names}), which cannot be {what}: remove"
            " them with 'gnt-instance snapshot remove'",
            "wrong_state",
        )


def listed(names: Sequence[str]) -> str:
    """The first of many names."""
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return ", ".join(names[:NAMED_MAX]) + more


def scripts_can_write(view: View, instance: Instance) -> None:
    """Its disks are what scripts of OS definitions write to: devices and raw files."""
    group = view.primary(instance).group
    for index, disk in enumerate(instance.disks):
        format = params_of(view, disk.template, disk.params, group).get("format", "raw")
        if format != "raw":
            raise Refused(
                f"Disk {index} is a {format} file, into which scripts of OS definitions cannot"
                " write: begin with an image (--image), or with raw disks",
                "wrong_input",
            )


def disk_at(instance: Instance, which: int | str) -> int:
    """The place of the disk with this index, name or uuid."""
    for index, disk in enumerate(instance.disks):
        if which in (disk.name, disk.uuid) or str(which) == str(index):
            return index
    raise Refused(
        f"Instance '{instance.name}' has no disk '{which}': it has {len(instance.disks)}",
        "wrong_input",
    )


def disks_settled(view: View, instance: Instance) -> None:
    """What jobs left of the instance's former disks can be removed first."""
    for disk in instance.drafted:
        for uuid in holders(instance, disk):
            node = view.configuration.node(uuid)
            if not (node.offline or view.reachable(node)):
                raise Refused(
                    f"Instance '{instance.name}' has former disks on node "
                    f"{node.name}, which does not answer: wait for it, or mark it offline",
                    "wrong_state",
                )


def not_offline(instance: Instance) -> None:
    """The instance is not marked offline."""
    if instance.admin_state is AdminState.OFFLINE:
        raise Refused(
            f"Instance '{instance.name}' is marked to be offline: bring it back with "
            f"'gnt-instance modify --online {instance.name}'",
            "wrong_state",
        )


def runs(view: View, instance: Instance) -> bool:
    """The primary node last saw the guest running."""
    guest = view.guest(instance, view.primary(instance))
    return guest is not None and guest.alive


def other_node(view: View, instance: Instance, target: str | None) -> Node:
    """Where the instance can go: its secondary, or for shared storage the node asked for."""
    template = instance.disk_template
    if has_mirror(template):
        secondary = view.secondary(instance)
        if secondary is None:
            raise Refused(f"No secondary node but using {template} disk template", "wrong_state")
        if target is not None and view.configuration.node(target).uuid != secondary.uuid:
            raise Refused(
                f"Instances with disk template {template} cannot be moved to arbitrary nodes; "
                f"{instance.name} can go to {secondary.name}",
                "wrong_input",
            )
        return secondary
    if not is_shared(template):
        raise Refused(
            f"Instance's disk layout '{template}' does not allow failover or migration",
            "wrong_state",
        )
    node = asked_node(view, instance, target)
    if node.uuid == instance.primary_node:
        raise Refused(
            f"Cannot move instance '{instance.name}' to its primary node {node.name}",
            "wrong_state",
        )
    return node


def asked_node(view: View, instance: Instance, target: str | None) -> Node:
    """The node that was named."""
    if target is None:
        raise Refused(
            f"Name the target node for instance '{instance.name}' (option -n)", "wrong_input"
        )
    return view.configuration.node(target)


def moved(view: View, instance: Instance, target: str | None) -> tuple[Node, Node]:
    """(from, to) of a move, as it looks before it; unlike ``other_node`` it may be done already."""
    if has_mirror(instance.disk_template):
        return view.primary(instance), other_node(view, instance, target)
    return view.primary(instance), asked_node(view, instance, target)
