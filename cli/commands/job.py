"""``gnt-job``: everything about jobs; no opcode is involved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cli import jobs
from cli.command import Arguments, Call, Command, Option
from cli.commands.job_info import FIELDS, job_info
from cli.exits import CommandError, Declined, Exit, WrongInput
from cli.filter_text import Filter
from cli.listing import Kind, list_fields_command, list_options, show
from cli.notation import time_s
from cli.output import Column, Layout, info, moment, plain, table
from cli.spelling import ANY_PRIORITY

PENDING = ("queued", "waiting", "canceling")
FINISHED = ("canceled", "success", "error")
_STATUS_OPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "pending": (PENDING, "Jobs that have not begun"),
    "running": (("running", "stuck"), "Jobs that run, or wait for an operator"),
    "error": (("error",), "Jobs that failed"),
    "finished": (FINISHED, "Jobs that ended"),
    "queued": (("queued",), "Jobs in the queue"),
    "waiting": (("waiting",), "Jobs that wait for locks"),
}
ARCHIVE_TIMEOUT_S = 30.0


def _moments(values: Sequence[Any]) -> str:
    return ",".join(moment(value) for value in values)


KIND = Kind(
    what="job",
    plural="jobs",
    columns=("id", "status", "summary"),
    key="id",
    numeric=True,
    formats={
        "summary": plain,
        **dict.fromkeys(("received_ts", "start_ts", "end_ts"), moment),
        **dict.fromkeys(("opstart", "opexec", "opend"), _moments),
    },
)


def _status_options(*keys: str) -> tuple[Option, ...]:
    return tuple(
        Option(names=(f"--{key}",), flag=True, words=_STATUS_OPTIONS[key][1]) for key in keys
    )


def _statuses(call: Call) -> tuple[str, ...]:
    chosen = [status for key, (status, _) in _STATUS_OPTIONS.items() if call.given(key)]
    return tuple(dict.fromkeys(name for names in chosen for name in names))


def job_number(text: str) -> int:
    """A job's number; raises WrongInput."""
    if not text.isdecimal():
        raise WrongInput(f"Invalid job ID passed: '{text}' is not a number")
    return int(text)


def _list(call: Call) -> int:
    statuses = _statuses(call)
    narrower: Filter = (
        ["|", *(["==", "status", status] for status in statuses)] if statuses else None
    )
    return show(call, KIND, narrower, ("archived",) if call.given("archived") else ())


def _info(call: Call) -> int:
    numbers = [job_number(text) for text in call.arguments]
    rows = call.session.door.query_jobs(numbers, FIELDS)
    shown = [
        job_info(dict(zip(FIELDS, row, strict=True))) if row is not None else _missing(number)
        for number, row in zip(numbers, rows, strict=True)
    ]
    for line in info(shown):
        call.session.out(line)
    return Exit.SUCCESS


def _missing(number: int) -> str:
    return f"Job ID {number} not found"


def _watch(call: Call) -> int:
    number = job_number(call.arguments[0])
    title = f"Output from job {number} follows"
    call.session.out(title)
    call.session.out("-" * len(title))
    return _ended(call, number, quiet=False)


def _wait(call: Call) -> int:
    return _ended(call, job_number(call.arguments[0]), quiet=True)


def _ended(call: Call, number: int, *, quiet: bool) -> int:
    try:
        jobs.follow(call.session, number, quiet=quiet)
    except jobs.JobFailed as error:
        call.session.err(f"Job {number} failed: {error}")
        return error.exit_code
    return Exit.SUCCESS


def _chosen(call: Call, allowed: Sequence[str]) -> tuple[list[int], bool]:
    """The jobs that were named, or those with a status; True for the latter."""
    wanted = _statuses(call)
    if wanted and call.arguments:
        raise WrongInput("Job numbers and a status cannot be given together")
    if not wanted:
        if not call.arguments:
            raise CommandError("No job is given")
        return [job_number(text) for text in call.arguments], False
    filter_ = ["|", *(["==", "status", name] for name in wanted if name in allowed)]
    answer = call.session.door.query("job", ("id", "status", "summary"), filter_)
    rows = [[value for _, value in row] for row in answer["data"]]
    if not rows:
        return [], True
    if not call.given("force"):
        columns = (Column("ID", right=True), Column("Status"), Column("Summary"))
        texts = [[plain(value) for value in row] for row in rows]
        lines = "\n".join(table(columns, texts, Layout()))
        if not call.session.ask(f"{lines}\nChange the job(s) listed above?"):
            raise Declined("Not confirmed: nothing was changed")
    return [row[0] for row in rows], True


