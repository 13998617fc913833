"""``hspace``: how many more instances fit, tiered and of the standard size.

Prints what the original prints: sentences for people, or ``HTS_KEY=value`` lines for scripts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from string import ascii_letters, digits

from cli.htools import filled, tables
from cli.htools.source import Parser, cluster_of, ended
from clusterd.placement import capacity, text_format
from clusterd.placement.errors import BadRequest
from clusterd.placement.facts import INTERNAL_MIRROR, Spec
from clusterd.placement.model import Cluster
from clusterd.placement.options import CapacityOptions, Options
from clusterd.placement.resources import resources
from clusterd.placement.results import Capacity, Resources
from clusterd.placement.usage import Usage

FAILURES = {
    "memory": "MEM",
    "disk": "DISK",
    "cpu": "CPU",
    "n1": "N1",
    "global_n1": "N1",
    "tags": "TAGS",
    "migration": "MIG",
    "spindles": "SPINDLES",
}
COUNTED = ("MEM", "DISK", "CPU", "N1", "TAGS", "MIG", "DISKCOUNT", "SPINDLES", "INTERNAL")
WORDS = {"MEM": "Mem", "DISK": "Disk", "CPU": "CPU", "N1": "N1", "TAGS": "Tags", "MIG": "Mig",
         "SPINDLES": "Spindles", "INTERNAL": "Internal"}  # fmt: skip
ALREADY_FAILING = {"n1": 1}
"""Why nothing fits into a cluster where a node fails N+1 already."""
UNITS = {"m": 1, "": 1, "g": 1024, "t": 1024 * 1024}


def size_mib(text: str) -> int:
    """``10g``; without a letter MiB."""
    letter = text[-1:].lower() if text[-1:].isalpha() else ""
    number = text[: len(text) - len(letter)]
    if letter not in UNITS or not number.isdecimal():
        raise BadRequest(f"'{text}' is no size")
    return int(number) * UNITS[letter]


def spec_of(text: str) -> Spec:
    """``disk,ram,cpu[,spindles]``"""
    parts = text.split(",")
    if len(parts) not in (3, 4) or not all(part.isdecimal() for part in parts[2:]):
        raise BadRequest(f"Invalid specification '{text}': give disk,ram,cpu[,spindles]")
    spindles = int(parts[3]) if len(parts) == 4 else 1
    return Spec(
        disk_mib=size_mib(parts[0]), memory_mib=size_mib(parts[1]), vcpus=int(parts[2]),
        spindles=spindles,
    )  # fmt: skip


def failure_counts(found: Capacity) -> dict[str, int]:
    """By htools' words."""
    counts = dict.fromkeys(COUNTED, 0)
    for reason, count in found.failures.items():
        counts[FAILURES.get(reason, "INTERNAL")] += count
    return counts


def main_failure(found: Capacity) -> str:
    """What most placements failed for."""
    counts = failure_counts(found)
    return max(COUNTED, key=lambda word: counts[word])


