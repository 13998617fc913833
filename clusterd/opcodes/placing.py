"""From the draft of an instance to what an allocator is asked, and back to its nodes. Pure.

Decided here: a node that cannot hold the instance for reasons that an allocator knows nothing of
(locks, hypervisor, OS definition, networks, bridges, other pools) is kept from it, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clusterd import capacity, ipolicy
from clusterd.iallocator.choice import Taken, allocator_name, node_excluded
from clusterd.iallocator.data import LVM, disk_total_mib, main_pool, nics_data
from clusterd.iallocator.requests import Excluded, NewInstance
from clusterd.model import Instance, Node
from clusterd.opcodes import guest_os, requirements, wiring
from clusterd.view import View
from clusterd.volumes import has_mirror
from jobqueue.errors import Refused


def placeholders(view: View, template: str, group: str | None) -> tuple[Node, Node | None]:
    """Nodes that stand in a draft until they are chosen; raises Refused when there are too few."""
    needed = 2 if has_mirror(template) else 1
    uuid = view.configuration.group(group).uuid if group else None
    usable = [
        node
        for node in view.configuration.nodes()
        if node.vm_capable and (uuid is None or node.group == uuid)
    ]
    if len(usable) < needed:
        where = f"node group {group}" if group else "the cluster"
        raise Refused(
            f"Disk template '{template}' needs {needed} nodes, {where} has {len(usable)} that can "
            f"run instances",
            "insufficient_resources",
        )
    return usable[0], usable[1] if needed == 2 else None


def asked(view: View, draft: Instance, group: str | None) -> NewInstance:
    """What an allocator must know of a new instance."""
    backend = view.beparams(draft)
    return NewInstance(
        name=draft.name,
        disk_template=draft.disk_template,
        vcpus=int(backend["vcpus"]),
        memory_mib=int(backend["maxmem"]),
        disk_sizes_mib=tuple(disk.size_mib for disk in draft.disks),
        disk_modes=tuple(disk.mode for disk in draft.disks),
        disk_total_mib=disk_total_mib(draft),
        nics=tuple(nics_data(view, draft)),
        networks=tuple(nic.network for nic in draft.nics if nic.network is not None),
        spindle_use=int(backend["spindle_use"]),
        os=draft.os,
        hypervisor=draft.hypervisor,
        tags=draft.tags,
        required_nodes=2 if draft.secondary_node is not None else 1,
        group=view.configuration.group(group).uuid if group else None,
    )


def excluded(
    view: View, draft: Instance, taken: Taken, os_check: str | None, *, new: bool = True
) -> Excluded:
    """Nodes that must not be chosen -> why. ``os_check``: the OS that must be there, if any;
    ``new``: room for its disks is needed."""
    found = node_excluded(view, taken)
    for node in view.configuration.nodes():
        if node.name in found or node.offline or node.drained or not node.vm_capable:
            continue
        why = _unfit(view, draft, node, os_check, new=new)
        if why:
            found[node.name] = why
    return found


def _unfit(view: View, draft: Instance, node: Node, os_check: str | None, *, new: bool) -> str:
    try:
        requirements.hypervisor_answers(view, node, draft.hypervisor)
        if os_check is not None:
            guest_os.found_on(view, node, os_check, force_variant=True)
        wiring.require_connected(view, draft, node)
        _bridges(view, draft, node)
        if new:
            _other_pools(view, draft, node)
    except Refused as refused:
        return refused.message
    return ""


def _bridges(view: View, draft: Instance, node: Node) -> None:
    observation = view.sight(node).observation
    for nic in draft.nics:
        params = view.nicparams(view.wired(nic, node.group))
        link = str(params.get("link", ""))
        if params.get("mode") == "bridged" and observation and link not in observation.bridges:
            raise Refused(f"Bridge '{link}' does not exist on node {node.name}")


def _other_pools(view: View, draft: Instance, node: Node) -> None:
    """An allocator knows one pool a node; room in others is judged here."""
    main = main_pool(view, node)
    for (template, pool), needed in sorted(capacity.disk_need_mib(draft.disks).items()):
        family = LVM if template in LVM else (template,)
        if main is not None and main.pool == pool and str(main.template) in family:
            continue
        free = capacity.free_disk_mib(view, node, template, pool)
        if free is None:
            raise Refused(f"There is no '{pool}' for disk template {template}")
        if needed > free:
            raise Refused(f"disk short by {needed - free} MiB in '{pool}'")


def nodes_of(view: View, instance: str, nodes: Sequence[str], needed: int) -> tuple[str, ...]:
    """An allocator's nodes as names of the cluster's; raises Refused."""
    if len(nodes) != needed:
        raise Refused(
            f"Iallocator returned {len(nodes)} nodes ({', '.join(nodes) or 'none'}) for instance "
            f"'{instance}', required {needed}",
            "environment_error" if nodes else "insufficient_resources",
        )
    found = tuple(view.configuration.node(name).name for name in nodes)
    if len(set(found)) != len(found):
        raise Refused(f"Iallocator returned node {found[0]} twice", "environment_error")
    return found


def none_found(view: View, opcode: Any, instance: str, info: str) -> Refused:
    """Why nothing was chosen."""
    name = allocator_name(view, opcode.iallocator)
    return Refused(
        f"Can't compute nodes using iallocator '{name}' for instance '{instance}': "
        f"{info or 'no node fits'}",
        "insufficient_resources",
    )


def selected(opcode: Any) -> str:
    """The line that says what was chosen."""
    nodes = ", ".join(name for name in (opcode.pnode, opcode.snode) if name)
    return (
        f" - INFO: Selected nodes for instance {opcode.instance_name} via iallocator"
        f" {opcode.iallocator}: {nodes}"
    )


def check_policy(view: View, draft: Instance, group: str | None) -> None:
    """Refuse early what no group allows; the sentence is about the first of them."""
    groups = [view.configuration.group(group)] if group else list(view.configuration.groups())
    wrong = [(one, ipolicy.violations(view, draft, one.uuid)) for one in groups]
    if all(found for _group, found in wrong):
        first, found = wrong[0]
        raise Refused(
            f"Instance allocation to group {first.name} violates policy: {'; '.join(found)}",
            "wrong_input",
        )
