"""Is there room: memory and disk of a node, corrected for what was promised but is not seen. Pure.

Nodes push what they see; a job that has just been planned is not in it yet. So what the
configuration and stored plans promise beyond the observation is taken off: instances that should
run or are being made and are not seen running, volumes that should exist and are not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from clusterd.model import AdminState, Disk, Instance, Node
from clusterd.view import View
from clusterd.volumes import disks_on, on_volume_group, overhead_mib, room_pool


def free_memory_mib(
    view: View, node: Node, *, without: str = "", stopped: bool = False
) -> int | None:
    """Memory for one more guest; None while the node's memory is unknown. ``without``: uuid of an
    instance whose own promise does not count; ``stopped``: instances that may be started again, or
    may grow to their maximum, keep their memory too."""
    observation = view.sight(node).observation
    if observation is None or observation.hardware is None:
        return None
    if not stopped:
        return observation.hardware.memory_free_mib - _promised_mib(view, node, without)
    seen = {
        guest.name: guest.memory_mib
        for guests in observation.guests.values()
        for guest in guests
        if guest.alive
    }
    promised = 0
    for instance in instances_here(view, node):
        if instance.primary_node != node.uuid or instance.uuid == without:
            continue
        most = int(view.beparams(instance)["maxmem"])
        if instance.name in seen:
            promised += max(most - seen[instance.name], 0)
        elif instance.admin_state is not AdminState.OFFLINE or instance.made_by is not None:
            promised += most
    return observation.hardware.memory_free_mib - promised


def _promised_mib(view: View, node: Node, without: str) -> int:
    """What those take who are to run here, or are being made, and are not seen running. Costs as
    much as there are of them: all that run already are left out at once."""
    configuration = view.configuration
    awake = configuration.awake_on(node.uuid)
    missing = awake.keys() - view.alive_on(node)
    found = [configuration.find_instance(awake[name]) for name in sorted(missing)]
    drafts = [draft for draft in view.promised if draft.primary_node == node.uuid]
    return sum(
        int(view.beparams(instance)["maxmem"])
        for instance in (*found, *drafts)
        if instance is not None and instance.uuid != without
    )


def instances_here(view: View, node: Node) -> Iterator[Instance]:
    """Instances with this node as primary or secondary, also those that are only planned; such a
    one counts as being made."""
    yield from view.configuration.instances_on(node.uuid)
    for draft in view.promised:
        if node.uuid in (draft.primary_node, draft.secondary_node):
            yield draft


def free_disk_mib(view: View, node: Node, template: str, pool: str) -> int | None:
    """Room in a pool; None when the node does not have it (or was never seen)."""
    observation = view.sight(node).observation
    if observation is None:
        return None
    kind = "plain" if on_volume_group(template) else template
    free = None
    below = not on_volume_group(template)
    for capacity in observation.capacity:
        if str(capacity.template) not in (kind, template):
            continue
        # directories of the operator's lie below the one that is known
        if pool == capacity.pool or (below and pool.startswith(f"{capacity.pool.rstrip('/')}/")):
            free = capacity.free_mib
            break
    if free is None:
        return None
    seen = {stored.name.split(".", maxsplit=1)[0] for stored in observation.stored}
    promised = sum(
        taken_mib(disk)
        for instance in instances_here(view, node)
        for label, disk in disks_on(instance, node.uuid)
        if _room(disk) == pool and label not in seen and (label or instance.made_by is not None)
    )
    return free - promised


def disk_need_mib(disks: Iterable[Disk]) -> dict[tuple[str, str], int]:
    """(template, pool) -> what the disks take on each node that holds them."""
    need: dict[tuple[str, str], int] = {}
    for disk in disks:
        key = (disk.template, _room(disk))
        need[key] = need.get(key, 0) + taken_mib(disk)
    return need


def taken_mib(disk: Disk) -> int:
    """What a new disk takes at first. A clone in a pool within a pool takes only what it is larger
    than its origin."""
    if disk.origin is not None and _room(disk) != disk.pool:
        return disk.size_mib - disk.origin.size_mib
    return disk.size_mib + overhead_mib(disk.template)


def _room(disk: Disk) -> str:
    return room_pool(disk.template, disk.pool, disk.params)
