"""Submitting, following and telling how jobs ended, over a real socket."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.exits import Exit
from tests.unit.cli_stage import Failed, Stage, job_answers, log, stage_in

WHEN = time.ctime(1_700_000_000)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as made:
        yield made


def in_turn(*answers: Any) -> Any:
    """One answer after the other, the last for ever."""
    left = list(answers)
    return lambda *_args: left.pop(0) if len(left) > 1 else left[0]


def test_log_lines_go_to_standard_output(stage: Stage) -> None:
    stage.answer(**job_answers(entries=[log(1, "* creating disks"), log(2, {"sync": 50})]))
    ended = stage.run("node", "remove", "n2")
    assert ended.out == [f"{WHEN} * creating disks", f'{WHEN} {{"sync":50}}']
    assert (ended.code, ended.err) == (0, [])


def test_waiting_is_told_once_and_each_line_once(stage: Stage) -> None:
    stage.answer(
        **job_answers()
        | {
            "WaitForJobChange": in_turn(
                [["queued"], []],
                "nochange",
                "nochange",
                [["running"], [log(1, "begun")]],
                "nochange",
                [["running"], [log(2, "going")]],
                [["success"], [log(3, "done")]],
            )
        }
    )
    ended = stage.run("node", "remove", "n2")
    assert ended.err == ["Job 12 is waiting in queue"]
    assert ended.out == [f"{WHEN} {word}" for word in ("begun", "going", "done")]
    calls = stage.responder.of("WaitForJobChange")
    assert [(args[2], args[3]) for args in calls] == [
        (None, None),
        (["queued"], None),
        (["queued"], None),
        (["queued"], None),
        (["running"], 1),
        (["running"], 1),
        (["running"], 2),
    ]


def test_submit_prints_the_number_on_standard_error(stage: Stage) -> None:
    stage.answer(SubmitJob=496)
    ended = stage.run("debug", "delay", "--submit", "0.1")
    assert (ended.code, ended.out, ended.err) == (0, [], ["JobID: 496"])
    ended = stage.run("debug", "delay", "--submit", "--print-jobid", "0.1")
    assert (ended.code, ended.out, ended.err) == (0, ["496"], ["JobID: 496"])
    assert stage.responder.of("WaitForJobChange") == []


def test_print_jobid_is_the_first_line_when_waiting(stage: Stage) -> None:
    stage.answer(**job_answers(entries=[log(1, "x")]))
    assert stage.run("debug", "delay", "--print-jobid", "0").out == ["12", f"{WHEN} x"]


FAILURES: list[tuple[Any, list[str]]] = [
    (
        ["OpPrereqError", ["Instance 'x' is already in the cluster", "already_exists"]],
        [
            "Failure: prerequisites not met for this operation:",
            "error type: already_exists, error details:",
            "Instance 'x' is already in the cluster",
        ],
    ),
    (["OpExecError", ["it broke"]], ["Failure: command execution error:", "it broke"]),
    ("plain text", ["Failure: command execution error:", "plain text"]),
]


@pytest.mark.parametrize(("result", "text"), FAILURES)
def test_a_job_that_failed(stage: Stage, result: Any, text: list[str]) -> None:
    stage.answer(**job_answers(result, status="error"))
    ended = stage.run("node", "remove", "n2")
    assert (ended.code, ended.out, ended.err) == (1, [], text)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ("canceled", "Failure: job 12 was canceled"),
        ("stuck", "Failure: JobStuck: job 12 needs an operator"),
    ],
)
def test_a_job_that_did_not_end_well(stage: Stage, status: str, text: str) -> None:
    stage.answer(
        SubmitJob=12,
        WaitForJobChange=[[status], []],
        QueryJobs=[[status, [status], [None]]],
    )
    ended = stage.run("node", "remove", "n2")
    assert ended.code == 1
    assert ended.err[0].startswith(text)


def test_a_job_that_vanished(stage: Stage) -> None:
    stage.answer(SubmitJob=12, WaitForJobChange=None)
    ended = stage.run("node", "remove", "n2")
    assert (ended.code, ended.err) == (
        1,
        ["Error checking job status: Job 12 is not there any more"],
    )


def test_a_refused_submission(stage: Stage) -> None:
    def drained(*_args: Any) -> None:
        raise Failed("JobQueueDrainError", "it is drained")

    stage.answer(SubmitJob=drained)
    ended = stage.run("node", "remove", "n2")
    assert (ended.code, ended.err) == (
        1,
        ["Failure: the job queue is drained and takes no new jobs: it is drained"],
    )


def test_several_instances_are_one_submission_and_asked_about(stage: Stage) -> None:
    stage.answer(
        **job_answers() | {"SubmitManyJobs": [[True, 12], [True, 13], [False, "queue is full"]]},
        QueryNodes=[["n1", ["web1", "web2"], ["db1"]]],
    )
    stage.answer(QueryNodes=[[["web1", "web2"], ["db1", "web1"]]])
    assert stage.run("instance", "shutdown", "--node", "n1").code == Exit.FAILURE
    assert stage.responder.of("SubmitManyJobs") == []
    stage.yes = True
    ended = stage.run("instance", "shutdown", "--node", "n1")
    assert "3 instances" in ended.questions[0]
    assert ended.out == [
        "Submitted jobs 12, 13",
        "Waiting for job 12 for web1 ...",
        "Waiting for job 13 for web2 ...",
    ]
    assert (ended.code, ended.err) == (1, ["Failed to submit job for db1: queue is full"])
    ((jobs, _name),) = stage.responder.of("SubmitManyJobs")
    assert [opcode["instance_name"] for (opcode,) in jobs] == ["web1", "web2", "db1"]


def test_several_with_submit_print_number_and_name(stage: Stage) -> None:
    stage.answer(SubmitManyJobs=[[True, 12], [True, 13]], QueryInstances=[["web1"], ["web2"]])
    ended = stage.run("instance", "reboot", "--all", "--force-multiple", "--submit")
    assert (ended.code, ended.out, ended.questions) == (0, ["12: web1", "13: web2"], [])


def test_one_of_several_fails(stage: Stage) -> None:
    def results(jobs: list[int], _fields: list[str]) -> Any:
        if jobs == [12]:
            return [["error", ["error"], [["OpExecError", ["no memory"]]]]]
        return [["success", ["success"], [None]]]

    stage.answer(
        SubmitManyJobs=[[True, 12], [True, 13]],
        QueryInstances=[["web1"], ["web2"]],
        WaitForJobChange=[["success"], []],
        QueryJobs=results,
    )
    ended = stage.run("instance", "start", "--force-multiple", "web1", "web2")
    assert ended.code == 1
    assert ended.out[-1] == "Waiting for job 13 for web2 ..."
    assert ended.err == [
        "Job 12 for web1 has failed: Failure: command execution error:",
        "no memory",
    ]


@pytest.mark.parametrize(
    ("words", "rows", "names"),
    [
        (["--primary", "n1"], [[["a", "b"]]], ["a", "b"]),
        (["--secondary", "n1"], [[["c"]]], ["c"]),
        (["--node-tags", "x"], [[["a"], ["b"], ["x"]], [["z"], [], ["y"]]], ["a", "b"]),
        (["--pri-node-tags", "x"], [[["a"], ["x"]]], ["a"]),
        (["--sec-node-tags", "x", "y"], [[["a"], ["y"]]], ["a"]),
    ],
)
def test_instances_chosen_by_their_nodes(
    stage: Stage, words: list[str], rows: list[Any], names: list[str]
) -> None:
    stage.answer(QueryNodes=rows, SubmitManyJobs=[[True, 12 + i] for i in range(len(names))])
    ended = stage.run("instance", "start", "--force-multiple", "--submit", *words)
    assert ended.out == [f"{12 + index}: {name}" for index, name in enumerate(names)]


def test_instances_chosen_by_their_tags(stage: Stage) -> None:
    stage.answer(
        QueryInstances=[["web1", ["a", "b"]], ["web2", []], ["web3", ["b"]]],
        SubmitManyJobs=[[True, 12], [True, 13]],
    )
    ended = stage.run("instance", "start", "--force-multiple", "--submit", "--tags", "b", "x")
    assert ended.out == ["12: web1", "13: web3"]
    assert stage.responder.of("QueryInstances") == [[[], ["name", "tags"], False]]


def test_nothing_is_chosen(stage: Stage) -> None:
    stage.answer(QueryInstances=[])
    ended = stage.run("instance", "start", "--all")
    assert (ended.code, ended.out) == (0, ["The cluster has no instances to startup"])
    ended = stage.run("instance", "start", "--tags", "x")
    assert (ended.code, ended.err) == (1, ["Failure: no instance is selected"])


@pytest.mark.parametrize("command", ["remove", "failover", "migrate"])
def test_dangerous_commands_ask_and_without_a_terminal_do_nothing(
    stage: Stage, command: str
) -> None:
    stage.answer(**job_answers(), QueryInstances=[["web1.example.com"]])
    ended = stage.run("instance", command, "web1")
    assert (ended.code, ended.out, ended.err) == (1, [], [])
    assert "web1.example.com" in ended.questions[0]
    assert stage.responder.of("SubmitJob") == []
    stage.yes = True
    assert stage.run("instance", command, "web1").code == 0
    assert len(stage.responder.of("SubmitJob")) == 1


def test_an_unknown_instance_is_told_before_asking(stage: Stage) -> None:
    def unknown(*_args: Any) -> None:
        raise Failed("OpPrereqError", "Instance 'nosuch' not known", "unknown_entity")

    stage.answer(QueryInstances=unknown)
    ended = stage.run("instance", "remove", "nosuch")
    assert (ended.code, ended.questions) == (1, [])
    assert ended.err[1:] == [
        "error type: unknown_entity, error details:",
        "Instance 'nosuch' not known",
    ]


def test_verify_follows_the_jobs_that_it_began(stage: Stage) -> None:
    def wait(job: int, *_args: Any) -> Any:
        return [["success"], [] if job == 12 else [log(1, f"* Verifying {job}")]]

    def results(jobs: list[int], _fields: list[str]) -> Any:
        found: dict[int, Any] = {12: {"jobs": [[True, 13], [True, 14]]}, 13: True, 14: False}
        return [["success", ["success"], [found[jobs[0]]]]]

    stage.answer(SubmitJob=12, WaitForJobChange=wait, QueryJobs=results)
    ended = stage.run("cluster", "verify")
    assert ended.out == [
        "Submitted jobs 13, 14",
        "Waiting for job 13 ...",
        f"{WHEN} * Verifying 13",
        "Waiting for job 14 ...",
        f"{WHEN} * Verifying 14",
    ]
    assert ended.code == 1


def test_jobs_from_files_and_standard_input(stage: Stage, tmp_path: Path) -> None:
    delay = {"OP_ID": "OP_TEST_DELAY", "duration": 0}
    (tmp_path / "one").write_text(json.dumps([delay, delay]))
    stage.input = json.dumps([{**delay, "duration": 1}])
    stage.answer(
        **job_answers()
        | {"SubmitManyJobs": lambda jobs, _name: [[True, 20 + i] for i in range(len(jobs))]}
    )
    ended = stage.run("debug", "submit-job", "--job-repeat=2", str(tmp_path / "one"), "-")
    assert ended.code == 0
    ((jobs, _name),) = stage.responder.of("SubmitManyJobs")
    assert [[opcode["duration"] for opcode in job] for job in jobs] == [[0, 0], [0, 0], [1], [1]]
    ended = stage.run("debug", "submit-job", "--each", "--op-repeat=2", "--timing-stats", "-")
    assert ended.out[-4:-2] == ["C:op     2", "C:job    2"]


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "[1]", '"x"'])
def test_files_that_hold_no_opcodes_are_refused(stage: Stage, tmp_path: Path, text: str) -> None:
    (tmp_path / "one").write_text(text)
    ended = stage.run("debug", "submit-job", str(tmp_path / "one"))
    assert ended.code == 1
    assert str(tmp_path / "one") in ended.err[0]
    ended = stage.run("debug", "submit-job", str(tmp_path / "none"))
    assert ended.err == [
        f"Cannot read {tmp_path}/none: [Errno 2] No such file or directory: '{tmp_path}/none'"
    ]
