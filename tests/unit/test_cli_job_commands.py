"""What gnt-job asks of the master and prints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.exits import Exit
from tests.unit.cli_stage import Stage, field, job_answers, stage_in


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as made:
        yield made


JOB = {
    "id": 12,
    "status": "success",
    "ops": [{"OP_ID": "OP_TEST_DELAY", "duration": 0.1, "on_nodes": ["n1", "n2"], "depends": None}],
    "opresult": [None],
    "opstatus": ["success"],
    "oplog": [[[1, [1_700_000_001, 7], "message", "hello"]]],
    "opverdicts": [None],
    "opstart": [[1_700_000_000, 200]],
    "opexec": [[1_700_000_000, 300]],
    "opend": [[1_700_000_002, 0]],
    "received_ts": [1_700_000_000, 100],
    "start_ts": [1_700_000_000, 200],
    "end_ts": [1_700_000_002, 0],
    "stuck_reason": None,
}


def test_details_of_jobs(stage: Stage) -> None:
    def rows(jobs: list[int], fields: list[str]) -> list[Any]:
        return [[JOB[name] for name in fields] if number == 12 else None for number in jobs]

    ended = stage.answer(QueryJobs=rows).run("job", "info", "12", "999999")
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(1_700_000_000))
    assert ended.out == [
        "- Job ID: 12",
        "  Status: success",
        f"  Received: {when}:20.000100",
        f"  Processing start: {when}:20.000200 (delta 0.000100s)",
        f"  Processing end: {when}:22.000000 (delta 1.999800s)",
        "  Total processing time: 1.999900 seconds",
        "  Opcodes: ",
        "    - OP_TEST_DELAY: ",
        "        Status: success",
        f"        Processing start: {when}:20.000200",
        f"        Execution start: {when}:20.000300",
        f"        Processing end: {when}:22.000000",
        "        Input fields: ",
        "          depends: None",
        "          duration: 0.1",
        "          on_nodes: n1,n2",
        "        Result: ",
        "      Execution log: ",
        "        - Time: " + f"{when}:21.000007",
        "          Content: 1:message:hello",
        "- Job ID 999999 not found",
    ]


def test_details_say_why_a_job_needs_an_operator(stage: Stage) -> None:
    stuck = {**JOB, "status": "stuck", "stuck_reason": "undoing disk.ensure failed: no room"}
    stage.answer(QueryJobs=lambda _jobs, fields: [[stuck[name] for name in fields]])
    assert stage.run("job", "info", "12").out[:3] == [
        "- Job ID: 12",
        "  Status: stuck",
        "  Needs an operator: undoing disk.ensure failed: no room",
    ]


JOBS = {
    "fields": [
        field("id", "ID", "number"),
        field("status", "Status", "text"),
        field("summary", "Summary", "other"),
    ],
    "data": [
        [[0, 9], [0, "success"], [0, ["TEST_DELAY"]]],
        [[0, 10], [0, "queued"], [0, ["NODE_ADD(n2)", "TEST_DELAY"]]],
    ],
}


def test_jobs_are_listed(stage: Stage) -> None:
    assert stage.answer(Query=JOBS).run("job", "list").out == [
        "ID Status  Summary",
        " 9 success TEST_DELAY",
        "10 queued  NODE_ADD(n2),TEST_DELAY",
    ]
    stage.run("job", "list", "--running", "7", "8")
    stage.run("job", "list", "--archived")
    _, running, archived = stage.responder.of("Query")
    assert running[2] == [
        "&",
        ["|", ["==", "status", "running"], ["==", "status", "stuck"]],
        ["|", ["==", "id", 7], ["==", "id", 8]],
    ]
    assert archived[1] == ["id", "status", "summary", "archived"]


def test_times_of_jobs_are_readable(stage: Stage) -> None:
    stage.answer(
        Query={
            "fields": [field("end_ts", "End", "other"), field("opend", "OpEnd", "other")],
            "data": [[[0, JOB["end_ts"]], [0, JOB["opend"]]], [[3, None], [0, [None]]]],
        }
    )
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1_700_000_002))
    assert stage.run("job", "list", "-o", "end_ts,opend", "--separator=|").out[1:] == [
        f"{when}.000000|{when}.000000",
        "-|-",
    ]


def test_jobs_are_cancelled_and_reordered(stage: Stage) -> None:
    stage.answer(
        CancelJob=lambda job, *_: [job == 1, f"Job {job} says so"],
        ChangeJobPriority=[True, "changed"],
        Query=JOBS,
    )
    ended = stage.run("job", "cancel", "1", "2")
    assert (ended.code, ended.out) == (1, ["Job 1 says so", "Job 2 says so"])
    ended = stage.run("job", "cancel", "--pending")
    assert (ended.code, ended.out) == (Exit.CONFIRMATION, [])
    assert "NODE_ADD(n2)" in ended.questions[0]
    stage.yes = True
    assert stage.run("job", "change-priority", "--priority=low", "--queued").code == 0
    assert stage.responder.of("ChangeJobPriority") == [[9, 10], [10, 10]]
    assert stage.run("job", "change-priority", "5").code == 1
    assert stage.run("job", "cancel", "--kill", "5").code == Exit.CONFIRMATION
    assert stage.run("job", "cancel").code == 1
    assert stage.run("job", "cancel", "--pending", "5").code == 1


def test_stuck_jobs_are_decided_on(stage: Stage) -> None:
    stage.answer(
        ResumeJob=lambda job, reason: [job == 1, f"Job {job}: {reason}"],
        UnwindJob=[True, "unwinds"],
        AbandonJob=[True, "was abandoned"],
    )
    ended = stage.run("job", "resume", "--reason=disk replaced", "1", "2")
    assert (ended.code, ended.out) == (1, ["Job 1: disk replaced", "Job 2: disk replaced"])
    assert stage.run("job", "unwind", "1").code == 0
    assert stage.run("job", "abandon", "1").out == ["was abandoned"]
    assert stage.responder.of("AbandonJob") == [[1, ""]]
    assert stage.run("job", "resume").code == 1


def test_jobs_are_archived(stage: Stage) -> None:
    stage.answer(ArchiveJob=lambda job: job == 1, AutoArchiveJobs=[5, 2])
    assert stage.run("job", "archive", "1").code == 0
    ended = stage.run("job", "archive", "1", "2")
    assert (ended.code, len(ended.err)) == (1, 1)
    assert stage.run("job", "autoarchive", "all").out == ["Archived 5 jobs, 2 unchecked left"]
    stage.run("job", "autoarchive", "1d")
    assert [args[0] for args in stage.responder.of("AutoArchiveJobs")] == [-1, 86400]
    assert stage.run("job", "autoarchive", "soon").code == 1


def test_jobs_are_watched_and_waited_for(stage: Stage) -> None:
    stage.answer(**job_answers(entries=[[1, [1_700_000_000, 0], "message", "x"]]))
    ended = stage.run("job", "watch", "12")
    assert ended.out[:2] == ["Output from job 12 follows", "--------------------------"]
    assert ended.out[2].endswith(" x")
    ended = stage.run("job", "wait", "12")
    assert (ended.code, ended.out) == (0, [])
    stage.answer(**job_answers(["OpExecError", ["broke"]], status="error"))
    for word in ("watch", "wait"):
        ended = stage.run("job", word, "12")
        assert (ended.code, ended.err[0]) == (
            1,
            "Job 12 failed: Failure: command execution error:",
        )
