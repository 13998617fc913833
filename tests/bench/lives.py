"""Simulated cluster lives: how many the explorer plays a second on one core."""

from __future__ import annotations

import itertools
import time

from clusterd.simulation.explore import crashes
from clusterd.simulation.scenarios import SCENARIOS
from clusterd.simulation.trial import attempt, reference
from tests.bench.figures import Figure, nearest

STRIDE = 37
"""Of all crash points of all scenarios every so many-th is played."""


def simulated_lives() -> Figure:
    """One life: a founded cluster whose daemons all start, the scenario's job, a master that dies
    at one commit and is followed by another, rest, judgement. Processor time of this process, so
    that other work beside it counts less; the value is lives over the sum of their times."""
    cases = [
        case
        for at, name in enumerate(sorted(SCENARIOS))
        for case in itertools.islice(crashes(name), at % STRIDE, None, STRIDE)
    ]
    for name in {name for name, _ in cases}:
        reference(name)  # founding and the run without faults are made once, not in each life
    samples = []
    for name, faults in cases:
        began = time.process_time()
        verdict = attempt(name, faults)
        samples.append(time.process_time() - began)
        if verdict.wrong:
            raise RuntimeError(f"{verdict.again}: {verdict.wrong}")
    rates = [1.0 / sample for sample in samples]
    return Figure(
        name="simulated_lives_per_s",
        value=len(samples) / sum(samples),
        unit="lives/s",
        p50=nearest(rates, 50),
        p95=nearest(rates, 95),
        n=len(samples),
    )
