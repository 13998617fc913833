"""Stuck jobs: how they become so, and what an operator may do about it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from twisted.internet.defer import Deferred

from clusterd.simulation.clock import Clock
from jobqueue.job import Status
from jobqueue.journal import Event, Kind
from jobqueue.queue import CANCELS, JOURNAL
from jobqueue.store.interface import Transaction
from jobqueue.store.memory import MemoryDisk, MemoryStore
from tests.unit.toy_cluster import PutAll, ToyMaster, Toys
from tests.waiting import settled


class Stage:
    """Masters one after the other; ``web`` is the name of the lock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.disk = MemoryDisk()
        self.toys = Toys()
        self.begin()

    def begin(self) -> None:
        """A new master; the old one is gone."""
        if hasattr(self, "master"):
            self.master.die()
        self.master = ToyMaster(self.clock, self.disk, self.toys)
        self.master.start()
        assert not self.master.failures

    def get_stuck(self) -> int:
        """A job that failed at b and cannot take a back; it holds its lock."""
        self.toys.broken.add("b")
        self.toys.unremovable.add("a")
        number = self.submit(PutAll(names=("a", "b", "c"), lock="web"))
        assert self.status(number) is Status.STUCK
        return number

    def submit(self, opcode: PutAll) -> int:
        numbers: list[int] = []
        waiting = Deferred.fromCoroutine(self.master.queue.submit([[opcode]], "test"))
        waiting.addCallback(numbers.extend)
        self.clock.run(60.0)
        return numbers[0]

    def decide(self, decision: str, number: int) -> tuple[bool, str]:
        answers: list[tuple[bool, str]] = []
        verb: Any = getattr(self.master.scheduler, decision)
        Deferred.fromCoroutine(verb(number, "as I say")).addCallback(answers.append)
        self.clock.run(60.0)
        return answers[0]

    def status(self, number: int) -> Status:
        job = self.master.queue.job(number)
        assert job is not None
        return job.status

    def holders(self) -> set[str]:
        return {owner for row in self.master.queue.locks.rows() for owner in row.owners}

    def write(self, key: str, value: bytes) -> None:
        settled(MemoryStore(self.disk).commit(Transaction(puts=((key, value),))))


@pytest.fixture(params=[False, True], ids=["same-master", "after-a-restart"])
def stage(request: pytest.FixtureRequest) -> Stage:
    """Every decision is possible at once and after a restart of the master."""
    stage = Stage()
    stage.get_stuck()
    if request.param:
        stage.begin()
    assert stage.status(1) is Status.STUCK
    assert stage.holders() == {"1"}
    job = stage.master.queue.job(1)
    assert job is not None
    assert job.stuck_reason.startswith("undoing ")
    return stage


def test_resume_goes_forward_from_where_it_got_stuck(stage: Stage) -> None:
    stage.toys.broken.clear()
    done, sentence = stage.decide("resume", 1)
    assert (done, sentence) == (True, "Job 1: goes on")
    assert stage.status(1) is Status.SUCCESS
    job = stage.master.queue.job(1)
    assert job is not None
    assert job.stuck_reason == ""
    assert stage.toys.things == {"a", "b", "c"}
    assert stage.holders() == set()


def test_unwind_tries_the_way_back_again(stage: Stage) -> None:
    stage.toys.unremovable.clear()
    assert stage.decide("unwind", 1)[0]
    assert stage.status(1) is Status.ERROR
    assert stage.toys.things == set()
    assert stage.holders() == set()


def test_unwinding_in_vain_is_stuck_again(stage: Stage) -> None:
    assert stage.decide("unwind", 1)[0]
    assert stage.status(1) is Status.STUCK
    assert stage.holders() == {"1"}


def test_abandon_ends_it_as_it_is(stage: Stage) -> None:
    assert stage.decide("abandon", 1)[0]
    job = stage.master.queue.job(1)
    assert job is not None
    assert job.status is Status.ERROR
    assert job.known[-1].result == ["OpExecError", ["Abandoned by an operator: as I say"]]
    assert "as I say" in str(job.logs(0)[-1].text)
    assert stage.holders() == set()
    assert "a" in stage.toys.things


def test_what_comes_back_unwinds_it_by_itself(stage: Stage) -> None:
    stage.toys.unremovable.clear()
    Deferred.fromCoroutine(stage.master.scheduler.retry_undoing("node1 is back"))
    stage.clock.run(60.0)
    assert stage.status(1) is Status.ERROR
    assert stage.toys.things == set()


def test_a_decision_outlives_the_next_restart(stage: Stage) -> None:
    stage.decide("abandon", 1)
    stage.begin()
    assert stage.status(1) is Status.ERROR


@pytest.mark.parametrize("decision", ["resume", "unwind", "abandon"])
def test_only_a_stuck_job_can_be_decided_on(decision: str) -> None:
    stage = Stage()
    number = stage.submit(PutAll(names=("a",)))
    assert stage.decide(decision, number) == (False, "Job 1 not found in queue")
    assert stage.decide(decision, 99) == (False, "Job 99 not found in queue")


def test_a_journal_that_does_not_fit_stops_its_job_only() -> None:
    stage = Stage()
    stage.get_stuck()
    odd = Event(kind=Kind.OK, opcode=0, time=0.0, step=0)
    stage.write(f"{JOURNAL}{1:012d}/000099", msgspec.json.encode(odd))
    stage.begin()
    assert stage.status(1) is Status.STUCK
    assert stage.submit(PutAll(names=("z",))) == 2
    assert stage.status(2) is Status.SUCCESS
    done, sentence = stage.decide("resume", 1)
    assert not done
    assert "only be abandoned" in sentence
    assert stage.decide("abandon", 1)[0]
    assert stage.status(1) is Status.ERROR
    stage.begin()
    assert stage.status(1) is Status.ERROR
    assert stage.holders() == set()


def test_an_unreadable_line_of_a_journal_stops_its_job_only() -> None:
    stage = Stage()
    stage.get_stuck()
    stage.write(f"{JOURNAL}{1:012d}/000099", b"{")
    stage.begin()
    job = stage.master.queue.job(1)
    assert job is not None
    assert "does not fit" in job.stuck_because
    assert job.stuck_reason == job.stuck_because


def test_locks_that_another_job_holds_stop_one_job_only() -> None:
    stage = Stage()
    stage.get_stuck()
    for entry in list(stage.disk.entries.values()):
        if entry.key.startswith((JOURNAL, "job/")):
            key = entry.key.replace(f"{1:012d}", f"{2:012d}")
            stage.write(key, entry.value.replace(b'"id":1', b'"id":2'))
    stage.begin()
    assert [stage.status(number) for number in (1, 2)] == [Status.STUCK, Status.STUCK]
    assert stage.holders() == {"1"}
    done, sentence = stage.decide("unwind", 2)
    assert not done
    assert "held by another owner" in sentence
    stage.decide("abandon", 1)
    stage.toys.unremovable.clear()
    assert stage.decide("unwind", 2)[0]
    assert stage.status(2) is Status.ERROR


def test_a_resumed_job_is_no_longer_to_be_canceled(stage: Stage) -> None:
    stage.write(f"{CANCELS}{1:012d}", b"1")
    stage.begin()
    stage.toys.broken.clear()
    assert stage.decide("resume", 1)[0]
    assert stage.status(1) is Status.SUCCESS
    assert not [key for key in stage.disk.entries if key.startswith(CANCELS)]
