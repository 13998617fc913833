"""Keeping a cluster even without being asked: may a round begin, and which of its moves are made.

Decided here, over frozen values and a time that is handed in: two thresholds, so that a cluster
does not swing between rest and work; pauses, so that no instance moves back and forth; quiet hours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from clusterd.model import Balancing
from clusterd.placement.job_sets import job_sets
from clusterd.placement.results import BalancePlan, JobSet, Move
from jobqueue.errors import Refused

MOST_MOVES = 80
"""They are stored in one transaction."""
KEPT_ROUNDS = 50
FAILED_PAUSE_S = 3600.0
"""Between a round of which a job failed and the next, at least."""

WINDOW = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """One move of a round."""

    instance: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    gain: float
    copied_mib: int


class Round(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was done for one node group. Times are seconds since the epoch."""

    number: int
    group: str
    began: float
    reason: str
    score_before: float
    score_planned: float
    moves: tuple[Moved, ...]
    jobs: tuple[int, ...]
    ended: float | None = None
    score_after: float | None = None
    """As it was found to be once the jobs had ended; None: not yet, or the group is gone."""
    failed: tuple[int, ...] = ()
    """Jobs without success."""
    rested: bool = False
    """So little was left to gain afterwards that the group came to rest."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when a round might begin."""

    now: float
    silent: tuple[str, ...] = ()
    """Nodes that should answer and do not."""
    queue_closed: bool = False
    paused_until: float | None = None
    """The operator has paused what acts by itself."""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken of a plan; without moves ``reason`` says why not."""

    reason: str
    moves: tuple[Move, ...] = ()
    job_sets: tuple[JobSet, ...] = ()

    @property
    def score(self) -> float:
        """After the last move."""
        return self.moves[-1].score


def changed(old: Balancing, given: Mapping[str, Any]) -> Balancing:
    """The rules with some values changed; raises Refused naming what is wrong."""
    unknown = sorted(set(given) - set(Balancing.__struct_fields__))
    if unknown:
        raise Refused(f"Balancing has no value '{unknown[0]}'", "wrong_input")
    try:
        new = msgspec.convert({**msgspec.structs.asdict(old), **given}, Balancing)
    except msgspec.ValidationError as error:
        raise Refused(f"Balancing: {error}", "wrong_input") from None
    for name in ("begin_gain", "end_gain", "least_gain", "cost_per_gib"):
        _within(name, getattr(new, name), 0.0, 1e9)
    for name in ("round_pause_s", "instance_pause_s"):
        _within(name, getattr(new, name), 0.0, 366 * 86400.0)
    _within("max_moves", new.max_moves, 1, MOST_MOVES)
    if new.end_gain > new.begin_gain:
        raise Refused(
            f"Balancing would end at a gain of {new.end_gain:g} and begin only at"
            f" {new.begin_gain:g}: the gain to begin with must be the greater one",
            "wrong_input",
        )
    for window in new.quiet_hours:
        _minutes(window)
    zone(new.timezone)
    return new


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise Refused(
            f"Balancing: {name} is {value:g}, not between {least:g} and {most:g}", "wrong_input"
        )


def _minutes(window: str) -> tuple[int, int]:
    found = WINDOW.fullmatch(window)
    if found is None:
        raise Refused(
            f"Quiet hours '{window}' are not of the form HH:MM-HH:MM, such as 08:00-18:30",
            "wrong_input",
        )
    first_h, first_min, last_h, last_min = map(int, found.groups())
    begin, end = first_h * 60 + first_min, last_h * 60 + last_min
    if begin == end:
        raise Refused(f"Quiet hours '{window}' begin when they end", "wrong_input")
    return begin, end


def zone(name: str) -> tzinfo:
    """A time zone by its name; raises Refused."""
    if name == "UTC":  # known without a database of zones
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Refused(
            f"Time zone '{name}' is not known here; names are such as Europe/Berlin", "wrong_input"
        ) from None


def quiet(rules: Balancing, now: float) -> str:
    """The window of quiet hours that ``now`` lies in, or empty. A window may pass midnight."""
    local = datetime.fromtimestamp(now, zone(rules.timezone))
    minute = local.hour * 60 + local.minute
    for window in rules.quiet_hours:
        begin, end = _minutes(window)
        inside = begin <= minute < end if begin < end else minute >= begin or minute < end
        if inside:
            return window
    return ""


def hindrance(rules: Balancing, past: Sequence[Round], moment: Moment) -> str:
    """Why no round may begin now, or empty."""
    if not rules.enabled:
        return "off"
    return _own(rules, past, moment.now) or _foreign(moment)


def _own(rules: Balancing, past: Sequence[Round], now: float) -> str:
    """What the rules say against it."""
    if under_way := [one for one in past if one.ended is None]:
        return f"round {under_way[-1].number} is under way"
    if window := quiet(rules, now):
        return f"quiet hours {window} ({rules.timezone})"
    for one in past:
        pause_s = max(rules.round_pause_s, FAILED_PAUSE_S) if one.failed else rules.round_pause_s
        if one.ended is not None and now < one.ended + pause_s:
            why = "of which jobs failed" if one.failed else "before the next"
            return f"pause after round {one.number}, {why}"
    return ""


def _foreign(moment: Moment) -> str:
    """What the state of the cluster says against it."""
    if moment.paused_until is not None and moment.paused_until > moment.now:
        return "paused with the watcher"
    if moment.queue_closed:
        return "the job queue takes no new jobs"
    if moment.silent:
        return f"{moment.silent[0]} does not answer"
    return ""


def resting(rules: Balancing, past: Sequence[Round], now: float) -> set[str]:
    """Instances that a round moved, or tried to, not long ago."""
    return {
        move.instance
        for one in past
        if one.ended is None or now < one.ended + rules.instance_pause_s
        for move in one.moves
    }


def going(past: Sequence[Round], group: str) -> bool:
    """Whether the group's last round left it in motion."""
    mine = [one for one in past if one.group == group]
    return bool(mine) and not mine[-1].rested


