"""The cluster as the protocol's request describes it, key by key as Ganeti writes it. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from clusterd import capacity, ipolicy
from clusterd.iallocator.requests import Request
from clusterd.model import AdminState, Group, Instance, Node, Policy
from clusterd.names import IALLOCATOR_VERSION
from clusterd.view import View
from clusterd.volumes import overhead_mib
from storage.volume import Capacity

LVM = ("drbd", "plain")


def request_text(view: View, request: Request) -> str:
    """The file that an allocator is given."""
    body = {**cluster_data(view), "request": request.wire(view)}
    return msgspec.json.encode(body).decode()


def cluster_data(view: View) -> dict[str, Any]:
    """Everything but the request."""
    configuration = view.configuration
    cluster = configuration.cluster
    return {
        "version": IALLOCATOR_VERSION,
        "cluster_name": cluster.name,
        "cluster_tags": list(cluster.tags),
        "enabled_hypervisors": list(cluster.enabled_hypervisors),
        "ipolicy": policy_data(ipolicy.cluster_policy(view)),
        "nodegroups": {group.uuid: _group(view, group) for group in configuration.groups()},
        "nodes": {node.name: _node(view, node) for node in configuration.nodes()},
        "instances": {one.name: _instance(view, one) for one in all_instances(view)},
    }


def all_instances(view: View) -> list[Instance]:
    """All that take room: finished, unfinished and only planned ones."""
    return [*view.configuration.instances(unfinished=True), *view.promised]


def policy_data(policy: Policy) -> dict[str, Any]:
    """A policy with all its parts."""
    found: dict[str, Any] = msgspec.to_builtins(policy)
    return found


def _group(view: View, group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "alloc_policy": group.alloc_policy,
        "networks": sorted(group.networks),
        "ipolicy": policy_data(ipolicy.effective(view, group.uuid)),
        "tags": list(group.tags),
    }


def _node(view: View, node: Node) -> dict[str, Any]:
    params = view.ndparams(node)
    found: dict[str, Any] = {
        "tags": list(node.tags),
        "primary_ip": node.primary_ip,
        "secondary_ip": node.secondary_ip,
        # an allocator knows no third state: what does not answer cannot be given anything
        "offline": node.offline or not view.sight(node).connected,
        "drained": node.drained,
        "master_candidate": node.master_candidate,
        "group": node.group,
        "master_capable": node.master_capable,
        "vm_capable": node.vm_capable,
        "ndparams": {**params, "oob_program": params.get("oob_program") or None},
    }
    if found["offline"] or not node.vm_capable:
        return found
    return {**found, **_room(view, node)}


def _room(view: View, node: Node) -> dict[str, Any]:
    observation = view.sight(node).observation
    hardware = observation.hardware if observation is not None else None
    pool = main_pool(view, node)
    primaries = [
        one
        for one in capacity.instances_here(view, node)
        if one.primary_node == node.uuid and one.admin_state is not AdminState.OFFLINE
    ]
    memory = {one.name: int(view.beparams(one)["maxmem"]) for one in primaries}
    up = sum(memory[one.name] for one in primaries if one.admin_state is AdminState.UP)
    spindles = int(view.ndparams(node).get("spindle_count", 1))
    return {
        "total_memory": hardware.memory_total_mib if hardware else 0,
        "reserved_memory": hardware.memory_host_mib if hardware else 0,
        "free_memory": capacity.free_memory_mib(view, node, stopped=True) or 0,
        "total_disk": pool.total_mib if pool else 0,
        "free_disk": free_disk_mib(view, node, pool),
        "total_spindles": spindles,
        "free_spindles": 0,
        "total_cpus": hardware.cpus if hardware else 0,
        "reserved_cpus": hardware.host_cpus if hardware else 0,
        "i_pri_memory": sum(memory.values()),
        "i_pri_up_memory": up,
    }


def main_pool(view: View, node: Node) -> Capacity | None:
    """The pool that instances go to by default: that of the first enabled template."""
    observation = view.sight(node).observation
    cluster = view.configuration.cluster
    found = observation.capacity if observation is not None else ()
    for template in cluster.enabled_disk_templates:
        family = LVM if template in LVM else (template,)
        for pool in found:
            if str(pool.template) not in family:
                continue
            if family is LVM and cluster.volume_group_name not in ("", pool.pool):
                continue
            return pool
    return None


def free_disk_mib(view: View, node: Node, pool: Capacity | None) -> int:
    """Its free room without what was promised; 0 where there is none."""
    if pool is None:
        return 0
    template = "plain" if str(pool.template) in LVM else str(pool.template)
    return max(capacity.free_disk_mib(view, node, template, pool.pool) or 0, 0)


def disk_total_mib(instance: Instance) -> int:
    """What an instance's disks take on each node that holds them."""
    return sum(disk.size_mib + overhead_mib(disk.template) for disk in instance.disks)


def _instance(view: View, instance: Instance) -> dict[str, Any]:
    backend = view.beparams(instance)
    return {
        "tags": list(instance.tags),
        "admin_state": str(instance.admin_state),
        "admin_state_source": instance.admin_state_source,
        "vcpus": int(backend["vcpus"]),
        "memory": int(backend["maxmem"]),
        "spindle_use": int(backend["spindle_use"]),
        "os": instance.os,
        "nodes": [node.name for node in view.nodes_of(instance)],
        "nics": nics_data(view, instance),
        "disks": [
            {"dev_type": disk.template, "size": disk.size_mib, "mode": disk.mode, "spindles": None}
            for disk in instance.disks
        ],
        "disk_template": instance.disk_template,
        "disks_active": instance.disks_active,
        "hypervisor": instance.hypervisor,
        "disk_space_total": disk_total_mib(instance),
    }


def nics_data(view: View, instance: Instance) -> list[dict[str, Any]]:
    """Network cards; ``bridge`` only where the card is bridged."""
    cards = []
    for nic in instance.nics:
        params = view.nicparams(nic.params)
        bridged = params.get("mode") == "bridged"
        cards.append(
            {
                "mac": nic.mac,
                "ip": nic.ip,
                "mode": params.get("mode"),
                "link": params.get("link"),
                **({"bridge": params.get("link")} if bridged else {}),
            }
        )
    return cards
