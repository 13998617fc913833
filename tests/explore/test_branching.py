"""Lives that branch off one run are those that are played from the beginning, to the last byte."""

from __future__ import annotations

import itertools

import pytest

from clusterd.simulation.branching import crash_everywhere
from clusterd.simulation.complaints import Complaints
from clusterd.simulation.explore import crashes
from clusterd.simulation.faults import Fault
from clusterd.simulation.founded import Founded
from clusterd.simulation.grounds import buried
from clusterd.simulation.scenarios import SCENARIOS
from clusterd.simulation.trial import Trial, begun
from clusterd.simulation.verdict import Verdict

NAMES = sorted(SCENARIOS)
EVERY = 29
"""Of all scenarios every so many-th is looked at, with others also those that keep most in files
and memory."""
CHOSEN = sorted({*NAMES[::EVERY], "create-drbd", "migrate"})
STRIDE = 5


def whole(name: str, faults: tuple[Fault, ...] = ()) -> tuple[Verdict, Founded]:
    """A life from the beginning, and all that is there at its end."""
    with Complaints().listening(), buried():
        trial = begun(name, faults)
        verdict, end = trial.run(), trial.cluster.founded()
        del trial  # what it leaves is collected here, not in the midst of the next
    return verdict, end


@pytest.mark.parametrize(("name", "first"), [(name, at) for at, name in enumerate(CHOSEN)])
def test_a_branch_ends_as_the_whole_life_does(name: str, first: int) -> None:
    ends: dict[Fault, Founded] = {}

    def keep(fault: Fault, trial: Trial) -> None:
        ends[fault] = trial.cluster.founded()

    found = {verdict.faults: verdict for verdict in crash_everywhere(name, keep)}
    for _, faults in itertools.islice(crashes(name), first % STRIDE, None, STRIDE):
        verdict, end = whole(name, faults)
        assert found[faults] == verdict
        assert ends[faults[0]] == end


@pytest.mark.parametrize("name", ["snapshot-add", "create-drbd"])
def test_a_life_changes_nothing_of_what_the_next_begins_with(name: str) -> None:
    def start() -> str:
        with Complaints().listening(), buried():
            return repr(begun(name).cluster.founded())  # as it is now, sharing nothing with it

    before = start()
    whole(name)
    assert start() == before
