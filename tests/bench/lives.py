"""Simulated cluster lives: how many the explorer plays a second on one core."""

from __future__ import annotations

import time

from clusterd.simulation.branching import crash_everywhere
from clusterd.simulation.scenarios import SCENARIOS
from clusterd.simulation.trial import reference
from tests.bench.figures import Figure, nearest


def simulated_lives() -> Figure:
    """One life: a founded cluster whose daemons have all started, the scenario's job, a master that
    dies at one commit and is followed by another, rest, judgement. What leads to the crashes of a
    scenario is played once and counted once. Processor time of this process, so that other work
    beside it counts less; the value is lives over the sum of the scenarios' times."""
    lives, taken_s, rates = 0, 0.0, []
    for name in sorted(SCENARIOS):
        reference(name)  # founding and the run without faults are made once, not in each life
        began = time.process_time()
        verdicts = crash_everywhere(name)
        took_s = time.process_time() - began
        wrong = [f"{one.again}: {one.wrong}" for one in verdicts if one.wrong]
        if wrong:
            raise RuntimeError("; ".join(wrong))
        lives += len(verdicts)
        taken_s += took_s
        rates.append(len(verdicts) / took_s)
    return Figure(
        name="simulated_lives_per_s",
        value=lives / taken_s,
        unit="lives/s",
        p50=nearest(rates, 50),
        p95=nearest(rates, 95),
        n=lives,
    )
