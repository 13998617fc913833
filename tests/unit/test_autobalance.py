"""Keeping even without being asked: may a round begin, which moves are taken, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clusterd import balancing
from clusterd.balancing import Moment, Moved, Round
from clusterd.model import Balancing
from clusterd.placement import balance, model
from clusterd.placement.options import BalanceOptions
from clusterd.placement.results import BalancePlan
from jobqueue.errors import Refused
from tests.unit.cli_stage import Stage, job_answers, stage_in
from tests.unit.test_cli_planning import uneven

NOON = 1_767_268_800.0
"""2026-01-01 12:00 UTC"""
ON = Balancing(enabled=True)


def past(ended: float | None = NOON - 10_000, **fields: Any) -> Round:
    return Round(
        **{
            "number": 1,
            "group": "default",
            "began": NOON - 20_000,
            "reason": "much to gain",
            "score_before": 5.0,
            "score_planned": 1.0,
            "moves": (
                Moved(instance="web1", old=("a", "b"), new=("b", "a"), gain=4.0, copied_mib=0),
            ),
            "jobs": (7,),
            "ended": ended,
        }
        | fields
    )


@pytest.mark.parametrize(
    ("rules", "rounds", "moment", "why"),
    [
        (ON, (), {}, ""),
        (Balancing(), (), {}, "off"),
        (ON, (past(None),), {}, "round 1 is under way"),
        (ON, (past(),), {}, ""),
        (ON, (past(NOON - 899),), {}, "pause after round 1"),
        (ON, (past(NOON - 900),), {}, ""),
        (ON, (past(NOON - 3599, failed=(7,)),), {}, "jobs failed"),
        (ON, (past(NOON - 3600, failed=(7,)),), {}, ""),
        (ON, (), {"silent": ("node3",)}, "node3 does not answer"),
        (ON, (), {"queue_closed": True}, "no new jobs"),
        (ON, (), {"paused_until": NOON + 1}, "paused"),
        (ON, (), {"paused_until": NOON}, ""),
        (Balancing(enabled=True, quiet_hours=("11:00-12:01",)), (), {}, "quiet hours 11:00-12:01"),
    ],
)
def test_whether_a_round_may_begin(
    rules: Balancing, rounds: tuple[Round, ...], moment: dict[str, Any], why: str
) -> None:
    told = balancing.hindrance(rules, rounds, Moment(now=NOON, **moment))
    assert why in told
    assert bool(why) == bool(told)


@pytest.mark.parametrize(
    ("window", "zone", "inside"),
    [
        ("12:00-12:01", "UTC", True),
        ("11:00-12:00", "UTC", False),
        ("12:01-11:59", "UTC", False),
        ("22:00-12:01", "UTC", True),
        ("12:00-03:00", "UTC", True),
        ("13:00-13:01", "Europe/Berlin", True),
        ("12:00-12:59", "Europe/Berlin", False),
    ],
)
def test_quiet_hours(window: str, zone: str, inside: bool) -> None:
    rules = Balancing(quiet_hours=("01:00-02:00", window), timezone=zone)
    assert balancing.quiet(rules, NOON) == (window if inside else "")


def plan_of(max_moves: int | None = None) -> BalancePlan:
    options = BalanceOptions(group="default", max_moves=max_moves)
    return balance.balance(model.build(uneven()), options)


def test_work_begins_above_the_upper_limit_and_goes_on_above_the_lower() -> None:
    plan = plan_of()
    gain = plan.score_before - plan.score_after
    rules = Balancing(enabled=True, begin_gain=gain * 2, end_gain=gain / 2, least_gain=0.0)
    assert balancing.chosen(rules, (), plan).moves == ()
    assert balancing.chosen(rules, (past(rested=True),), plan).moves == ()
    assert balancing.chosen(rules, (past(group="other"),), plan).moves == ()
    assert balancing.chosen(rules, (past(),), plan).moves == plan.moves
    content = msgspec.structs.replace(rules, end_gain=gain * 1.5)
    told = balancing.chosen(content, (past(),), plan)
    assert told.moves == ()
    assert "is needed to go on" in told.reason


def test_a_round_ends_before_the_first_move_that_gains_too_little() -> None:
    plan = plan_of()
    gains = [move.gain for move in plan.moves]
    least = sorted(gains)[len(gains) // 2]
    first = next(at for at, gain in enumerate(gains) if gain < least)
    rules = Balancing(enabled=True, begin_gain=0.0, end_gain=0.0, least_gain=least)
    told = balancing.chosen(rules, (), plan)
    assert told.moves == plan.moves[:first]
    assert sorted(at for one in told.job_sets for at in one.moves) == list(range(first))
    assert told.score == plan.moves[first - 1].score


def test_an_instance_rests_where_it_was_put() -> None:
    rules = Balancing(enabled=True, instance_pause_s=100.0)
    assert balancing.resting(rules, [past(NOON - 99)], NOON) == {"web1"}
    assert balancing.resting(rules, [past(None)], NOON) == {"web1"}
    assert balancing.resting(rules, [past(NOON - 100)], NOON) == set()


def test_what_binds_is_not_forgotten() -> None:
    many = [past(NOON - 7 * 86400, number=number) for number in range(60)]
    many[3] = past(NOON - 10, number=3)
    left = [one.number for one in balancing.kept(many, ON, NOON)]
    assert left == [3, *range(10, 60)]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"colour": "red"}, "no value 'colour'"),
        ({"begin_gain": "much"}, "Expected `float`"),
        ({"begin_gain": 0.05}, "must be the greater one"),
        ({"least_gain": -1.0}, "least_gain is -1"),
        ({"begin_gain": float("nan")}, "begin_gain is nan"),
        ({"max_moves": 0}, "max_moves is 0"),
        ({"max_moves": 81}, "between 1 and 80"),
        ({"round_pause_s": -1.0}, "round_pause_s"),
        ({"quiet_hours": ["8-9"]}, "HH:MM-HH:MM"),
        ({"quiet_hours": ["08:00-24:00"]}, "HH:MM-HH:MM"),
        ({"quiet_hours": ["08:00-08:00"]}, "begin when they end"),
        ({"timezone": "Mars/Base"}, "Time zone 'Mars/Base'"),
        ({"timezone": "../etc/passwd"}, "Time zone"),
    ],
)
def test_rules_that_make_no_sense_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused, match=told.replace("(", r"\(")):
        balancing.changed(Balancing(), given)


def test_rules_that_are_not_named_stay() -> None:
    first = balancing.changed(Balancing(), {"enabled": True, "quiet_hours": ["08:00-18:00"]})
    second = balancing.changed(first, {"max_moves": 3})
    assert (second.enabled, second.quiet_hours, second.max_moves) == (True, ("08:00-18:00",), 3)


# -- the command -----------------------------------------------------------------------------------


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as made:
        yield made


def told_by_master(*rounds: Round) -> dict[str, Any]:
    rules = msgspec.to_builtins(msgspec.structs.asdict(ON))
    rows = [msgspec.to_builtins(msgspec.structs.asdict(one)) for one in rounds]
    return {"rules": rules, "state": "even enough", "rounds": rows}


def test_it_is_switched_on_with_rules_by_a_job(stage: Stage) -> None:
    words = ("--quiet-hours", "08:00-18:00,22:00-23:00", "--max-moves", "5", "--no-disk-moves")
    stage.answer(**job_answers())
    ended = stage.run("cluster", "balance", "--auto", "on", "--instance-pause", "2h", *words)
    assert ended.code == 0
    submitted = stage.submitted()
    assert submitted["OP_ID"] == "OP_CLUSTER_SET_PARAMS"
    assert submitted["balancing"] == {
        "enabled": True,
        "quiet_hours": ["08:00-18:00", "22:00-23:00"],
        "max_moves": 5,
        "disk_moves": False,
        "instance_pause_s": 7200,
    }


def test_it_is_switched_off(stage: Stage) -> None:
    stage.answer(**job_answers())
    assert stage.run("cluster", "balance", "--auto", "off").code == 0
    assert stage.submitted()["balancing"] == {"enabled": False}


def test_rules_state_and_rounds_are_shown(stage: Stage) -> None:
    answer = told_by_master(past(score_after=1.25, failed=(7,)))
    ended = stage.answer(QueryBalancing=answer).run("cluster", "balance", "--auto", "status")
    assert ended.code == 0
    assert ended.out[:2] == ["Automatic balancing: on", "  State: even enough"]
    assert "  Quiet hours: none" in ended.out
    assert (
        "score 5.000000 -> 1.000000 planned, found 1.250000; 1 moves, 1 jobs, 1 failed"
        in (ended.out[-1])
    )


def test_the_history_has_jobs_reasons_and_moves(stage: Stage) -> None:
    answer = told_by_master(past(None))
    ended = stage.answer(QueryBalancing=answer).run("cluster", "balance", "--history")
    assert ended.code == 0
    assert "under way" in ended.out[0]
    assert ended.out[1:] == [
        "  Reason: much to gain",
        "  Jobs: 7",
        "  web1: a:b => b:a (gain 4.000000)",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--auto", "maybe"), "maybe"),
        (("--auto", "on", "--apply"), "--apply does not go with --auto"),
        (("--history", "--plan"), "--plan does not go with --history"),
        (("--auto", "status", "--history"), "Only one of"),
        (("--quiet-hours", "08:00-09:00"), "goes with --auto on"),
        (("--auto", "off", "--begin-gain", "2"), "goes with --auto on"),
        (("--auto", "on", "--disk-moves", "--no-disk-moves"), "Only one of"),
    ],
)
def test_mistakes(stage: Stage, words: tuple[str, ...], told: str) -> None:
    ended = stage.run("cluster", "balance", *words)
    assert ended.code != 0
    assert told in "\n".join([*ended.out, *ended.err])
