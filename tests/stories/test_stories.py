"""Each story on a calm cluster, and under random faults with a printed seed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from clusterd.simulation.complaints import Complaints
from clusterd.simulation.explore import NEVER_AFTER
from clusterd.simulation.faults import KINDS, Fault
from tests.stories.operator import Operator
from tests.stories.told import STORIES

SEEDS = range(4)
MOST_MOMENTS = 90
TOP = Path(__file__).parents[2]


def drawn(seed: int) -> tuple[Fault, ...]:
    """One to three faults."""
    draw = random.Random(seed)
    faults = []
    for _ in range(draw.randint(1, 3)):
        kind = draw.choice([kind for kind in sorted(KINDS) if kind != "power-lost"])
        after = kind not in NEVER_AFTER and draw.random() < 0.5
        faults.append(Fault(kind, draw.randrange(MOST_MOMENTS), after))
    return tuple(faults)


@pytest.mark.parametrize("name", STORIES)
def test_the_story_goes_as_it_is_told(name: str, tmp_path: Path) -> None:
    complaints = Complaints()
    with complaints.listening():
        operator = Operator(tmp_path)
        STORIES[name](operator)
        operator.goes_home()
    assert not complaints.heard


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", STORIES)
def test_nothing_is_lost_or_doubled_under_faults(name: str, seed: int, tmp_path: Path) -> None:
    complaints = Complaints()
    with complaints.listening():
        faults = drawn(seed + 1000 * sorted(STORIES).index(name))
        print(f"seed {seed}: {', '.join(map(str, faults))}")
        operator = Operator(tmp_path, faults)
        STORIES[name](operator)
        operator.goes_home()
    assert not complaints.heard


def test_stories_leave_equal_traces_whatever_the_seed_of_hashes() -> None:
    traces = [_told_with(seed) for seed in ("1", "2")]
    assert "the_first_day" in traces[0]
    assert traces[0] == traces[1]


def _told_with(hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.stories"],
        cwd=TOP,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout
