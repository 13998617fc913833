"""``gnt-cluster capacity``: how many more instances fit, also after losses or with more nodes.

Decided here: what-if questions are answered on the live cluster as facts; nothing is changed.
"""

from __future__ import annotations

from typing import Any

import msgspec

from cli.command import Call
from cli.exits import CommandError, Exit
from cli.notation import BadText, size_mib
from cli.output import unit
from cli.planning import live_facts, until
from clusterd.placement import allocate, capacity, evacuate, model
from clusterd.placement.facts import MOVABLE, ClusterFacts, NodeFacts
from clusterd.placement.options import CapacityOptions, Options, Request
from clusterd.placement.results import Capacity

MAX_ADDED = 1000
"""Nodes, or instances, that one question adds."""


def run_capacity(call: Call) -> int:
    """``gnt-cluster capacity``"""
    facts = with_nodes(live_facts(call.session), call.given("add_nodes") or 0)
    lost = lost_nodes(facts, call)
    cluster = model.build(facts, model.Tuning(offline=tuple(sorted(lost))))
    out = call.session.out
    if lost:
        for line in loss(cluster, lost):
            out(line)
    if call.given("add"):
        return _added(call, cluster)
    keep_going = until(call.session, call.given("max_time"))
    template = call.given("disk_template") or facts.policy.templates[0]
    for tiered, title in ((False, "Of the standard size"), (True, "From large to small")):
        asked = CapacityOptions(template=template, tiered=tiered, limit=call.given("limit"))
        for line in told(title, template, capacity.capacity(cluster, asked, keep_going)):
            out(line)
    return Exit.SUCCESS


def with_nodes(facts: ClusterFacts, count: int) -> ClusterFacts:
    """The cluster with so many more nodes, empty and otherwise like the largest that is online."""
    if not 0 <= count <= MAX_ADDED:
        raise CommandError(f"Between 0 and {MAX_ADDED} nodes can be added, not {count}")
    online = [node for node in facts.nodes if not node.offline and node.vm_capable]
    if not count:
        return facts
    if not online:
        raise CommandError("No node is online: there is none that new ones could be like")
    like = max(online, key=lambda node: (node.memory_total_mib, node.name))
    new = tuple(_empty(like, f"new-node-{number}") for number in range(1, count + 1))
    return msgspec.structs.replace(facts, nodes=(*facts.nodes, *new))


def _empty(like: NodeFacts, name: str) -> NodeFacts:
    return msgspec.structs.replace(
        like,
        name=name,
        memory_free_mib=like.memory_total_mib - like.memory_node_mib,
        disk_free_mib=like.disk_total_mib,
        spindles_free=like.spindles,
        master=False,
        drained=False,
        tags=(),
    )


def lost_nodes(facts: ClusterFacts, call: Call) -> set[str]:
    """The nodes that the options take away; raises CommandError for what is not there."""
    names = {node.name for node in facts.nodes}
    lost: set[str] = set()
    for name in call.given("without_node") or ():
        if name not in names:
            raise CommandError(f"Node '{name}' not known")
        lost.add(name)
    for tag in call.given("without_rack") or ():
        tagged = {node.name for node in facts.nodes if tag in node.tags}
        if not tagged:
            raise CommandError(f"No node has the tag '{tag}'")
        lost |= tagged
    for name in call.given("without_group") or ():
        groups = [group.uuid for group in facts.groups if name in (group.name, group.uuid)]
        if not groups:
            raise CommandError(f"Group '{name}' not known")
        lost |= {node.name for node in facts.nodes if node.group == groups[0]}
    return lost