def stage(prefix: str, at: Resources) -> Iterator[str]:
    """The lines of one state of the cluster."""
    rows = (
        ("SCORE", f"{at.score:.8f}"),
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


def _share(part: float, whole: float) -> str:
    return f"{part / whole if whole else 0.0:.8f}"


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
    yield f"HTS_ALLOC_FAIL_REASON=FAIL{main_failure(standard)}"
    for word, count in sorted(failure_counts(standard).items(), key=lambda pair: -pair[1]):
        if count or standard.failures != ALREADY_FAILING:
            yield f"HTS_ALLOC_FAIL{word}_CNT={count}"
    yield "HTS_OK=1"


def _maximum(name: str, at: Resources, without: Resources | None) -> Iterator[str]:
    def less(field: str) -> int:
        return int(getattr(at, field)) - (int(getattr(without, field)) if without else 0)

    ratio = at.vcpus_total / at.cpus_total if at.cpus_total else 1.0
    vcpus = less("vcpus_used")
    yield f"HTS_KM_{name}_CPU={vcpus}"
    yield f"HTS_KM_{name}_NPU={vcpus / ratio}"
    yield f"HTS_KM_{name}_MEM={less('memory_instances')}"
    yield f"HTS_KM_{name}_DSK={less('disk_instances')}"
    yield f"HTS_KM_{name}_SPN={less('spindles_used')}"


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
    yield (
        f"The cluster has {all_of['NODES']} nodes and the following resources:\n"
        f"  MEM {all_of['MEM']}, DSK {all_of['DSK']}, CPU {all_of['CPU']}, VCPU {all_of['VCPU']}."
    )
    yield f"There are {before.instances} initial instances on the cluster."
    yield f"Tiered (initial size) instance spec is:\n  {_spec(specs[0])}, {_using(template)}."
    yield "Tiered allocation results:"
    for one in tiered.fitted:
        yield f"  - {one.count:3d} instances of spec {_spec(one.spec)}"
    if not tiered.fitted:
        yield "  - no instances allocated"
    yield from _results(tiered)
    yield f"Standard (fixed-size) instance spec is:\n  {_spec(specs[1])}, {_using(template)}."
    yield "Normal (fixed-size) allocation results:"
    yield f"  - {standard.count:3d} instances allocated"
    yield from _results(standard)


def _spec(spec: Spec) -> str:
    return f"MEM {spec.memory_mib}, DSK {spec.disk_mib}, CPU {spec.vcpus}"


def _using(template: str) -> str:
    return f"using disk template '{template}'"


def _results(found: Capacity) -> Iterator[str]:
    after = found.after
    yield f"  - most likely failure reason: Fail{WORDS.get(main_failure(found), 'Internal')}"
    yield f"  - initial cluster score: {found.before.score:.8f}"
    yield f"  -   final cluster score: {after.score:.8f}"
    for what, part, whole in (
        ("memory usage", after.memory_instances, after.memory_total),
        ("  disk usage", after.disk_instances, after.disk_total),
        ("  vcpu usage", after.vcpus_used, after.vcpus_total),
    ):
        yield f"  - {what} efficiency: {100.0 * part / whole if whole else 0.0:5.2f}%"


def _show(asked: argparse.Namespace, what: str, state: tables.State) -> None:
    if asked.print_nodes is not None:
        lines = tables.node_table(state, asked.print_nodes)
        print("", f"{what} status:", *lines, "", sep="\n", file=sys.stderr)


def _run(asked: argparse.Namespace) -> int:
    cluster = cluster_of(asked)
    policy = cluster.facts.policy
    template = asked.disk_template or policy.templates[0]
    large = spec_of(asked.tiered_alloc) if asked.tiered_alloc else policy.ranges[0][1]
    usual = spec_of(asked.standard_alloc) if asked.standard_alloc else policy.std
    strict = Options(
        capacity_checks=not asked.no_capacity_checks,
        accept_existing_errors=asked.accept_existing_errors,
    )
    limit = None if asked.max_length is None or asked.max_length < 0 else asked.max_length

    usage = Usage(cluster)
    for line in tables.missing(tables.State(cluster, usage)):
        print(line, file=sys.stderr)
    ill = bool(usage.failing.any()) and not asked.accept_existing_errors

    def fill(spec: Spec, tiered: bool) -> Capacity:
        options = CapacityOptions(
            spec=spec,
            template=template,
            tiered=tiered,
            limit=limit,
            all_nodes=True,
            one_size=limit is not None,
            options=strict,
        )
        if not ill:
            return capacity.capacity(cluster, options)
        now = resources(usage, 0, all_nodes=True)
        return Capacity(
            fitted=(), count=0, failures=ALREADY_FAILING, before=now, after=now, placements=()
        )

    found = fill(large, True), fill(usual, False)
    _show(asked, "Initial cluster", tables.State(cluster, usage))
    for one, what in zip(found, ("tiered", "standard"), strict=True):
        new = filled.instances(one, template, policy.std.spindles)
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
    for line in show(cluster, (large, usual), template, *found):
        print(line)
    return 0


def main() -> int:
    """The program."""
    parser = Parser("hspace", "Show how many more instances fit.")
    parser.cluster_source()
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
    add("-l", "--max-length", type=int, metavar="N", help="count no further")
    return ended(parser, _run)
