"""``hail``: the built-in allocator as a program that any cluster's daemon may run.

Prints the protocol's answer on one line; what is wrong with a request is an answer too. With ``-t``
or ``--simulate`` the request is asked of that cluster instead of the one that came with it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from cli.htools import filled, tables
from cli.htools.parser import Parser
from cli.htools.source import ended, facts_of, monitored
from clusterd.iallocator import builtin, reading, render
from clusterd.iallocator.answers import Answer
from clusterd.iallocator.requests import Allocate, MultiAllocate, NewInstance, Relocate, Request
from clusterd.placement import model, text_format
from clusterd.placement.facts import ClusterFacts, InstanceFacts
from clusterd.placement.model import NOWHERE
from clusterd.placement.options import Options
from clusterd.placement.usage import Usage
from jobqueue.errors import Refused


def _restricted(asked: argparse.Namespace, facts: ClusterFacts, request: Request) -> Request:
    if asked.restrict_allocation_to is None:
        return request
    only = asked.restrict_allocation_to.split(",")
    left_out = {
        node.name: "is not among the nodes allowed" for node in facts.nodes if node.name not in only
    }
    return msgspec.structs.replace(request, excluded={**request.excluded, **left_out})


def _run(asked: argparse.Namespace) -> int:
    try:
        text = sys.stdin.read() if asked.file == "-" else Path(asked.file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        print(f"Error: Cannot read {asked.file}: {error}", file=sys.stderr)
        return 1
    try:
        facts, request = reading.read(text, asked.static_kvm_node_memory)
        elsewhere = asked.text_data is not None or bool(asked.simulate)
        if elsewhere:
            facts = facts_of(asked)
        # the load is only taken away where it comes from such data, as in the original
        ignore = asked.ignore_dynu and elsewhere
        tuning = monitored(asked, facts, model.Tuning(ignore_utilisation=ignore))
        request = _restricted(asked, facts, request)
        before = _state(facts, tuning)
        strict = Options(
            capacity_checks=not asked.no_capacity_checks,
            ignore_soft_errors=asked.ignore_soft_errors,
        )
        _show(asked, before, facts, "pre-ialloc")
        answer = builtin.answer(facts, request, tuning, strict)
    except Refused as error:
        print(render.reply(False, str(error), []))
        return 1
    print(render.answer_text(request, answer))
    sys.stdout.flush()
    _show(asked, *_after(before, request, answer), "post-ialloc")
    return 0


def _state(facts: ClusterFacts, tuning: model.Tuning) -> tables.State:
    cluster = model.build(facts, tuning)
    return tables.State(cluster, Usage(cluster))


def _show(asked: argparse.Namespace, state: tables.State, facts: ClusterFacts, when: str) -> None:
    words = {"pre-ialloc": ("Initial", "before"), "post-ialloc": ("Final", "after")}[when]
    if asked.print_nodes is not None:
        lines = tables.node_table(state, asked.print_nodes)
        print("", f"{words[0]} cluster status:", *lines, "", sep="\n", file=sys.stderr)
    if asked.save_cluster:
        path = f"{asked.save_cluster}.{when}"
        Path(path).write_text(text_format.render(facts), "utf-8")
        print(
            f"The cluster state {words[1]} iallocator run has been written to file '{path}'",
            file=sys.stderr,
        )


def _after(
    state: tables.State, request: Request, answer: Answer
) -> tuple[tables.State, ClusterFacts]:
    """The cluster with what was chosen."""
    cluster = state.whole
    match request:
        case Allocate() if answer.nodes:
            new = [_instance(request.instance, answer.nodes)]
        case MultiAllocate():
            found = dict(answer.allocated)
            new = [
                _instance(one, found[one.name]) for one in request.instances if one.name in found
            ]
        case Allocate():
            new = []
        case _:
            for name, nodes in _moved(cluster, request, answer):
                row = cluster.instance_number[name]
                numbers = [cluster.node_number[node] for node in nodes]
                state.put(row, numbers[0], numbers[1] if len(numbers) > 1 else NOWHERE)
            return state, filled.moved(state)
    return filled.state_after(cluster, new), filled.facts_after(cluster.facts, new, first=True)


def _moved(
    cluster: model.Cluster, request: Request, answer: Answer
) -> list[tuple[str, tuple[str, ...]]]:
    if not isinstance(request, Relocate):
        return [(name, nodes) for name, _group, nodes in answer.moved]
    old = cluster.facts.instances[cluster.instance(request.name)]
    return [
        (request.name, (old.primary, node) if old.secondary else (node,)) for node in answer.nodes
    ]


def _instance(new: NewInstance, nodes: tuple[str, ...]) -> InstanceFacts:
    return InstanceFacts(
        name=new.name,
        memory_mib=new.memory_mib,
        disk_mib=new.disk_total_mib,
        vcpus=new.vcpus,
        primary=nodes[0],
        secondary=nodes[1] if len(nodes) > 1 else "",
        template=new.disk_template,
        tags=new.tags,
        spindle_use=new.spindle_use,
        spindles=new.spindles,
    )


def main() -> int:
    """The program."""
    parser = Parser("hail", "Choose nodes: the iallocator protocol, from a request in a file.")
    parser.tables(instances=False)
    parser.simulate()
    parser.static_memory()
    parser.monitoring(data=False, strict=False)
    add = parser.add_argument
    add("file", help="the request; - is standard input")
    add("-t", "--text-data", metavar="FILE", help="ask it of the cluster in this file")
    add("-S", "--save", dest="save_cluster", metavar="FILE",
        help="write FILE.pre-ialloc and FILE.post-ialloc")  # fmt: skip
    add("--ignore-soft-errors", action="store_true", help="overstep N+1, ratios and exclusion tags")
    add("--no-capacity-checks", action="store_true", help="ignore whether nodes can be emptied")
    add("--restrict-allocation-to", metavar="NODE,...", help="choose among these only")
    add("--ignore-dynu", action="store_true", help="ignore the load")
    return ended(parser, _run)
