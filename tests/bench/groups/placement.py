"""Placement beside the real htools: same data, same run (theirs cut at 200 s each).

``PLACEMENT_HTOOLS_CUT_S`` is another cut; 0 leaves htools out. ``..._vs_htools`` is their time
over ours, ``..._score_gap`` our score minus theirs (below 0: ours is better); both only where
theirs ended. Where it did not, or is known not to, ``..._htools_cut_s`` says after how long.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from clusterd.placement.allocate import allocate, multi_allocate
from clusterd.placement.balance import balance
from clusterd.placement.capacity import capacity
from clusterd.placement.evacuate import evacuate
from clusterd.placement.facts import ClusterFacts
from clusterd.placement.model import Cluster, build
from clusterd.placement.options import BalanceOptions, CapacityOptions, Options
from clusterd.placement.score import components_of, weighed
from clusterd.placement.usage import Usage
from tests.bench import htools
from tests.bench.clusters import SKEWS, generate, request
from tests.bench.figures import Figure, from_samples

Value = TypeVar("Value")
TIMES = 7
MEMORY_OF = """\
import resource
from clusterd.placement.allocate import allocate
from clusterd.placement.model import build
from tests.bench.clusters import generate, request
assert allocate(build(generate({nodes}, {instances}, "even")), request()).nodes
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def timed(work: Callable[[], Value]) -> tuple[Value, float]:
    """What it answers and how long it took, in seconds."""
    began = time.perf_counter()
    value = work()
    return value, time.perf_counter() - began


def worth_it(name: str) -> bool:
    """Whether theirs is run."""
    return bool(htools.CUT_S) and (htools.EVERYTHING or name not in htools.KNOWN_CUT)


def beside(name: str, ours_s: float, theirs: htools.Run | None, gap: float | None) -> list[Figure]:
    """The comparison, or after how long theirs had not ended."""
    if not htools.CUT_S:
        return []
    if theirs is None:
        cut_s = htools.CUT_S if worth_it(name) else 200.0
        return [Figure(name=f"{name}_htools_cut_s", value=cut_s, unit="s, not ended")]
    found = [Figure(name=f"{name}_vs_htools", value=theirs.seconds / ours_s, unit="times")]
    if gap is not None:
        found.append(Figure(name=f"{name}_score_gap", value=gap, unit="score"))
    return found


def measure() -> Iterable[Figure]:
    """All figures of the group."""
    for size in (100, 500, 1000):
        yield from _allocate(size)
    yield from _multi()
    yield from _evacuate()
    yield from _balance_20()
    yield from _balance_nodisk()
    yield from _balance_100()
    yield from _first_move()
    yield from _hundred_moves()
    yield from _capacity()


def _allocate(nodes: int) -> Iterable[Figure]:
    facts = generate(nodes, nodes * 20, "even")
    cluster, model_s = timed(lambda: build(facts))
    found = [timed(lambda: allocate(cluster, request())) for _ in range(TIMES)]
    name = f"allocate_{nodes}_ms"
    figure = from_samples(name, "ms", [seconds * 1000 for _, seconds in found])
    yield figure
    yield Figure(name=f"model_{nodes}_ms", value=model_s * 1000, unit="ms")
    yield Figure(name=f"allocate_{nodes}_mb", value=_memory(nodes), unit="MB")
    theirs = htools.hail(facts, [request()])
    if theirs is None:
        yield from beside(name, figure.value / 1000, None, None)
        return
    score = found[0][0].score
    gap = None if score is None or theirs[1] is None else score - theirs[1]
    yield from beside(name, figure.value / 1000, theirs[0], gap)


def _memory(nodes: int) -> float:
    """The greatest size of a process that makes the model and allocates, data included."""
    code = MEMORY_OF.format(nodes=nodes, instances=nodes * 20)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def _multi() -> Iterable[Figure]:
    facts = generate(500, 10000, "even")
    cluster = build(facts)
    asked = [request(f"new{row}") for row in range(10)]
    found, seconds = timed(lambda: multi_allocate(cluster, asked, Options(verdicts=False)))
    assert not found.failed
    yield Figure(name="multi10_500_s", value=seconds, unit="s")
    theirs = htools.hail(facts, asked) if worth_it("multi10_500_s") else None
    yield from beside("multi10_500_s", seconds, theirs[0] if theirs else None, None)


