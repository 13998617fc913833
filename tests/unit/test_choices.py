"""Choices: made one at a time, kept with the job, never made on what another plan has taken."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from jobqueue.job import Status
from jobqueue.live import Job
from jobqueue.lock import Level, Lock
from tests.unit.test_executor import Play
from tests.unit.toy_cluster import PutOne


def job(play: Play, number: int) -> Job:
    found = play.master.queue.job(number)
    assert found is not None
    return found


def hold(play: Play, name: str) -> None:
    locks = (Lock(Level.NODE, name),)
    Deferred.fromCoroutine(play.master.queue.locks.acquire("operator", locks))


def test_what_was_chosen_stands_in_the_job_with_its_reasons() -> None:
    play = Play()
    play.toys.things.add("a")
    (number,) = play.submit([PutOne(among=("a", "b"))])
    play.settle()
    assert play.result(number) == "b"
    (opcode,) = job(play, number).opcodes
    assert isinstance(opcode, PutOne)
    assert opcode.name == "b"
    assert job(play, number).known[0].verdicts == {"a": "there already", "b": "fits"}


def test_the_choice_outlives_the_master() -> None:
    play = Play()
    (number,) = play.submit([PutOne(among=("a",))])
    play.settle()
    play.master.die()
    play.begin()
    (opcode,) = job(play, number).opcodes
    assert isinstance(opcode, PutOne)
    assert opcode.name == "a"
    assert job(play, number).known[0].verdicts == {"a": "fits"}


def test_jobs_asked_for_at_once_are_not_given_the_same() -> None:
    play = Play()
    thinking: Deferred[None] = Deferred()
    play.toys.thinking = thinking
    numbers = play.submit(*([PutOne(among=("a", "b", "c"))] for _ in range(3)))
    play.settle(1.0)
    thinking.callback(None)
    play.settle()
    assert sorted(play.result(number) for number in numbers) == ["a", "b", "c"]


def test_when_nothing_fits_the_reasons_are_kept() -> None:
    play = Play()
    play.toys.things.add("a")
    (number,) = play.submit([PutOne(among=("a",))])
    play.settle()
    assert play.status(number) is Status.ERROR
    assert play.result(number) == [
        "OpPrereqError",
        ["nothing is left", "insufficient_resources"],
    ]
    assert job(play, number).known[0].verdicts == {"a": "there already"}


def test_a_dry_run_keeps_the_reasons_and_puts_nothing() -> None:
    play = Play()
    (number,) = play.submit([PutOne(among=("a",), dry_run=True)])
    play.settle()
    assert play.status(number) is Status.SUCCESS
    assert job(play, number).known[0].verdicts == {"a": "fits"}
    assert not play.toys.things


def test_what_others_hold_is_not_chosen() -> None:
    play = Play()
    hold(play, "a")
    (number,) = play.submit([PutOne(among=("a", "b"))])
    play.settle()
    assert play.result(number) == "b"


def test_when_all_that_is_left_is_held_the_choice_waits_for_it() -> None:
    play = Play()
    hold(play, "a")
    first, second = play.submit([PutOne(among=("a",))], [PutOne(among=("b",))])
    play.settle()
    assert play.status(first) is Status.WAITING
    assert play.result(second) == "b", "others choose meanwhile"
    play.master.queue.locks.release("operator")
    play.settle()
    assert play.result(first) == "a"


def test_what_is_taken_while_the_choice_was_made_is_waited_for() -> None:
    play = Play()
    thinking: Deferred[None] = Deferred()
    play.toys.thinking = thinking
    (number,) = play.submit([PutOne(among=("a",))])
    play.settle(1.0)
    hold(play, "a")
    thinking.callback(None)
    play.settle()
    assert play.status(number) is Status.WAITING
    play.master.queue.locks.release("operator")
    play.settle()
    assert play.result(number) == "a"


def test_a_choice_that_is_being_made_can_be_canceled() -> None:
    play = Play()
    play.toys.thinking = Deferred()
    first, second = play.submit([PutOne(among=("a",))], [PutOne(among=("a",))])
    play.settle(1.0)
    canceled: list[Any] = []
    for number in (second, first):
        waiting = Deferred.fromCoroutine(play.master.scheduler.cancel(number))
        waiting.addCallback(canceled.append)
    play.settle()
    assert [done for done, _text in canceled] == [True, True]
    assert play.status(first) is Status.CANCELED
    assert play.status(second) is Status.CANCELED
    assert not play.master.queue.locks.rows()