def _each(call: Call, numbers: Sequence[int], method: str, *args: Any) -> int:
    code = Exit.SUCCESS
    for number in numbers:
        done, message = call.session.door.call(method, number, *args)
        call.session.out(message)
        if not done:
            code = Exit.FAILURE
    return code


def _cancel(call: Call) -> int:
    if call.given("kill") and not (call.given("yes_do_it") or call.given("force")):
        raise Declined("--kill ends a job in the middle of a step; it needs --yes-do-it")
    numbers, _ = _chosen(call, PENDING)
    return _each(call, numbers, "CancelJob", *([True] if call.given("kill") else []))


def _stuck(method: str) -> Callable[[Call], int]:
    """A command about stuck jobs; ``--reason`` is kept in the job's log."""

    def run(call: Call) -> int:
        numbers = [job_number(text) for text in call.arguments]
        return _each(call, numbers, method, str(call.given("reason") or ""))

    return run


def _change_priority(call: Call) -> int:
    if call.given("priority") is None:
        raise CommandError("--priority must be given")
    numbers, _ = _chosen(call, (*PENDING, "running"))
    return _each(call, numbers, "ChangeJobPriority", call.given("priority"))


def _archive(call: Call) -> int:
    code = Exit.SUCCESS
    for text in call.arguments:
        number = job_number(text)
        if not call.session.door.call("ArchiveJob", number):
            call.session.err(f"Failed to archive job with ID {number}: it is unknown or not ended")
            code = Exit.FAILURE
    return code


def _autoarchive(call: Call) -> int:
    (text,) = call.arguments
    age = -1 if text == "all" else time_s(text)
    archived, left = call.session.door.call("AutoArchiveJobs", age, ARCHIVE_TIMEOUT_S)
    call.session.out(f"Archived {archived} jobs, {left} unchecked left")
    return Exit.SUCCESS


_FORCE = Option(names=("-f", "--force"), flag=True, words="Do not ask")
_JOBS = Arguments(shown="[<job-id>...]", maximum=None)
_ONE_JOB = Arguments(shown="<job-id>", minimum=1, maximum=1)
_SOME_JOBS = Arguments(shown="<job-id>...", minimum=1, maximum=None)

COMMANDS = (
    Command(
        name="list",
        summary="List jobs; by default their id, status and summary",
        run=_list,
        arguments=_JOBS,
        options=(
            *list_options(KIND),
            *_status_options("pending", "running", "error", "finished"),
            Option(names=("--archived",), flag=True, words="Archived jobs as well"),
        ),
    ),
    list_fields_command(KIND),
    Command(
        name="info", aliases=("show",), summary="Show details of jobs", run=_info,
        arguments=_SOME_JOBS,
    ),
    Command(name="watch", summary="Follow a job until it ends", run=_watch, arguments=_ONE_JOB),
    Command(
        name="wait", summary="Wait until a job has ended; exit with 0 if it succeeded", run=_wait,
        arguments=_ONE_JOB,
    ),
    Command(
        name="cancel",
        summary="Cancel jobs; what a running one did is undone",
        run=_cancel,
        arguments=_JOBS,
        options=(
            _FORCE,
            Option(
                names=("--kill",), flag=True,
                words="Known from Ganeti and refused: jobs have no process of their own to kill",
            ),
            *_status_options("pending", "queued", "waiting"),
            Option(names=("--yes-do-it", "--ya-rly"), flag=True, words="--kill is meant"),
        ),
    ),
    Command(
        name="resume",
        summary="Let stuck jobs go forward again from where they got stuck",
        run=_stuck("ResumeJob"),
        arguments=_SOME_JOBS,
    ),
    Command(
        name="unwind",
        summary="Let stuck jobs try again to undo what they did",
        run=_stuck("UnwindJob"),
        arguments=_SOME_JOBS,
    ),
    Command(
        name="abandon",
        summary="End stuck jobs as they are; what they leave must be seen to by hand",
        run=_stuck("AbandonJob"),
        arguments=_SOME_JOBS,
    ),
    Command(
        name="change-priority",
        summary="Change the priority of jobs",
        run=_change_priority,
        arguments=_JOBS,
        options=(ANY_PRIORITY, _FORCE, *_status_options("pending", "queued", "waiting")),
    ),
    Command(name="archive", summary="Archive ended jobs", run=_archive, arguments=_SOME_JOBS),
    Command(
        name="autoarchive",
        summary="Archive all jobs that ended longer ago than a time, or all",
        run=_autoarchive,
        arguments=Arguments(shown="<age>|all", minimum=1, maximum=1),
    ),
)  # fmt: skip
