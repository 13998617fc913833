"""Jobs over a toy application: success, failure, unwinding, cancelling, and death at each write."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from clusterd.simulation.clock import Clock
from jobqueue.job import Status
from jobqueue.opcode import Opcode
from jobqueue.retry import pause_s
from jobqueue.step import Patience
from jobqueue.store.memory import MemoryDisk
from tests.unit.toy_cluster import PutAll, PutGuarded, SpawnAll, ToyMaster, Toys


class Play:
    """A clock, a disk, toys, and masters one after the other."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.disk = MemoryDisk()
        self.toys = Toys()
        self.master = self.begin()

    def begin(self, **trouble: Any) -> ToyMaster:
        self.master = ToyMaster(self.clock, self.disk, self.toys, **trouble)
        self.master.start()
        assert not self.master.failures
        return self.master

    def submit(self, *jobs: list[Opcode]) -> list[int]:
        answers: list[list[int]] = []
        waiting = Deferred.fromCoroutine(self.master.queue.submit(jobs, "test"))
        waiting.addCallback(answers.append)
        waiting.addErrback(lambda failure: answers.append([]))
        self.clock.run(0.0)
        return answers[0] if answers else []

    def settle(self, for_s: float = 600.0) -> None:
        self.clock.run(for_s)

    def status(self, job_id: int) -> Status:
        job = self.master.queue.job(job_id)
        assert job is not None
        return job.status

    def result(self, job_id: int) -> Any:
        job = self.master.queue.job(job_id)
        assert job is not None
        return job.known[-1].result


def test_a_job_runs_to_its_end_and_answers_outputs() -> None:
    play = Play()
    (job,) = play.submit([PutAll(names=("a", "b"))])
    play.settle()
    assert play.status(job) is Status.SUCCESS
    assert play.result(job) == ["a", "b"]
    assert play.toys.things == {"a", "b"}


def test_a_refused_job_changes_nothing_and_carries_the_code() -> None:
    play = Play()
    (job,) = play.submit([PutAll(names=("a", "forbidden"))])
    play.settle()
    assert play.status(job) is Status.ERROR
    assert play.result(job) == [
        "OpPrereqError",
        ["Thing 'forbidden' is not allowed", "wrong_input"],
    ]
    assert play.toys.acts == []


def test_a_failed_step_is_undone_with_all_before_it() -> None:
    play = Play()
    play.toys.broken.add("b")
    (job,) = play.submit([PutAll(names=("a", "b", "c"))])
    play.settle()
    assert play.status(job) is Status.ERROR
    assert play.result(job) == ["OpExecError", ["b is broken"]]
    assert play.toys.acts == ["put a", "put b", "take b", "take a"]
    assert play.toys.things == set()


def test_after_a_seal_nothing_is_undone() -> None:
    play = Play()
    play.toys.broken.add("c")
    (job,) = play.submit([PutAll(names=("a", "b", "c"), seal_after=0)])
    play.settle()
    assert play.status(job) is Status.ERROR
    assert "take a" not in play.toys.acts
    assert play.toys.things == {"a", "b", "c"}


def test_a_tolerated_failure_is_a_warning() -> None:
    play = Play()
    play.toys.broken.add("maybe")
    (job,) = play.submit([PutAll(names=("maybe", "b"))])
    play.settle()
    assert play.status(job) is Status.SUCCESS
    log = play.master.queue.job(job).known[0].log  # type: ignore[union-attr]
    assert [entry.text for entry in log] == [" - WARNING: maybe is broken"]


def test_retryable_errors_are_waited_for() -> None:
    play = Play()
    play.toys.busy["a"] = 3
    (job,) = play.submit([PutAll(names=("a",))])
    play.settle()
    assert play.status(job) is Status.SUCCESS
    assert play.toys.acts == ["put a"] * 4


def test_a_veto_changes_nothing() -> None:
    play = Play()
    play.toys.veto = True
    (job,) = play.submit([PutGuarded(names=("a",))])
    play.settle()
    assert play.result(job)[0] == "HooksAbort"
    assert play.toys.acts == []


def test_an_undo_that_fails_leaves_the_job_stuck_with_its_locks() -> None:
    play = Play()
    play.toys.broken.add("b")
    play.toys.unremovable.add("a")
    (job,) = play.submit([PutAll(names=("a", "b"), lock="x")])
    play.settle()
    assert play.status(job) is Status.STUCK
    play.begin()
    play.settle()
    assert play.status(job) is Status.STUCK
    (second,) = play.submit([PutAll(names=("z",), lock="x")])
    play.settle()
    assert play.status(second) is Status.WAITING


def test_cancel_of_a_running_job_unwinds_between_steps() -> None:
    play = Play()
    play.toys.busy["b"] = 3
    (job,) = play.submit([PutAll(names=("a", "b", "c"))])
    play.clock.run(0.6)
    Deferred.fromCoroutine(play.master.scheduler.cancel(job))
    play.settle()
    assert play.status(job) is Status.CANCELED
    assert play.toys.things == set()
    assert "put c" not in play.toys.acts


def test_cancel_of_a_waiting_job_ends_it_at_once() -> None:
    play = Play()
    play.toys.busy["a"] = 100
    first, second = play.submit([PutAll(names=("a",), lock="x")], [PutAll(names=("b",), lock="x")])
    play.clock.run(1.0)
    assert play.status(second) is Status.WAITING
    Deferred.fromCoroutine(play.master.scheduler.cancel(second))
    play.clock.run(0.1)
    assert play.status(second) is Status.CANCELED
    assert play.status(first) is Status.RUNNING


