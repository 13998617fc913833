"""``hspace``: how many more instances fit, tiered and of the standard size.

Prints what the original prints: sentences for people, or ``HTS_KEY=value`` lines for scripts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from string import ascii_letters, digits

from msgspec.structs import replace

from cli.htools import filled, tables
from cli.htools.parser import Parser
from cli.htools.simulated import size_mib
from cli.htools.source import cluster_of, ended
from clusterd.placement import capacity, text_format
from clusterd.placement.causes import KINDS, counted
from clusterd.placement.errors import BadRequest
from clusterd.placement.facts import INTERNAL_MIRROR, Spec
from clusterd.placement.model import Cluster
from clusterd.placement.options import CapacityOptions, Options
from clusterd.placement.part import only_group
from clusterd.placement.redundancy import failing_globally
from clusterd.placement.requests import usual_template
from clusterd.placement.resources import resources
from clusterd.placement.results import Capacity, Resources
from clusterd.placement.usage import Usage

ALREADY_FAILING = {"global_n1": 1}
"""Why nothing fits into a cluster where a node fails N+1 already."""


def spec_of(what: str, text: str) -> Spec:
    """``disk,ram,cpu[,spindles]``"""
    parts = text.split(",")
    if len(parts) not in (3, 4) or not all(
        part.isascii() and part.isdecimal() for part in parts[2:]
    ):
        raise BadRequest(
            f"Invalid {what} specification: '{text}', expected disk,ram,cpu[,spindles]"
        )
    spindles = int(parts[3]) if len(parts) == 4 else 1
    return Spec(
        disk_mib=size_mib(parts[0]), memory_mib=size_mib(parts[1]), vcpus=int(parts[2]),
        spindles=spindles,
    )  # fmt: skip


def main_failure(found: Capacity) -> str:
    """What most placements failed for."""
    counts = counted(found.failures)
    return max(KINDS, key=lambda kind: counts[kind])


def stage(prefix: str, at: Resources) -> Iterator[str]:
    """The lines of one state of the cluster."""
    rows = (
        ("SCORE", eight(at.score)),
        ("INST_CNT", at.instances),
        ("MEM_FREE", at.memory_free),
        ("MEM_AVAIL", at.memory_available),
        ("MEM_RESVD", at.memory_free - at.memory_available),
        ("MEM_INST", at.memory_instances),
        ("MEM_OVERHEAD", at.memory_overhead),
        ("MEM_EFF", _share(at.memory_instances, at.memory_total)),
        ("DSK_FREE", at.disk_free),
        ("DSK_AVAIL", at.disk_available),
        ("DSK_RESVD", at.disk_free - at.disk_available),
        ("DSK_INST", at.disk_instances),
        ("DSK_EFF", _share(at.disk_instances, at.disk_total)),
        ("SPN_FREE", at.spindles_total - at.spindles_used),
        ("SPN_INST", at.spindles_used),
        ("SPN_EFF", _share(at.spindles_used, at.spindles_total)),
        ("CPU_INST", at.vcpus_used),
        ("CPU_EFF", _share(at.vcpus_used, at.vcpus_total)),
        ("MNODE_MEM_AVAIL", at.memory_max_node),
        ("MNODE_DSK_AVAIL", at.disk_max_node),
    )
    return (f"HTS_{prefix}_{key}={quoted(str(value))}" for key, value in rows)


def quoted(value: str) -> str:
    """For a shell: in quotes unless it is letters, digits and dots."""
    return value if not value.strip(ascii_letters + digits + ".") else f"'{value}'"


def eight(value: float) -> str:
    """With eight decimals; halves of what is shown in decimals go to the even one, as there."""
    whole = Decimal(repr(value)).quantize(Decimal("0.00000001"), rounding=ROUND_HALF_EVEN)
    return f"{whole:f}"


def _share(part: float, whole: float) -> str:
    if whole:
        return eight(part / whole)
    return "Infinity" if part else "NaN"


def spec_lines(prefix: str, spec: Spec, template: str) -> Iterator[str]:
    """The lines of one specification."""
    nodes = 2 if template == INTERNAL_MIRROR else 1
    for key, value in (("MEM", spec.memory_mib), ("DSK", spec.disk_mib), ("CPU", spec.vcpus),
                       ("SPN", spec.spindles), ("RQN", nodes),
                       ("DISK_TEMPLATE", template)):  # fmt: skip
        yield f"HTS_{prefix}_{key}={value}"


def totals(cluster: Cluster) -> dict[str, int]:
    """Of all nodes, offline ones too, as the original counts."""
    nodes = cluster.facts.nodes
    ratios = {group.uuid: cluster.policy(at).vcpu_ratio
              for at, group in enumerate(cluster.facts.groups)}  # fmt: skip
    return {
        "MEM": sum(node.memory_total_mib for node in nodes),
        "DSK": sum(node.disk_total_mib for node in nodes),
        "CPU": sum(node.cpus for node in nodes),
        "VCPU": int(sum(ratios[node.group] * node.cpus for node in nodes)),
        "SPN": sum(node.spindles for node in nodes),
        "NODES": len(nodes),
    }


def machine_lines(cluster: Cluster, specs: tuple[Spec, Spec], template: str,
                  tiered: Capacity, standard: Capacity) -> Iterator[str]:  # fmt: skip
    """All lines for scripts."""
    before = tiered.before
    for key, value in totals(cluster).items():
        yield f"HTS_CLUSTER_{key}={value}"
    yield from stage("INI", before)
    yield from spec_lines("TSPEC_INI", specs[0], template)
    yield from stage("TRL", tiered.after)
    found = " ".join(
        f"{one.spec.memory_mib},{one.spec.disk_mib},{one.spec.vcpus},{one.spec.spindles}"
        f"={one.count}"
        for one in tiered.fitted
    )
    yield f"HTS_TSPEC={quoted(found)}"
    yield from _maximum("USED", before, None)
    yield from _maximum("POOL", tiered.after, before)
    yield from _left("UNAV", tiered.after)
    yield from spec_lines("SPEC", specs[1], template)
    yield from stage("FIN", standard.after)
    grown = standard.after.instances
    yield f"HTS_ALLOC_USAGE={_share(before.instances, grown)}"
    yield f"HTS_ALLOC_INSTANCES={standard.count}"
    yield f"HTS_ALLOC_FAIL_REASON=FAIL{main_failure(standard).upper()}"
    for kind, count in sorted(counted(standard.failures).items(), key=lambda pair: -pair[1]):
        if count or standard.failures != ALREADY_FAILING:
            yield f"HTS_ALLOC_FAIL{kind.upper()}_CNT={count}"
    yield "HTS_OK=1"


def _maximum(name: str, at: Resources, without: Resources | None) -> Iterator[str]:
    def less(field: str, by: float = 1.0) -> float:
        return float(getattr(at, field) / by - (getattr(without, field) / by if without else 0))

    ratio = at.vcpus_total / at.cpus_total if at.cpus_total else 1.0
    yield f"HTS_KM_{name}_CPU={less('vcpus_used'):.0f}"
    yield f"HTS_KM_{name}_NPU={less('vcpus_used', ratio)}"
    yield f"HTS_KM_{name}_MEM={less('memory_instances'):.0f}"
    yield f"HTS_KM_{name}_DSK={less('disk_instances'):.0f}"
    yield f"HTS_KM_{name}_SPN={less('spindles_used'):.0f}"


def _left(name: str, at: Resources) -> Iterator[str]:
    ratio = at.vcpus_total / at.cpus_total if at.cpus_total else 1.0
    vcpus = at.vcpus_total - at.vcpus_used
    yield f"HTS_KM_{name}_CPU={vcpus}"
    yield f"HTS_KM_{name}_NPU={vcpus / ratio}"
    yield f"HTS_KM_{name}_MEM={at.memory_total - at.memory_instances}"
    yield f"HTS_KM_{name}_DSK={at.disk_total - at.disk_instances}"
    yield f"HTS_KM_{name}_SPN={at.spindles_total - at.spindles_used}"


def sentences(cluster: Cluster, specs: tuple[Spec, Spec], template: str,
              tiered: Capacity, standard: Capacity) -> Iterator[str]:  # fmt: skip
    """All lines for people."""
    before = tiered.before
    all_of = totals(cluster)
    exclusive = bool(cluster.nodes.exclusive.any())
    sizes = ["MEM", "DSK", "CPU", "VCPU", *(["SPN"] if exclusive else [])]
    whole = ", ".join(f"{key} {all_of[key]}" for key in sizes)
    yield f"The cluster has {all_of['NODES']} nodes and the following resources:\n  {whole}."
    yield f"There are {before.instances or 'no'} initial instances on the cluster."
    using = f"using disk template '{template}'"
    yield f"Tiered (initial size) instance spec is:\n  {_spec(specs[0], exclusive)}, {using}."
    yield "Tiered allocation results:"
    for one in tiered.fitted:
        yield f"  - {one.count:3d} instances of spec {_spec(one.spec, exclusive)}"
    if not tiered.fitted:
        yield "  - no instances allocated"
    yield from _results(tiered, exclusive)
    yield f"Standard (fixed-size) instance spec is:\n  {_spec(specs[1], exclusive)}, {using}."
    yield "Normal (fixed-size) allocation results:"
    yield f"  - {standard.count:3d} instances allocated"
    yield from _results(standard, exclusive)


def _spec(spec: Spec, exclusive: bool) -> str:
    spindles = f", SPN {spec.spindles}" if exclusive else ""
    return f"MEM {spec.memory_mib}, DSK {spec.disk_mib}, CPU {spec.vcpus}{spindles}"


def _results(found: Capacity, exclusive: bool) -> Iterator[str]:
    after = found.after
    yield f"  - most likely failure reason: Fail{main_failure(found)}"
    yield f"  - initial cluster score: {eight(found.before.score)}"
    yield f"  -   final cluster score: {eight(after.score)}"
    rows = [
        ("memory", after.memory_instances, after.memory_total),
        ("disk", after.disk_instances, after.disk_total),
        ("vcpu", after.vcpus_used, after.vcpus_total),
        ("spindles", after.spindles_used, after.spindles_total),
    ][: 4 if exclusive else 3]
    width = max(len(what) for what, _part, _whole in rows)
    for what, part, whole in rows:
        share = 100.0 * part / whole if whole else 0.0
        yield f"  - {what:>{width}} usage efficiency: {share:5.2f}%"


def _show(asked: argparse.Namespace, what: str, state: tables.State) -> None:
    if asked.print_nodes is not None:
        lines = tables.node_table(state, asked.print_nodes)
        print("", f"{what} status:", *lines, "", sep="\n", file=sys.stderr)


def _options(asked: argparse.Namespace, cluster: Cluster, usage: Usage) -> CapacityOptions | None:
    """How to fill; None: nothing is to be placed, as nodes fail N+1 already."""
    accept, apart = asked.accept_existing_errors, asked.independent_groups
    groups = cluster.facts.groups
    closed = {groups[at].uuid for at in cluster.nodes.group[usage.failing].tolist()}
    ill = bool(closed) and not accept
    if accept:
        closed = set()
    stuck: tuple[str, ...] = ()
    if apart and not asked.no_capacity_checks:
        parts = (Usage(only_group(cluster, at)) for at in range(len(groups)))
        stuck = tuple(
            group.uuid
            for group, part in zip(groups, parts, strict=True)
            if failing_globally(part, accept)
        )
        # where that would leave none, they are filled all the same
        if len(stuck) < len(groups):
            closed |= set(stuck)
    left = [one for one in groups if one.alloc_policy != "unallocable" and one.uuid not in closed]
    if ill and not (apart and left):
        return None
    return CapacityOptions(
        template=asked.disk_template or usual_template(cluster.facts.policy),
        limit=None if asked.max_length is None or asked.max_length < 0 else asked.max_length,
        all_nodes=True,
        as_hspace=True,
        spindle_use=asked.spindle_use,
        closed_groups=tuple(sorted(closed)),
        options=Options(
            capacity_checks=not asked.no_capacity_checks,
            accept_existing_errors=accept,
            unchecked_groups=stuck,
            as_htools=True,
        ),
    )


def _nothing(usage: Usage) -> Capacity:
    now = resources(usage, 0, all_nodes=True)
    return Capacity(
        fitted=(), count=0, failures=ALREADY_FAILING, before=now, after=now, placements=()
    )


def _run(asked: argparse.Namespace) -> int:
    if asked.spindle_use is not None and asked.spindle_use < 0:
        raise BadRequest("Invalid value of the spindle-use (expected >= 0)")
    cluster = cluster_of(asked, exclusive_mirrors=True)
    policy = cluster.facts.policy
    template = asked.disk_template or usual_template(policy)
    large = spec_of("tiered", asked.tiered_alloc) if asked.tiered_alloc else None
    usual = spec_of("standard", asked.standard_alloc) if asked.standard_alloc else policy.std
    usage = Usage(cluster)
    for line in tables.missing(tables.State(cluster, usage)):
        print(line, file=sys.stderr)
    options = _options(asked, cluster, usage)

    def fill(spec: Spec | None, tiered: bool) -> Capacity:
        if options is None:
            return _nothing(usage)
        return capacity.capacity(cluster, replace(options, spec=spec, tiered=tiered))

    found = fill(large, True), fill(usual, False)
    use = policy.std.spindles if asked.spindle_use is None else asked.spindle_use
    _show(asked, "Initial cluster", tables.State(cluster, usage))
    for one, what in zip(found, ("tiered", "standard"), strict=True):
        new = filled.instances(one, template, use)
        _show(asked, f"{what.capitalize()} allocation", filled.state_after(cluster, new))
        if asked.save_cluster:
            path = f"{asked.save_cluster}.{what}"
            Path(path).write_text(
                text_format.render(filled.facts_after(cluster.facts, new)), "utf-8"
            )
            print(
                f"The cluster state after {what} allocation has been written to file '{path}'",
                file=sys.stderr,
            )
    show = machine_lines if asked.machine_readable == "yes" else sentences
    for line in show(cluster, (large or policy.ranges[0][1], usual), template, *found):
        print(line)
    return 0


def main() -> int:
    """The program."""
    parser = Parser("hspace", "Show how many more instances fit.")
    parser.cluster_source(simulate=True)
    parser.tables(instances=False)
    parser.tuning()
    add = parser.add_argument
    add("-S", "--save", dest="save_cluster", metavar="FILE",
        help="write FILE.tiered and FILE.standard")  # fmt: skip
    add("--standard-alloc", metavar="DISK,RAM,CPU", help="a usual instance")
    add("--tiered-alloc", metavar="DISK,RAM,CPU", help="the largest instance")
    add("--disk-template", metavar="TEMPLATE", help="how their disks are stored")
    add("--no-capacity-checks", action="store_true", help="ignore whether nodes can be emptied")
    add("--accept-existing-errors", action="store_true", help="offline nodes do not count")
    add("--machine-readable", nargs="?", const="yes", default="no", choices=("yes", "no"),
        help="lines for scripts")  # fmt: skip
    add("--independent-groups", action="store_true",
        help="a group whose nodes cannot be emptied gets nothing, the others count")  # fmt: skip
    add("--spindle-use", type=int, metavar="N", help="spindles that each instance uses")
    add("-l", "--max-length", type=int, metavar="N", help="count no further")
    return ended(parser, _run)
