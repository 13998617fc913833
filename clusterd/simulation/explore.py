"""Exploring what can go wrong: every moment of every scenario, then random mishaps by seed.

    python -m clusterd.simulation.explore --seconds 60
    python -m clusterd.simulation.explore --scenario migrate --crash 7 --after
    python -m clusterd.simulation.explore --scenario migrate --faults power-off@12+,crash@3
    python -m clusterd.simulation.explore --seed 4711

Each failure is printed with the line that repeats it; the exit code is 1 when there was one.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from clusterd.simulation.branching import crash_everywhere
from clusterd.simulation.faults import KINDS, Fault, parse
from clusterd.simulation.scenarios import SCENARIOS
from clusterd.simulation.trial import attempt, reference
from clusterd.simulation.verdict import Verdict

Case = tuple[str, tuple[Fault, ...]]
"""Name of a scenario, and faults."""

MOST_FAULTS = 4
NEVER_AFTER = frozenset({"store-full"})
"""A store that is full says so before it writes."""


def crashes(name: str) -> Iterator[Case]:
    """The master dies before and after each commit."""
    for at in range(reference(name).commits):
        for after in (False, True):
            yield name, (Fault("crash", at, after),)


def single_faults(name: str, *, stride: int = 1, first: int = 0) -> Iterator[Case]:
    """Each kind of fault but crashes, at each moment, or at every ``stride``-th."""
    moments = {"calls": reference(name).calls, "commits": reference(name).commits}
    count = first
    for kind, what in KINDS.items():
        if kind == "crash":
            continue
        for at in range(moments[what.counts]):
            for after in (False,) if kind in NEVER_AFTER else (False, True):
                count += 1
                if count % stride == 0:
                    yield name, (Fault(kind, at, after),)


def drawn(seed: int) -> Case:
    """A scenario and up to MOST_FAULTS faults, by seed."""
    draw = random.Random(seed)
    name = draw.choice(sorted(SCENARIOS))
    moments = {"calls": reference(name).calls, "commits": reference(name).commits}
    faults = []
    for _ in range(draw.randint(1, MOST_FAULTS)):
        kind = draw.choice(sorted(KINDS))
        at = draw.randrange(max(moments[KINDS[kind].counts], 1) + 5)
        faults.append(Fault(kind, at, kind not in NEVER_AFTER and draw.random() < 0.5))
    return name, tuple(faults)


class Tally(msgspec.Struct, kw_only=True):
    """What was explored."""

    trials: int = 0
    moments: int = 0
    failures: int = 0

    def take(self, verdict: Verdict) -> None:
        """Count it; print what is wrong."""
        self.trials += 1
        self.moments += verdict.calls + verdict.commits
        if verdict.wrong:
            self.failures += 1
            print(verdict.again, *verdict.wrong, sep="\n    ", flush=True)


def played(cases: Iterable[Case]) -> Iterator[Verdict]:
    """A trial each."""
    return (attempt(name, faults) for name, faults in cases)


def everything(seed: int) -> Iterator[Verdict]:
    """All crashes, all single faults, then random ones without end."""
    for name in SCENARIOS:
        yield from crash_everywhere(name)
    for name in SCENARIOS:
        yield from played(single_faults(name))
    yield from played(at_random(seed))


def at_random(seed: int) -> Iterator[Case]:
    """Random mishaps from this seed on, without end."""
    while True:
        yield drawn(seed)
        seed += 1


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m clusterd.simulation.explore")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), help="only this one")
    parser.add_argument("--crash", type=int, help="the master dies before this commit")
    parser.add_argument("--after", action="store_true", help="the master dies after that commit")
    parser.add_argument("--faults", help="faults as kind@moment or kind@moment+, by commas")
    parser.add_argument("--seed", type=int, help="the mishaps of this seed, or the first seed")
    parser.add_argument("--seconds", type=float, help="explore for so long")
    parser.add_argument("--random", action="store_true", help="random mishaps only")
    return parser.parse_args(argv)


def _verdicts(wanted: argparse.Namespace) -> Iterator[Verdict]:
    if wanted.crash is not None:
        yield attempt(wanted.scenario, (Fault("crash", wanted.crash, wanted.after),))
    elif wanted.faults is not None:
        yield attempt(wanted.scenario, tuple(parse(text) for text in wanted.faults.split(",")))
    elif wanted.seconds is None and wanted.seed is not None:
        yield attempt(*drawn(wanted.seed))
    elif wanted.scenario is not None:
        yield from crash_everywhere(wanted.scenario)
        yield from played(single_faults(wanted.scenario))
    elif wanted.random:
        yield from played(at_random(wanted.seed or 0))
    else:
        yield from everything(wanted.seed or 0)


def main(argv: Sequence[str], seconds: Any) -> int:
    """The exit code. ``seconds`` tells the real time."""
    wanted = _arguments(argv)
    if (wanted.crash is not None or wanted.faults is not None) and wanted.scenario is None:
        print("--crash and --faults need --scenario", file=sys.stderr)
        return 2
    begun = seconds()
    tally = Tally()
    for verdict in _verdicts(wanted):
        tally.take(verdict)
        if wanted.seconds is not None and seconds() - begun > wanted.seconds:
            break
    print(
        f"{len(SCENARIOS)} scenarios, {tally.trials} trials, {tally.moments} moments passed, "
        f"{tally.failures} failures, {seconds() - begun:.0f} s"
    )
    return 1 if tally.failures else 0


if __name__ == "__main__":
    import time

    sys.exit(main(sys.argv[1:], time.monotonic))
