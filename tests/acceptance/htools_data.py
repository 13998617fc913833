"""Clusters for htools and for ours, drawn by a seed: always possible, never even."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import msgspec

from clusterd.placement import text_format
from clusterd.placement.facts import DEFAULT_POLICY as POLICY
from clusterd.placement.facts import ClusterFacts, GroupFacts, InstanceFacts, NodeFacts, PolicyFacts

NODE_MEMORY_MIB = 65536
NODE_DISK_MIB = 2_000_000


def cluster(nodes: int, instances: int, seed: int, *, offline: int = 0) -> ClusterFacts:
    """DRBD instances on random pairs; some are down, some have tags that exclude each other."""
    draw = random.Random(seed)
    memory = [0] * nodes
    disk = [0] * nodes
    made = []
    for number in range(instances):
        primary, secondary = draw.sample(range(nodes), 2)
        size, copies = draw.choice((512, 1024, 2048)), draw.choice((10240, 20480))
        running = draw.random() < 0.95
        memory[primary] += size if running else 0
        for node in (primary, secondary):
            disk[node] += copies
        made.append(
            InstanceFacts(
                name=f"inst{number:04d}",
                memory_mib=size,
                disk_mib=copies,
                vcpus=draw.choice((1, 2)),
                primary=f"node{primary:03d}",
                secondary=f"node{secondary:03d}",
                status="running" if running else "ADMIN_down",
                tags=("svc:db",) if number % 17 == 0 else (),
            )
        )
    return ClusterFacts(
        groups=(GroupFacts(name="default", uuid="uuid-default", policy=POLICY),),
        nodes=tuple(
            NodeFacts(
                name=f"node{number:03d}",
                group="uuid-default",
                memory_total_mib=NODE_MEMORY_MIB,
                memory_node_mib=1024,
                memory_free_mib=NODE_MEMORY_MIB - 1024 - memory[number],
                disk_total_mib=NODE_DISK_MIB,
                disk_free_mib=NODE_DISK_MIB - disk[number],
                cpus=32,
                spindles=8,
                offline=number >= nodes - offline,
                master=number == 0,
            )
            for number in range(nodes)
        ),
        instances=tuple(made),
        tags=("htools:iextags:svc",),
        policy=POLICY,
    )


def unmirrored(facts: ClusterFacts, template: str) -> ClusterFacts:
    """The same with one copy of each disk, in a volume group (plain) or outside of the nodes."""
    room: Counter[str] = Counter()
    for one in facts.instances:
        room[one.secondary] += one.disk_mib
        room[one.primary] += 0 if template == "plain" else one.disk_mib
    return msgspec.structs.replace(
        facts,
        instances=tuple(
            msgspec.structs.replace(one, template=template, secondary="") for one in facts.instances
        ),
        nodes=tuple(
            msgspec.structs.replace(one, disk_free_mib=one.disk_free_mib + room[one.name])
            for one in facts.nodes
        ),
    )


def text(facts: ClusterFacts) -> str:
    """As a file for ``-t``."""
    return text_format.render(facts)


def request(facts: ClusterFacts, asked: dict[str, Any]) -> dict[str, Any]:
    """As a request of the iallocator protocol."""
    policy = _policy(facts.policy)
    room = {node.name: _node(facts, node) for node in facts.nodes}
    return {
        "version": 2,
        "cluster_name": "cluster",
        "cluster_tags": list(facts.tags),
        "enabled_hypervisors": ["kvm"],
        "ipolicy": policy,
        "nodegroups": {
            one.uuid: {
                "name": one.name, "alloc_policy": one.alloc_policy, "tags": [], "networks": [],
                "ipolicy": policy,
            }
            for one in facts.groups
        },
        "nodes": room,
        "instances": {one.name: _instance(one) for one in facts.instances},
        "request": asked,
    }  # fmt: skip


def new_instance(name: str) -> dict[str, Any]:
    """An allocate request."""
    return {
        "type": "allocate", "name": name, "memory": 2048, "vcpus": 2, "spindle_use": 1,
        "disk_space_total": 10240 + 128, "disk_template": "drbd",
        "disks": [{"mode": "rw", "size": 10240, "spindles": 1}],
        "nics": [{"ip": None, "mac": "aa:00:00:00:00:02", "bridge": None}], "os": "noop",
        "hypervisor": "kvm", "tags": ["svc:db"], "required_nodes": 2,
    }  # fmt: skip


def _policy(policy: PolicyFacts) -> dict[str, Any]:
    def spec(one: Any) -> dict[str, int]:
        return {
            "memory-size": one.memory_mib, "cpu-count": one.vcpus, "disk-size": one.disk_mib,
            "disk-count": one.disks, "nic-count": one.nics, "spindle-use": one.spindles,
        }  # fmt: skip

    return {
        "std": spec(policy.std),
        "minmax": [{"min": spec(low), "max": spec(high)} for low, high in policy.ranges],
        "disk-templates": list(policy.templates),
        "vcpu-ratio": policy.vcpu_ratio,
        "spindle-ratio": policy.spindle_ratio,
    }


def _node(facts: ClusterFacts, node: NodeFacts) -> dict[str, Any]:
    primaries = [one for one in facts.instances if one.primary == node.name]
    return {
        "total_memory": node.memory_total_mib, "reserved_memory": node.memory_node_mib,
        "free_memory": node.memory_free_mib, "total_disk": node.disk_total_mib,
        "free_disk": node.disk_free_mib, "total_cpus": node.cpus, "reserved_cpus": 1,
        "group": node.group, "primary_ip": "192.0.2.1", "secondary_ip": "192.0.2.1", "tags": [],
        "i_pri_memory": sum(one.memory_mib for one in primaries),
        "i_pri_up_memory": sum(one.memory_mib for one in primaries if one.status == "running"),
        "ndparams": {"spindle_count": node.spindles, "oob_program": None,
                     "exclusive_storage": False, "cpu_speed": 1.0},
        "master_candidate": True, "master_capable": True, "vm_capable": True, "drained": False,
        "offline": node.offline, "free_spindles": 0, "total_spindles": node.spindles,
    }  # fmt: skip


def _instance(one: InstanceFacts) -> dict[str, Any]:
    return {
        "disks": [{"mode": "rw", "size": one.disk_mib, "spindles": 1}],
        "disk_space_total": one.disk_mib, "disk_template": one.template, "hypervisor": "kvm",
        "memory": one.memory_mib, "vcpus": one.vcpus, "spindle_use": one.spindle_use,
        "tags": list(one.tags), "nics": [], "os": "noop", "nodes": [one.primary, one.secondary],
        "admin_state": "up" if one.status == "running" else "down", "admin_state_source": "admin",
    }  # fmt: skip
