"""What is too much for one transaction of the store concerns one job, never the master."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from jobqueue.bounds import LOG_BYTES, MAX_JOB_BYTES, fitting, kept_verdicts, size_bytes
from jobqueue.errors import Refused
from jobqueue.job import LogEntry, Status
from tests.unit.driving import now
from tests.unit.test_executor import Play
from tests.unit.toy_cluster import PutAll, SpawnAll

MANY = tuple(f"n{number}" for number in range(25_000))


@pytest.mark.parametrize(
    ("names", "kind", "said"),
    [
        (MANY, "OpPrereqError", "This would be 25000 steps of"),
        (("x" * 400_000,), "OpExecError", "ask about fewer objects at a time"),
        (("x" * 200_000,) * 3, "OpExecError", "ask about fewer objects at a time"),
    ],
    ids=["plan", "output of a step", "result"],
)
def test_a_job_that_is_too_large_fails_alone(names: tuple[str, ...], kind: str, said: str) -> None:
    play = Play()
    (large,) = play.submit([PutAll(names=names)])
    play.settle()
    assert play.status(large) is Status.ERROR
    error: Any = play.result(large)
    assert error[0] == kind
    assert said in error[1][0]
    assert play.master.failures == []
    (other,) = play.submit([PutAll(names=("a",))])
    play.settle()
    assert play.status(other) is Status.SUCCESS
    play.begin()
    assert play.status(large) is Status.ERROR


def test_what_a_step_did_that_answered_too_much_is_undone() -> None:
    play = Play()
    play.submit([PutAll(names=("a", "x" * 400_000))])
    play.settle()
    assert play.toys.things == set()


def test_an_outcome_that_no_transaction_takes_leaves_its_job_to_an_operator() -> None:
    play = Play()
    (spawning,) = play.submit([SpawnAll(names=MANY[:150])])
    play.settle()
    assert play.status(spawning) is Status.STUCK
    assert play.master.failures == []
    play.begin()
    play.settle()
    assert play.status(spawning) is Status.STUCK
    done, _said = now(play.master.scheduler.abandon(spawning, "too much"))
    assert done
    assert play.status(spawning) is Status.ERROR
    (other,) = play.submit([PutAll(names=("a",))])
    play.settle()
    assert play.status(other) is Status.SUCCESS


def test_a_job_that_nobody_could_store_is_refused_and_takes_no_number() -> None:
    play = Play()
    with pytest.raises(Refused, match="submit its opcodes as several jobs"):
        now(play.master.queue.submit([[PutAll(names=("x" * MAX_JOB_BYTES,))]], "uid:0"))
    assert play.submit([PutAll(names=("a",))]) == [1]


@pytest.mark.parametrize("name", ["", "mine"])
def test_many_large_jobs_are_stored_some_at_a_time(name: str) -> None:
    play = Play()
    jobs = [[PutAll(names=(f"{number}" + "x" * 100_000,))] for number in range(30)]
    assert now(play.master.queue.submit(jobs, "uid:0", name=name)) == list(range(1, 31))
    play.settle()
    assert {play.status(number) for number in range(1, 31)} == {Status.SUCCESS}


def test_a_log_that_is_longer_than_an_event_is_stored_with_the_next_ones() -> None:
    play = Play()
    play.master.limit = 0
    (talker,) = play.submit([PutAll(names=tuple(f"n{number}" for number in range(50)))])
    job = play.master.queue.job(talker)
    assert job is not None
    for number in range(3 * LOG_BYTES // 1000):
        play.master.queue.say(job, 0, f"{number} " + "x" * 1000)
    play.master.limit = 20
    play.master.queue.tell(job)
    play.settle()
    assert play.status(talker) is Status.SUCCESS
    assert play.master.failures == []
    lines = len(job.logs(0))
    play.begin()
    again = play.master.queue.job(talker)
    assert again is not None
    assert len(again.logs(0)) == lines == 3 * LOG_BYTES // 1000


def test_one_line_that_is_longer_than_all_is_cut() -> None:
    lines = [
        (0, LogEntry(1, 1.0, "message", "x" * (2 * LOG_BYTES))),
        (0, LogEntry(2, 1.0, "m", "y")),
    ]
    first, second = fitting(lines)
    assert first[1].text.endswith(f"x ... ({2 * LOG_BYTES + 2} bytes)")
    assert second == lines[1]
    assert sum(size_bytes(entry.text) for _, entry in fitting(lines)) < LOG_BYTES


def test_reasons_of_a_choice_that_are_too_many_are_not_kept() -> None:
    assert kept_verdicts(["n1 has no room"]) == ["n1 has no room"]
    assert kept_verdicts(["n1 has no room"] * 100_000) is None
    assert msgspec.json.encode(kept_verdicts(None)) == b"null"