def loss(cluster: model.Cluster, lost: set[str]) -> list[str]:
    """What restarts where, in order, what cannot, and what runs on without its mirror."""
    here = [one for one in cluster.facts.instances if one.primary in lost]
    running = [one for one in here if one.status == "running"]
    movable = [one for one in running if one.template in MOVABLE]
    bound = [one for one in running if one.template not in MOVABLE]
    gone = [one for one in movable if one.secondary in lost]
    asked = [one.name for one in movable if one.secondary not in lost]
    found = evacuate.evacuate(cluster, asked, "primary-only", Options(ignore_soft_errors=True))
    placed = {name: nodes for name, _group, nodes in found.placed}
    lines = [f"Without {', '.join(sorted(lost))}:"]
    lines += [f"  {name} restarts on {placed[name][0]}" for name in asked if name in placed]
    lines += [f"  {name} cannot restart: {why}" for name, why in found.failed]
    lines += [f"  {one.name} is lost: both its nodes are" for one in gone]
    lines += [f"  {one.name} is lost: its disks are on {one.primary} alone" for one in bound]
    bare = [one.name for one in cluster.facts.instances
            if one.secondary in lost and one.primary not in lost]  # fmt: skip
    if bare:
        lines.append(f"  {len(bare)} instances run on without their mirror: {', '.join(bare)}")
    return lines


def flavour(text: str) -> tuple[int, dict[str, Any]]:
    """``40:memory=2g,disk=20g,vcpus=2``"""
    count, _, rest = text.partition(":")
    if not count.isdecimal() or not 0 < int(count) <= MAX_ADDED or not rest:
        raise BadText(f"'{text}' is not COUNT:memory=SIZE,disk=SIZE,vcpus=N with a count to 1000")
    found: dict[str, Any] = {"memory": 128, "disk": 1024, "vcpus": 1, "template": ""}
    for part in rest.split(","):
        key, _, value = part.partition("=")
        if key not in found or not value:
            raise BadText(f"'{part}' is none of memory=, disk=, vcpus=, template=")
        if key in ("memory", "disk"):
            found[key] = size_mib(value)
        elif key == "vcpus":
            if not value.isdecimal() or int(value) < 1:
                raise BadText(f"'{part}': give a number of processors")
            found[key] = int(value)
        else:
            found[key] = value
    return int(count), found


def _added(call: Call, cluster: model.Cluster) -> int:
    count, wish = call.given("add")
    template = wish["template"] or call.given("disk_template") or cluster.facts.policy.templates[0]
    sizes = () if template == "diskless" else (wish["disk"],)
    requests = [
        Request(
            name=f"new-{number}",
            memory_mib=wish["memory"],
            vcpus=wish["vcpus"],
            disk_sizes_mib=sizes,
            template=template,
        )
        for number in range(1, count + 1)
    ]
    found = allocate.multi_allocate(cluster, requests).allocations
    fitting = [one for one in found if one.nodes]
    call.session.out(f"{len(fitting)} of {count} instances fit ({template}):")
    for one in fitting:
        call.session.out(f"  {one.name} on {', '.join(one.nodes)}")
    first = next((one for one in found if not one.nodes), None)
    if first is not None:
        call.session.out(f"  the next does not: {first.info}")
        return Exit.FAILURE
    return Exit.SUCCESS


def told(title: str, template: str, found: Capacity) -> list[str]:
    """How much fits, and what is left then."""
    lines = [f"{title} ({template}): {found.count} more instances fit"]
    for one in found.fitted:
        spec = one.spec
        lines.append(
            f"  {one.count} with {unit(spec.memory_mib, 'h')} of memory,"
            f" {unit(spec.disk_mib, 'h')} of disk, {spec.vcpus} processors"
        )
    if found.failures:
        reason = max(sorted(found.failures), key=lambda key: found.failures[key])
        lines.append(f"  then it is short of: {reason.replace('_', ' ')}")
    lines.append(
        f"  memory free {unit(found.before.memory_free, 'h')} ->"
        f" {unit(found.after.memory_free, 'h')}, disk free"
        f" {unit(found.before.disk_free, 'h')} -> {unit(found.after.disk_free, 'h')},"
        f" score {found.before.score:.6f} -> {found.after.score:.6f}"
    )
    return lines
