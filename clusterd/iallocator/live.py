"""The live cluster as placement sees it: configuration, observations, and all that was promised.

Decided here: for allocation a stopped instance keeps the memory that it may ask for again, as in
Ganeti; for balancing and what-if it does not, as in htools. Pure.
"""

from __future__ import annotations

import msgspec

from clusterd import capacity, ipolicy
from clusterd.iallocator.data import all_instances, disk_total_mib, free_disk_mib, main_pool
from clusterd.model import AdminState, Group, Instance, MinMax, Node, Policy, Specs
from clusterd.placement.facts import (
    TEMPLATES,
    ClusterFacts,
    GroupFacts,
    InstanceFacts,
    NodeFacts,
    PolicyFacts,
    Spec,
)
from clusterd.view import View


def facts(view: View, *, stopped: bool, without: str = "") -> ClusterFacts:
    """The cluster. ``stopped``: stopped instances keep their memory, and count as running;
    ``without``: uuid of an instance that is left out."""
    configuration = view.configuration
    nodes = (_node(view, node, stopped=stopped, without=without) for node in configuration.nodes())
    return ClusterFacts(
        groups=tuple(_group(view, group) for group in configuration.groups()),
        nodes=tuple(nodes),
        instances=tuple(
            _instance(view, one, stopped=stopped)
            for one in all_instances(view)
            if not without or one.uuid != without
        ),
        tags=configuration.cluster.tags,
        policy=policy_facts(ipolicy.cluster_policy(view)),
        network_names={one.uuid: one.name for one in configuration.networks()},
    )


def _group(view: View, group: Group) -> GroupFacts:
    return GroupFacts(
        name=group.name,
        uuid=group.uuid,
        alloc_policy=group.alloc_policy,
        tags=group.tags,
        networks=tuple(sorted(group.networks)),
        policy=policy_facts(ipolicy.effective(view, group.uuid)),
    )


def policy_facts(policy: Policy) -> PolicyFacts:
    """A complete policy; templates that placement does not know are left out."""
    least = MinMax(min={}, max={})
    return PolicyFacts(
        std=spec_facts(policy.std or {}),
        ranges=tuple(
            (spec_facts(one.min), spec_facts(one.max)) for one in policy.minmax or (least,)
        ),
        templates=tuple(one for one in policy.disk_templates or () if one in TEMPLATES),
        vcpu_ratio=policy.vcpu_ratio or 4.0,
        spindle_ratio=policy.spindle_ratio or 32.0,
    )


def spec_facts(specs: Specs) -> Spec:
    """Sizes by Ganeti's names."""
    return Spec(
        memory_mib=specs.get("memory-size", 0),
        vcpus=specs.get("cpu-count", 0),
        disk_mib=specs.get("disk-size", 0),
        disks=specs.get("disk-count", 0),
        nics=specs.get("nic-count", 0),
        spindles=specs.get("spindle-use", 0),
    )


def _node(view: View, node: Node, *, stopped: bool, without: str) -> NodeFacts:
    params = view.ndparams(node)
    common = NodeFacts(
        name=node.name,
        group=node.group,
        cpu_speed=float(params.get("cpu_speed", 1.0)),
        spindles=int(params.get("spindle_count", 1)),
        offline=node.offline or not view.sight(node).connected,
        drained=node.drained,
        vm_capable=node.vm_capable,
        master=node.uuid == view.configuration.cluster.master_node,
        tags=node.tags,
    )
    observation = view.sight(node).observation
    hardware = observation.hardware if observation is not None else None
    if hardware is None or common.offline:
        return common
    pool = main_pool(view, node)
    free = capacity.free_memory_mib(view, node, without=without, stopped=stopped) or 0
    return msgspec.structs.replace(
        common,
        memory_total_mib=hardware.memory_total_mib,
        memory_node_mib=hardware.memory_host_mib,
        memory_free_mib=max(free, 0),
        disk_total_mib=pool.total_mib if pool is not None else 0,
        disk_free_mib=free_disk_mib(view, node, pool),
        cpus=hardware.cpus,
        cpus_node=hardware.host_cpus,
    )


def _instance(view: View, instance: Instance, *, stopped: bool) -> InstanceFacts:
    backend = view.beparams(instance)
    second = view.secondary(instance)
    template = instance.disk_template
    return InstanceFacts(
        name=instance.name,
        memory_mib=int(backend["maxmem"]),
        disk_mib=disk_total_mib(instance),
        vcpus=int(backend["vcpus"]),
        primary=view.primary(instance).name,
        secondary=second.name if second is not None else "",
        # a template of a test or of another program is one that never moves
        template=template if template in TEMPLATES else "file",
        status=_status(instance, stopped=stopped),
        auto_balance=bool(backend.get("auto_balance", True)),
        tags=instance.tags,
        spindle_use=int(backend["spindle_use"]),
        disk_sizes_mib=tuple(disk.size_mib for disk in instance.disks),
        nics=len(instance.nics),
        networks=tuple(nic.network for nic in instance.nics if nic.network is not None),
    )


def _status(instance: Instance, *, stopped: bool) -> str:
    if instance.admin_state is AdminState.OFFLINE:
        return "ADMIN_offline"
    runs = stopped or instance.admin_state is AdminState.UP or instance.made_by is not None
    return "running" if runs else "ADMIN_down"
