"""Jobs through the local door: submitting, changing, waiting for a change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterd.doorway.protocol import (
    encode_request,
)
from clusterd.doorway.submissions import settle
from clusterd.doorway.waiting import NO_CHANGE
from tests.unit.door_house import House, Sleep, refusal, sleep

# -- jobs ---------------------------------------------------------------------------------------


def test_a_job_is_stored_before_its_number_is_answered_and_says_who_asked() -> None:
    house = House()
    assert house.ask("SubmitJob", [sleep(duration=1.5)]) == 1
    job = house.queue.job(1)
    assert job is not None
    assert job.submitter == "uid:7"
    assert isinstance(job.opcodes[0], Sleep)
    assert job.opcodes[0].duration == 1.5


def test_the_rapi_says_on_whose_behalf() -> None:
    house = House()
    house.ask("SubmitJobFor", [sleep()], "rapi:jack")
    job = house.queue.job(1)
    assert job is not None
    assert job.submitter == "rapi:jack"
    assert refusal(house, "SubmitJobFor", [sleep()], "uid:0")[2] == "wrong_input"


@pytest.mark.parametrize(
    ("opcode", "words"),
    [
        ({"OP_ID": "OP_NONE"}, "There is no opcode 'OP_NONE'"),
        ({"OP_ID": "OP_SLEEP", "colour": 1}, "colour"),
        ({"OP_ID": "OP_SLEEP", "duration": "x"}, "duration"),
        ({"OP_ID": "OP_SLEEP", "duration": -1}, "duration"),
        ({"OP_ID": "OP_SLEEP", "priority": 3}, "priority 3"),
        ("sleep", "An opcode is an object"),
        (7, "An opcode is an object"),
    ],
)
def test_a_bad_opcode_is_refused_by_name_and_nothing_is_stored(opcode: Any, words: str) -> None:
    house = House()
    kind, message, reason = refusal(house, "SubmitJob", [opcode])
    assert (kind, reason) == ("OpPrereqError", "wrong_input")
    assert words in message
    assert house.queue.jobs() == []


def test_a_drained_queue_refuses_and_the_upgrade_path_does_not() -> None:
    house = House()
    assert house.ask("SetDrainFlag", True) is True
    assert refusal(house, "SubmitJob", [sleep()])[0] == "JobQueueDrainError"
    assert refusal(house, "SubmitManyJobs", [[sleep()]])[0] == "JobQueueDrainError"
    assert house.ask("SubmitJobToDrainedQueue", [sleep()]) == 1


def test_many_jobs_have_a_verdict_each() -> None:
    house = House()
    verdicts = house.ask("SubmitManyJobs", [[sleep()], [{"OP_ID": "OP_NO"}], [sleep()], []])
    assert verdicts == [
        [True, 1],
        [False, "There is no opcode 'OP_NO'"],
        [True, 2],
        [False, "A job needs at least one opcode"],
    ]


def test_one_that_cannot_be_does_not_take_the_others_along() -> None:
    house = House()
    never = sleep(depends=[[1, ["running"]]])
    late = sleep(depends=[[2, []]])
    verdicts = house.ask(
        "SubmitManyJobs", [[sleep()], [never], [late], [sleep()] * 1001, [sleep(depends=[[1, []]])]]
    )
    assert verdicts == [
        [True, 1],
        [False, "'running' is not a status that a job ends with"],
        [False, "Job 2 depends on job 2, which is not an earlier job"],
        [False, "A job has at most 1000 opcodes"],
        [True, 2],
    ]


def test_offsets_are_counted_without_refused_jobs() -> None:
    house = House()
    after_first = sleep(depends=[[-2, []]])
    after_refused = sleep(depends=[[-2, ["success"]]])
    too_far = sleep(depends=[[-9, []]])
    answer = house.ask(
        "SubmitManyJobs", [[sleep()], [{"OP_ID": "X"}], [after_first], [after_refused], [too_far]]
    )
    assert [ok for ok, _ in answer] == [True, False, True, False, False]
    job = house.queue.job(2)
    assert job is not None
    assert job.opcodes[0].depends == ((1, ()),)


@given(st.lists(st.tuples(st.booleans(), st.integers(-4, -1)), max_size=8))
def test_offsets_never_point_at_another_job(jobs: list[tuple[bool, int]]) -> None:
    decoded: list[Any] = []
    for at, (good, target) in enumerate(jobs):
        depends = ((target, ()),) if at + target >= 0 else None
        decoded.append([Sleep(depends=depends, comment=str(at))] if good else "refused")
    verdicts = settle(decoded)
    accepted = [verdict for verdict in verdicts if not isinstance(verdict, str)]
    for place, (opcode,) in enumerate(accepted):
        for target, _ in opcode.depends or ():
            own = int(opcode.comment or "")
            assert int(accepted[place + target][0].comment or "") == own + jobs[own][1]


def test_cancel_priority_archive() -> None:
    house = House()
    house.ask("SubmitJob", [sleep()])
    assert house.ask("CancelJob", 1) == [True, "Job 1 canceled"]
    assert house.ask("CancelJob", "1") == [True, "Job 1 canceled"]
    assert refusal(house, "CancelJob", 1, True)[2] == "wrong_input"
    assert refusal(house, "CancelJob", "x1")[1] == "'x1' is not a job number"
    assert house.ask("ChangeJobPriority", 1, -20) == [True, "priority -20"]
    assert "Priority 20" in refusal(house, "ChangeJobPriority", 1, 20)[1]
    assert house.ask("ArchiveJob", 1) is False
    house.end(1)
    assert house.ask("AutoArchiveJobs", 10**9, 30) == [0, 0]
    assert house.ask("AutoArchiveJobs", -1, 0) == [0, 1]
    assert house.ask("AutoArchiveJobs", -1, 30) == [1, 0]
    assert house.ask("WaitForJobChange", 1, ["status"], None, None, 60) == [["success"], []]


def test_decisions_on_stuck_jobs() -> None:
    house = House()
    assert house.ask("ResumeJob", 1, "repaired") == [True, "Job 1 goes on: repaired"]
    assert house.ask("UnwindJob", "1", "") == [True, "Job 1 unwinds: "]
    assert house.ask("AbandonJob", 1, "x") == [False, "Job 1 is not stuck: x"]
    assert refusal(house, "AbandonJob", "x1", "")[1] == "'x1' is not a job number"


# -- waiting ------------------------------------------------------------------------------------


def test_a_wait_ends_with_the_change_and_asks_nobody_in_between() -> None:
    house = House()
    house.ask("SubmitJob", [sleep()])
    answers = house.begin("WaitForJobChange", 1, ["status"], ["queued"], None, 60)
    assert answers == []
    job = house.queue.job(1)
    assert job is not None
    house.queue.say(job, 0, "hello")
    assert answers == [[["queued"], [[1, [1000, 250000], "message", "hello"]]]]
    again = house.begin("WaitForJobChange", 1, ["status"], ["queued"], 1, 60)
    assert again == []
    house.end(1)
    assert again == [[["success"], []]]
    assert house.ask("WaitForJobChange", 1, ["status"], ["success"], 1, 60) == [["success"], []]


def test_a_wait_is_answered_at_once_when_nothing_was_seen_yet() -> None:
    house = House()
    house.ask("SubmitJob", [sleep()])
    assert house.ask("WaitForJobChange", "1", ["id", "status"], None, None, 5) == [
        [1, "queued"],
        [],
    ]
    assert house.ask("WaitForJobChange", 2, ["id"], None, None, 5) is None


@pytest.mark.parametrize(("asked_s", "given_s"), [(10, 10), (600, 89), (-5, 0)])
def test_a_wait_is_bounded(asked_s: float, given_s: float) -> None:
    house = House()
    house.ask("SubmitJob", [sleep()])
    answers = house.begin("WaitForJobChange", 1, ["status"], ["queued"], 0, asked_s)
    house.clock.advance(max(given_s - 0.5, 0))
    assert answers == [] or given_s == 0
    house.clock.advance(1)
    assert answers == [NO_CHANGE]
    assert len(house.factory.waiting) == 0


def test_who_goes_away_is_forgotten() -> None:
    house = House()
    house.ask("SubmitJob", [sleep()])
    raw = house.raw()
    raw.say(encode_request("WaitForJobChange", [1, ["status"], ["queued"], 0, 60]))
    assert len(house.factory.waiting) == 1
    raw.transport.loseConnection()  # type: ignore[union-attr,misc]
    assert len(house.factory.waiting) == 0
    assert [call for call in house.clock.getDelayedCalls() if call.active()] == []


def test_many_wait_and_each_is_told_once() -> None:
    house = House()
    house.ask("SubmitManyJobs", [[sleep()], [sleep()]])
    first = [house.begin("WaitForJobChange", 1, ["status"], ["queued"], 0, 60) for _ in range(20)]
    second = house.begin("WaitForJobChange", 2, ["status"], ["queued"], 0, 60)
    house.end(1)
    assert first == [[[["success"], []]]] * 20
    assert second == []
    house.factory.close()
    assert second == [NO_CHANGE]