def _evacuate() -> Iterable[Figure]:
    facts = generate(500, 10000, "even")
    cluster = build(facts)
    first = cluster.nodes.names[0]
    leaving = [one.name for one in cluster.facts.instances if one.secondary == first]
    found, seconds = timed(lambda: evacuate(cluster, leaving, "secondary-only"))
    assert not found.failed
    yield Figure(name="evacuate_500_s", value=seconds, unit="s")
    theirs = htools.hail_evacuates(facts, leaving)
    if theirs is None:
        yield from beside("evacuate_500_s", seconds, None, None)
        return
    gap = found.score_after - _score_with(cluster, theirs[1])
    yield from beside("evacuate_500_s", seconds, theirs[0], gap)


def _score_with(cluster: Cluster, placed: dict[str, list[str]]) -> float:
    """The score with instances on other nodes."""
    usage = Usage(cluster)
    for name, nodes in placed.items():
        first, second = (cluster.node_number[node] for node in nodes)
        usage.move(cluster.instance_number[name], first, second)
    return weighed(components_of(usage))


def _balance_20() -> Iterable[Figure]:
    samples, times, gaps = [], [], []
    for skew in SKEWS:
        facts = generate(20, 200, skew)
        ours, seconds = _balance(build(facts), BalanceOptions())
        samples.append(seconds)
        theirs = htools.hbal(facts)
        if theirs is not None:
            times.append(theirs[0].seconds / seconds)
            gaps.append(ours - theirs[1])
    yield from_samples("balance_full_20_s", "s", samples)
    if gaps:
        yield from_samples("balance_full_20_s_vs_htools", "times", times)
        yield Figure(name="balance_full_20_s_score_gap", value=max(gaps), unit="score", n=len(gaps))


def _balance(cluster: Cluster, options: BalanceOptions) -> tuple[float, float]:
    """Final score, seconds."""
    plan, seconds = timed(lambda: balance(cluster, options))
    return plan.score_after, seconds


def _compared(
    name: str, facts: ClusterFacts, options: BalanceOptions, words: tuple[str, ...]
) -> Iterable[Figure]:
    ours, seconds = _balance(build(facts), options)
    yield Figure(name=name, value=seconds, unit="s")
    theirs = htools.hbal(facts, *words) if worth_it(name) else None
    if theirs is None:
        yield from beside(name, seconds, None, None)
    else:
        yield from beside(name, seconds, theirs[0], ours - theirs[1])


def _balance_nodisk() -> Iterable[Figure]:
    facts = generate(100, 2000, "mild")
    options = BalanceOptions(disk_moves=False)
    return _compared("balance_nodisk_100_s", facts, options, ("--no-disk-moves",))


def _balance_100() -> Iterable[Figure]:
    name, gaps, samples = "balance_full_100_s", [], []
    for skew in SKEWS:
        score, seconds = _balance(build(generate(100, 2000, skew)), BalanceOptions())
        samples.append(seconds)
        gaps.append(score)
    yield from_samples(name, "s", samples)
    theirs = htools.hbal(generate(100, 2000, "mild")) if worth_it(name) else None
    if theirs is None:
        yield from beside(name, max(samples), None, None)
    else:
        mild = SKEWS.index("mild")
        yield from beside(name, samples[mild], theirs[0], gaps[mild] - theirs[1])


def _first_move() -> Iterable[Figure]:
    facts = generate(500, 10000, "mild")
    return _compared("first_move_500_s", facts, BalanceOptions(max_moves=1), ("-l1",))


def _hundred_moves() -> Iterable[Figure]:
    facts, options = generate(1000, 20000, "mild"), BalanceOptions(max_moves=100)
    return _compared("balance_100_moves_1000_s", facts, options, ("-l100",))


def _capacity() -> Iterable[Figure]:
    facts = generate(100, 2000, "even")
    cluster = build(facts)

    def both() -> tuple[int, int]:
        standard = capacity(cluster, CapacityOptions())
        return standard.count, capacity(cluster, CapacityOptions(tiered=True)).count

    _, seconds = timed(both)
    yield Figure(name="capacity_100_s", value=seconds, unit="s")
    theirs = htools.hspace(facts) if worth_it("capacity_100_s") else None
    yield from beside("capacity_100_s", seconds, theirs[0] if theirs else None, None)
