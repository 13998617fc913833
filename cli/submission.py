"""Submitting: every request has a name, so an answer that is lost does not lose or double a job.

Decided here: which failures leave it open whether the master has the request, and how long it is
asked again with the same name. Invariant: one call of ``submit`` or ``submit_many`` makes its jobs
once at most, whoever dies in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from cli.arguments import NAMING
from cli.command import Call
from clusterd.doorway.client import DoorLost, DoorRefused, DoorSilent
from clusterd.doorway.protocol import RequestFailed
from clusterd.errors import ClusterError, DoorAway

T = TypeVar("T")
Opcodes = Sequence[Mapping[str, Any]]

LOOKS, LOOK_EVERY_S = 120, 1.0
"""A master that is away is asked so often: jobs go on when it, or another one, is there again."""

AGAIN = "The master went away before it answered; the request is repeated, and done only once"


def submit(call: Call, opcodes: Opcodes) -> int:
    """The number of the new job."""
    door = call.session.door
    return _surely(call, _name(call), lambda name: door.submit_job(opcodes, name))


def submit_many(call: Call, jobs: Sequence[Opcodes], part: str = "") -> list[tuple[bool, Any]]:
    """A (true, number) or (false, message) for each. ``part`` tells requests of one command apart
    that bear the name which the operator gave."""
    door = call.session.door
    return _surely(call, _name(call) + part, lambda name: door.submit_many_jobs(jobs, name))


def comes_back(error: ClusterError) -> bool:
    """Whether asking here again makes sense: a master that is another node answers there."""
    if isinstance(error, RequestFailed):
        here = error.kind == "NotMaster" and "please connect to node" not in error.message
        return here or error.unsure
    return isinstance(error, DoorAway) and not isinstance(error, DoorRefused | DoorSilent)


def _name(call: Call) -> str:
    """What the operator named the request; or one that nobody else has."""
    return str(call.given(NAMING) or call.session.draw_name())


def _surely(call: Call, name: str, ask: Callable[[str], T]) -> T:
    session = call.session
    unsure = False
    for look in range(LOOKS):
        try:
            return ask(name)
        except (DoorAway, RequestFailed) as error:
            begins = not unsure and _may_be_done(error)
            unsure = unsure or begins
            if not unsure or (isinstance(error, RequestFailed) and not _is_away(error)):
                raise  # it is certain that this request made no job
            if not comes_back(error) or look + 1 == LOOKS:
                session.err(_open_end(call, name))
                raise
        if begins:
            session.err(AGAIN)
        session.pause(LOOK_EVERY_S)
    raise AssertionError("the last look raises")


def _may_be_done(error: ClusterError) -> bool:
    """The master had the request, and what became of it was not told."""
    if isinstance(error, RequestFailed):
        return error.unsure
    return isinstance(error, DoorLost | DoorSilent)


def _is_away(error: RequestFailed) -> bool:
    """No verdict on the request, but nobody who could give one."""
    return error.kind == "NotMaster" or error.unsure


def _open_end(call: Call, name: str) -> str:
    said = (
        "It is not known whether the request was submitted; 'gnt-job list' on the master shows it"
    )
    if not call.may_name:
        return said
    return f"{said}. The same command with --idempotency-key={name} never submits it twice"
