"""The tables of nodes and instances (``-p``, ``--print-instances``), in the original's columns.

Decided here: the fields of a node, by the original's names; an unknown field is a column that says
so, as there. Nodes are shown by the part of their name that is not common to all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from clusterd.placement.facts import ClusterFacts
from clusterd.placement.model import NOWHERE, Cluster
from clusterd.placement.results import Move
from clusterd.placement.usage import CPU, DISK, LOAD, MEMORY, SPINDLES, Usage

DEFAULT = (
    "status,name,tmem,nmem,imem,xmem,fmem,umem,rmem,tdsk,fdsk,tcpu,ucpu,pcnt,scnt,"
    "pfmem,pfdsk,rcpu,cload,mload,dload,nload"
)
UNKNOWN = "<unknown field>"
GIB = 1024


def short_names(facts: ClusterFacts) -> dict[str, str]:
    """What each node and instance is called: without the domain that all share."""
    names = [one.name for one in facts.nodes] + [one.name for one in facts.instances]
    parts = [name.split(".") for name in names]
    shared = 0
    while names and all(len(one) > shared + 1 for one in parts):
        if len({one[-1 - shared] for one in parts}) > 1:
            break
        shared += 1
    return {
        name: ".".join(one[: len(one) - shared]) for name, one in zip(names, parts, strict=True)
    }


class State:
    """What nodes hold at one time: ``usage`` of the whole cluster or of one group, and who came
    to which node in which order."""

    def __init__(self, whole: Cluster, usage: Usage) -> None:
        self.whole = whole
        self.usage = usage
        self.short = short_names(whole.facts)
        count = len(usage.cluster.nodes.names)
        self.primaries: list[list[int]] = [[] for _ in range(count)]
        self.secondaries: list[list[int]] = [[] for _ in range(count)]
        for row, (p, s) in enumerate(
            zip(usage.primary.tolist(), usage.secondary.tolist(), strict=True)
        ):
            if usage.real[row]:
                self._arrive(self._index(row), p, s)
        nodes, now = usage.cluster.nodes, usage.amounts
        self.memory_free = nodes.memory_free
        recorded = nodes.memory_total - nodes.memory_node - self.memory_instances()
        self.memory_unknown = recorded - nodes.memory_free
        disk = np.array([self._disk_mib(row) for row in range(len(usage.primary))])
        used = np.bincount(usage.primary, disk, count)
        here = usage.secondary != NOWHERE
        used += np.bincount(usage.secondary[here], disk[here], count)
        self.disk_unknown = nodes.disk_total - now[DISK] - used

    def apply(self, moves: Iterable[Move]) -> None:
        """What is true after them."""
        cluster = self.usage.cluster
        for move in moves:
            new = [cluster.node_number[name] for name in move.new] + [NOWHERE]
            row = cluster.instance_number[move.instance]
            self.put(row, new[0], new[1], stays=move.kind == "replace_secondary")

    def put(self, row: int, primary: int, secondary: int, *, stays: bool | None = None) -> None:
        """An instance is on these nodes now; ``stays``: its primary is not left and entered."""
        index = self._index(row)
        old = int(self.usage.primary[row]), int(self.usage.secondary[row])
        keeps = old[0] == primary if stays is None else stays
        self.usage.move(row, primary, secondary)
        if not keeps:
            self.primaries[old[0]].remove(index)
        if old[1] != NOWHERE:
            self.secondaries[old[1]].remove(index)
        self._arrive(index, NOWHERE if keeps else primary, secondary)

    def _arrive(self, index: int, primary: int, secondary: int) -> None:
        if primary != NOWHERE:
            self.primaries[primary].insert(0, index)
        if secondary != NOWHERE:
            self.secondaries[secondary].insert(0, index)

    def _disk_mib(self, row: int) -> float:
        """Also what lies on shared storage, as the original looks for what is missing."""
        name = self.usage.cluster.instances.names[row]
        fact = self.whole.facts.instances[self.whole.instance_number[name]]
        return 0.0 if fact.forthcoming else float(fact.disk_mib)

    def _index(self, row: int) -> int:
        return self.whole.instance_number[self.usage.cluster.instances.names[row]]

    def bad(self) -> tuple[int, int]:
        """How many nodes fail N+1, and how many instances have a node there."""
        rows = np.flatnonzero(self.usage.failing).tolist()
        there = {index for row in rows for index in self.primaries[row] + self.secondaries[row]}
        return len(rows), len(there)

    def breaking(self) -> int:
        """How many nodes are beyond the ratios of their policy."""
        nodes, now = self.usage.cluster.nodes, self.usage.amounts
        vcpus = now[CPU] > nodes.vcpu_ratio * nodes.cpus
        spindles = (now[SPINDLES] > nodes.spindles_high) & ~nodes.exclusive
        return int((vcpus | spindles).sum())

    def widths(self) -> tuple[int, int]:
        """Of the longest names: an instance's, a node's."""
        one = self.usage.cluster
        return (
            max((len(self.short[name]) for name in one.instances.names), default=0),
            max((len(self.short[name]) for name in one.nodes.names), default=0),
        )

    def memory_instances(self) -> np.ndarray:
        """MiB that primaries take, by node."""
        usage = self.usage
        count = len(usage.cluster.nodes.names)
        return -np.bincount(usage.primary, usage.items.primary[:, MEMORY], count)


def missing(state: State) -> list[str]:
    """Nodes that have less than their records leave them: memory or disk that nobody holds."""
    found = [
        f"  - node {name} is missing {int(memory)} MB ram and {int(disk) // GIB} GB disk"
        for name, memory, disk in zip(
            state.usage.cluster.nodes.names, state.memory_unknown, state.disk_unknown, strict=True
        )
        if memory > GIB / 2 or disk > GIB
    ]
    return ["Warning: cluster has inconsistent data:", *reversed(found), ""] if found else []


def _flag(state: State, row: int) -> str:
    if not state.usage.cluster.nodes.usable[row]:
        return "-"
    return "*" if state.usage.failing[row] else " "


def _ratio(part: float, whole: float, shape: str) -> str:
    if whole:
        return f"{part / whole:{shape}}"
    return "NaN" if not part else "Infinity" if part > 0 else "-Infinity"


def _tags(state: State, row: int) -> str:
    counts = zip(state.usage.cluster.exclusion_tags, state.usage.tags[:, row], strict=True)
    return ",".join(f"{tag}={int(count)}" for tag, count in counts if count)


def _peers(state: State, row: int) -> str:
    usage = state.usage
    homes = {int(p) for p in usage.primary[usage.secondary == row]}
    names = usage.cluster.nodes.names
    pairs = [(state.whole.node_number[names[p]], int(usage.peer[row, p])) for p in homes]
    pairs.sort(key=lambda pair: (-pair[1], -pair[0]))
    return f"[{','.join(f'({node},{memory})' for node, memory in pairs)}]"


def _listed(numbers: Sequence[int]) -> str:
    return f"[{','.join(map(str, numbers))}]"


Show = Callable[[State, int], str]


def _load(number: int) -> Show:
    return lambda at, row: f"{at.usage.amounts[LOAD][number, row]:5.3f}"


FIELDS: dict[str, tuple[str, bool, Show]] = {
    "idx": ("Index", True, lambda at, row: str(
        at.whole.node_number[at.usage.cluster.nodes.names[row]])),
    "name": ("Name", False, lambda at, row: at.short[at.usage.cluster.nodes.names[row]]),
    "fqdn": ("Name", False, lambda at, row: at.usage.cluster.nodes.names[row]),
    "status": ("F", False, _flag),
    "tmem": ("t_mem", True, lambda at, row: f"{at.usage.cluster.nodes.memory_total[row]:.0f}"),
    "nmem": ("n_mem", True, lambda at, row: f"{at.usage.cluster.nodes.memory_node[row]:.0f}"),
    "imem": ("i_mem", True, lambda at, row: f"{at.memory_instances()[row]:.0f}"),
    "xmem": ("x_mem", True, lambda at, row: f"{at.memory_unknown[row]:.0f}"),
    "fmem": ("f_mem", True, lambda at, row: f"{at.memory_free[row]:.0f}"),
    "umem": ("u_mem", True, lambda at, row: f"{at.usage.amounts[MEMORY, row]:.0f}"),
    "rmem": ("r_mem", True, lambda at, row: f"{at.usage.reserved[row]:.0f}"),
    "amem": ("a_mem", True, lambda at, row: str(
        max(0, int(at.usage.amounts[MEMORY, row] - at.usage.reserved[row])))),
    "tdsk": ("t_dsk", True, lambda at, row: f"{at.usage.cluster.nodes.disk_total[row] / GIB:.0f}"),
    "fdsk": ("f_dsk", True, lambda at, row: f"{at.usage.amounts[DISK, row] // GIB:.0f}"),
    "tcpu": ("pcpu", True, lambda at, row: f"{at.usage.cluster.nodes.cpus[row]:4.0f}"),
    "ucpu": ("vcpu", True, lambda at, row: f"{at.usage.amounts[CPU, row]:4.0f}"),
    "pcnt": ("pcnt", True, lambda at, row: str(len(at.primaries[row]))),
    "scnt": ("scnt", True, lambda at, row: str(len(at.secondaries[row]))),
    "plist": ("primaries", True, lambda at, row: _listed(at.primaries[row])),
    "slist": ("secondaries", True, lambda at, row: _listed(at.secondaries[row])),
    "pfmem": ("p_fmem", True, lambda at, row: _ratio(
        at.usage.amounts[MEMORY, row], at.usage.cluster.nodes.memory_total[row], "6.4f")),
    "pfdsk": ("p_fdsk", True, lambda at, row: _ratio(
        at.usage.amounts[DISK, row], at.usage.cluster.nodes.disk_total[row], "6.4f")
        if at.usage.cluster.nodes.disk_total[row] else "1.0000"),
    "rcpu": ("r_cpu", True, lambda at, row: _ratio(
        at.usage.amounts[CPU, row], at.usage.cluster.nodes.cpus[row], "5.2f")),
    "cload": ("lCpu", True, _load(0)),
    "mload": ("lMem", True, _load(1)),
    "dload": ("lDsk", True, _load(2)),
    "nload": ("lNet", True, _load(3)),
    "ptags": ("PrimaryTags", False, _tags),
    "peermap": ("PeerMap", False, _peers),
    "spindle_count": ("NodeSpindles", True, lambda at, row: (
        f"{at.usage.cluster.nodes.spindles[row]:.0f}")),
    "hi_spindles": ("MaxSpindles", True, lambda at, row: (
        str(float(at.usage.cluster.nodes.spindles_high[row])))),
    "inst_spindles": ("InstSpindles", True, lambda at, row: (
        str(float(at.usage.amounts[SPINDLES, row])))),
}  # fmt: skip


def fields_of(asked: str) -> list[str]:
    """``""`` is the usual fields, ``+a,b`` these and two more, ``a,b`` only two."""
    if not asked or asked.startswith("+"):
        return (DEFAULT + "," + asked[1:]).strip(",").split(",")
    return asked.split(",")


def node_table(state: State, asked: str) -> list[str]:
    """A line a node, below a head."""
    shown: list[tuple[str, bool, Show]] = [
        FIELDS.get(name, (UNKNOWN, False, lambda _at, _row: UNKNOWN)) for name in fields_of(asked)
    ]
    count = len(state.usage.cluster.nodes.names)
    rows = [[show(state, row) for _head, _right, show in shown] for row in range(count)]
    heads = [(head, right) for head, right, _show in shown]
    return _table(heads, rows)


def instance_table(state: State) -> list[str]:
    """A line an instance, below a head; names are whole here."""
    usage = state.usage
    one, nodes = usage.cluster.instances, usage.cluster.nodes.names
    heads = [("F", False), ("Name", False), ("Pri_node", False), ("Sec_node", False),
             ("Auto_bal", False), ("vcpu", True), ("mem", True), ("dsk", True),
             ("lCpu", True), ("lMem", True), ("lDsk", True), ("lNet", True)]  # fmt: skip
    facts = {fact.name: fact for fact in state.whole.facts.instances}
    rows = []
    for row, name in enumerate(one.names):
        fact, mirror = facts[name], int(usage.secondary[row])
        rows.append([
            "R" if one.running[row] else " ", name, nodes[usage.primary[row]],
            nodes[mirror] if mirror != NOWHERE else "", "Y" if fact.auto_balance else "N",
            str(fact.vcpus), f"{fact.memory_mib:5d}", f"{fact.disk_mib // GIB:5d}",
            *(f"{value:5.3f}" for value in one.load[row]),
        ])  # fmt: skip
    return _table(heads, rows)


def _table(heads: list[tuple[str, bool]], rows: list[list[str]]) -> list[str]:
    lines = [[head for head, _right in heads], *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        " " + " ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, (_head, right) in zip(line, widths, heads, strict=True)
        )
        for line in lines
    ]  # fmt: skip
