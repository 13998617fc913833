"""The master dies before and after each commit of each scenario; each single fault strikes.

All single faults take long and are left to ``make explore``; here every STRIDE-th of them is tried,
for each scenario beginning at another one.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from clusterd.opcodes import registry
from clusterd.simulation.branching import crash_everywhere
from clusterd.simulation.explore import crashes, drawn, played, single_faults
from clusterd.simulation.faults import KINDS, Fault, parse
from clusterd.simulation.scenarios import SCENARIOS
from clusterd.simulation.trial import attempt
from clusterd.simulation.verdict import Verdict

STRIDE = 499
SEEDS = range(12)
NAMES = sorted(SCENARIOS)


def failures(verdicts: Iterable[Verdict]) -> list[str]:
    """The lines that repeat what went wrong, each with the reasons."""
    return ["\n  ".join([one.again, *one.wrong]) for one in verdicts if one.wrong]


@pytest.mark.parametrize("name", NAMES)
def test_the_master_may_die_before_and_after_each_commit(name: str) -> None:
    verdicts = crash_everywhere(name)
    wrong = failures(verdicts)
    assert not wrong, "\n".join(wrong)
    assert [(one.scenario, one.faults) for one in verdicts] == list(crashes(name))


@pytest.mark.parametrize("name", NAMES)
def test_any_single_fault_may_strike(name: str) -> None:
    wrong = failures(played(single_faults(name, stride=STRIDE, first=NAMES.index(name) * 7)))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("seed", SEEDS)
def test_several_faults_may_strike(seed: int) -> None:
    wrong = failures(played([drawn(seed)]))
    assert not wrong, "\n".join(wrong)


def test_every_opcode_has_a_scenario() -> None:
    acted = {opcode.op_id() for one in SCENARIOS.values() for opcode in one.act}
    missing = sorted({kind.opcode.op_id() for kind in registry()} - acted)
    assert not missing, f"without a scenario: {missing}"


@pytest.mark.parametrize("fault", [Fault("crash", 3), Fault("power-off", 12, after=True)])
def test_a_fault_is_read_back_from_its_text(fault: Fault) -> None:
    assert parse(str(fault)) == fault


@pytest.mark.parametrize("text", ["", "crash", "crash@", "crash@-1", "nonsense@3", "crash@3++"])
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no fault"):
        parse(text)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_of_fault_strikes_in_some_scenario(kind: str) -> None:
    verdicts = (attempt("migrate", (Fault(kind, at),)) for at in range(4, 12))
    assert any(verdict.struck for verdict in verdicts), f"{kind} did not strike"