def test_a_dry_run_says_what_it_would_do() -> None:
    play = Play()
    (job,) = play.submit([PutAll(names=("a",), dry_run=True)])
    play.settle()
    assert play.status(job) is Status.SUCCESS
    assert play.toys.acts == []
    texts = [entry.text for entry in play.master.queue.job(job).known[0].log]  # type: ignore[union-attr]
    assert " - INFO: would do toy.put(name=a)" in texts


def test_dependencies_decide_whether_a_job_runs() -> None:
    play = Play()
    play.toys.broken.add("bad")
    ids = play.submit(
        [PutAll(names=("bad",))],
        [PutAll(names=("b",), depends=((-1, ("success",)),))],
        [PutAll(names=("c",), depends=((-2, ()),))],
        [PutAll(names=("d",), depends=((-3, ("error",)),))],
    )
    play.settle()
    assert [play.status(job) for job in ids] == [
        Status.ERROR,
        Status.ERROR,
        Status.SUCCESS,
        Status.SUCCESS,
    ]
    assert play.toys.things == {"c", "d"}


def test_later_opcodes_of_a_failed_job_do_not_run() -> None:
    play = Play()
    play.toys.broken.add("a")
    (job,) = play.submit([PutAll(names=("a",)), PutAll(names=("b",))])
    play.settle()
    assert play.status(job) is Status.ERROR
    assert play.result(job) == ["OpExecError", ["Preceding opcode failed"]]
    assert "put b" not in play.toys.acts


SCRIPTS: dict[str, tuple[list[list[Opcode]], dict[str, set[str]]]] = {
    "success": ([[PutAll(names=("a", "b"))]], {}),
    "failure": ([[PutAll(names=("a", "b", "c"))]], {"broken": {"b"}}),
    "sealed": ([[PutAll(names=("a", "b", "c"), seal_after=1)]], {"broken": {"c"}}),
    "two opcodes": ([[PutAll(names=("a",), lock="x"), PutAll(names=("b",), lock="x")]], {}),
    "spawn": ([[SpawnAll(names=("a", "b"))]], {}),
}


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_death_at_each_write_changes_nothing_in_the_end(script: str) -> None:
    """The end is the same as without any death, whichever write the master dies before or after."""
    jobs, trouble = SCRIPTS[script]
    expected, writes = _run(jobs, trouble, None, after=False)
    assert writes > 3
    for at in range(1, writes):
        for after in (False, True):
            ended, _ = _run(jobs, trouble, at, after=after)
            assert ended == expected, f"died {'after' if after else 'before'} write {at}"


def _run(
    jobs: list[list[Opcode]], trouble: dict[str, set[str]], at: int | None, *, after: bool
) -> tuple[Any, int]:
    play = Play()
    for name, things in trouble.items():
        setattr(play.toys, name, set(things))
    master = play.begin(die_at=at, after=after)
    play.submit(*jobs)
    play.settle()
    if at is not None:
        assert master.dead
        play.begin()
        play.settle()
    ended = [(job.id, job.status, job.known[-1].result) for job in play.master.queue.jobs()]
    recorded = sorted(key for key in play.disk.entries if key.startswith("toys/"))
    assert play.master.queue.locks.rows() == ()
    return (ended, sorted(play.toys.things), recorded), master.trouble.seen


def test_a_long_queue_is_worked_off_without_going_deep() -> None:
    """Jobs that end as soon as they begin start the next ones; a thousand must not nest."""
    play = Play()
    ids = play.submit(*[[PutAll(names=(f"t{number}",))] for number in range(1500)])
    play.settle()
    assert {play.status(job) for job in ids} == {Status.SUCCESS}


def test_a_stored_job_that_this_version_cannot_read_stops_nobody() -> None:
    play = Play()
    (ended,) = play.submit([PutAll(names=("a",))])
    play.settle()
    play.toys.busy["b"] = 1000
    (running,) = play.submit([PutAll(names=("b",))])
    play.clock.run(1.0)
    play.master.die()
    for key, entry in list(play.disk.entries.items()):
        if key.startswith("job/"):
            strange = entry.value.replace(b'"names"', b'"titles"')
            play.disk.entries[key] = type(entry)(key, strange, entry.version)
    play.begin()
    play.settle(1.0)
    assert play.status(ended) is Status.SUCCESS
    assert play.status(running) is Status.STUCK
    assert play.master.queue.job(running).summary == ["PUT_ALL"]  # type: ignore[union-attr]
    (other,) = play.submit([PutAll(names=("c",))])
    play.settle()
    assert play.status(other) is Status.SUCCESS


@pytest.mark.parametrize(
    ("code", "spent_s", "goes_on"),
    [
        ("busy", 59.0, True),
        ("busy", 60.0, False),
        ("hung", 60.0, True),
        ("hung", 900.0, False),
        ("away", 10.0, False),
    ],
)
def test_an_error_is_borne_for_its_own_time(code: str, spent_s: float, goes_on: bool) -> None:
    patience = Patience(longer={"hung": 900.0}, limits={"away": 10.0})
    error = Trouble(code)
    assert (pause_s(error, patience, 3, spent_s) is not None) is goes_on


class Trouble(Exception):
    """Retryable, with a code of its own."""

    retryable = True

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