def chosen(rules: Balancing, past: Sequence[Round], plan: BalancePlan) -> Chosen:
    """The moves of a plan up to the first that gains too little, if together they gain enough."""
    taken: list[Move] = []
    for move in plan.moves[: rules.max_moves]:
        if move.gain < rules.least_gain:
            break
        taken.append(move)
    gain = plan.score_before - taken[-1].score if taken else 0.0
    moving = going(past, plan.group)
    limit, word = (rules.end_gain, "go on") if moving else (rules.begin_gain, "begin")
    if not taken or gain < limit:
        return Chosen(reason=f"{plan.group}: {gain:.6f} to gain, {limit:g} is needed to {word}")
    reason = f"{plan.group}: {gain:.6f} to gain, at least {limit:g} needed to {word}"
    return Chosen(reason=reason, moves=tuple(taken), job_sets=job_sets(taken))


def begun(number: int, plan: BalancePlan, choice: Chosen, jobs: Sequence[int], now: float) -> Round:
    """The round that carries out what was chosen."""
    return Round(
        number=number,
        group=plan.group,
        began=now,
        reason=choice.reason,
        score_before=plan.score_before,
        score_planned=choice.score,
        moves=tuple(
            Moved(
                instance=move.instance,
                old=move.old,
                new=move.new,
                gain=move.gain,
                copied_mib=move.copied_mib,
            )
            for move in choice.moves
        ),
        jobs=tuple(jobs),
    )


def rested(past: Sequence[Round], groups: set[str]) -> tuple[Round, ...]:
    """The rounds, once these groups have come to rest."""
    last = {one.group: one.number for one in past}
    return tuple(
        msgspec.structs.replace(one, rested=True)
        if one.group in groups and one.number == last[one.group]
        else one
        for one in past
    )


def kept(past: Sequence[Round], rules: Balancing, now: float) -> tuple[Round, ...]:
    """Without those that are too old to be shown and bind nobody any more."""
    old, new = past[:-KEPT_ROUNDS], past[-KEPT_ROUNDS:]
    binding = [one for one in old if one.ended is None or resting(rules, [one], now)]
    return (*binding[-KEPT_ROUNDS:], *new)
