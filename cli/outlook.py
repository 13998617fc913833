"""``gnt-cluster capacity``: how many more instances fit, also after losses or with more nodes.

Decided here: words and exit codes; what a loss or an addition brings is ``placement.what_if``'s
knowledge. Nothing is changed.
"""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from cli.command import Call
from cli.exits import CommandError, Exit
from cli.notation import BadText, size_mib
from cli.output import unit
from cli.planning import live_facts, until
from clusterd.placement import capacity, model, what_if
from clusterd.placement.facts import ClusterFacts, NodeFacts
from clusterd.placement.options import CapacityOptions, Change, Request
from clusterd.placement.requests import usual_template
from clusterd.placement.results import Capacity, WhatIf

MAX_ADDED = 1000
"""Nodes, or instances, that one question adds."""


def run_capacity(call: Call) -> int:
    """``gnt-cluster capacity``"""
    facts = live_facts(call.session)
    change = change_of(call, facts)
    cluster = model.build(facts)
    found = what_if.what_if(cluster, change)
    out = call.session.out
    if change.lose_nodes or change.lose_node_tags or change.lose_groups:
        for line in loss(found):
            out(line)
    if change.add_instances:
        return _added(call, found, change.add_instances[0].template)
    cluster = what_if.after(cluster, change, found)
    keep_going = until(call.session, call.given("max_time"))
    template = call.given("disk_template") or usual_template(facts.policy)
    for tiered, title in ((False, "Of the standard size"), (True, "From large to small")):
        asked = CapacityOptions(template=template, tiered=tiered, limit=call.given("limit"))
        for line in told(title, template, capacity.capacity(cluster, asked, keep_going)):
            out(line)
    return Exit.SUCCESS


def change_of(call: Call, facts: ClusterFacts) -> Change:
    """What the options ask for; raises CommandError or BadRequest for what is not there."""
    return Change(
        lose_nodes=tuple(call.given("without_node") or ()),
        lose_node_tags=tuple(call.given("without_rack") or ()),
        lose_groups=tuple(call.given("without_group") or ()),
        add_nodes=more_nodes(facts, call.given("add_nodes") or 0),
        add_instances=_wished(call, facts) if call.given("add") else (),
    )


def more_nodes(facts: ClusterFacts, count: int) -> tuple[NodeFacts, ...]:
    """So many nodes, empty and otherwise like the largest that is online."""
    if not 0 <= count <= MAX_ADDED:
        raise CommandError(f"Between 0 and {MAX_ADDED} nodes can be added, not {count}")
    online = [node for node in facts.nodes if not node.offline and node.vm_capable]
    if not count:
        return ()
    if not online:
        raise CommandError("No node is online: there is none that new ones could be like")
    like = max(online, key=lambda node: (node.memory_total_mib, node.name))
    taken = {node.name for node in facts.nodes}
    names = (f"new-node-{number}" for number in itertools.count(1))
    free = itertools.islice((name for name in names if name not in taken), count)
    return tuple(_empty(like, name) for name in free)


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


def loss(found: WhatIf) -> list[str]:
    """What restarts where, in order, what cannot, and what runs on without its mirror."""
    lines = [f"Without {', '.join(found.lost_nodes)}:"]
    for one in found.restarts:
        beyond = "; ".join(each.text for each in one.ignored)
        lines.append(
            f"  {one.instance} restarts on {one.node}" + (f" (although {beyond})" if beyond else "")
        )
    lines += [f"  {one.instance} is lost: {one.why}" for one in found.lost]
    if found.degraded:
        lines.append(
            f"  {len(found.degraded)} instances run on without their mirror:"
            f" {', '.join(found.degraded)}"
        )
    new = [node for node in found.n1_failing_after if node not in found.n1_failing_before]
    if new:
        lines.append(f"  could then not take over for another: {', '.join(new)}")
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


def _wished(call: Call, facts: ClusterFacts) -> tuple[Request, ...]:
    count, wish = call.given("add")
    template = wish["template"] or call.given("disk_template") or usual_template(facts.policy)
    sizes = () if template == "diskless" else (wish["disk"],)
    taken = {one.name for one in facts.instances}
    names = (f"new-{number}" for number in itertools.count(1))
    free = itertools.islice((name for name in names if name not in taken), count)
    return tuple(
        Request(
            name=name,
            memory_mib=wish["memory"],
            vcpus=wish["vcpus"],
            disk_sizes_mib=sizes,
            template=template,
        )
        for name in free
    )


def _added(call: Call, found: WhatIf, template: str) -> int:
    fitting = [one for one in found.allocations if one.nodes]
    count = len(found.allocations)
    call.session.out(f"{len(fitting)} of {count} instances fit ({template}):")
    for one in fitting:
        call.session.out(f"  {one.name} on {', '.join(one.nodes)}")
    first = next((one for one in found.allocations if not one.nodes), None)
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
