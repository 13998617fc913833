"""Jobs from the side that asks: submit, follow, tell how they ended.

Decided here: what is printed and when. Log lines go to standard output as ``<time> <text>``;
notices and numbers of submitted jobs to standard error; progress is drawn only for a person who
watches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from cli.command import Call, Session
from cli.exits import CommandError, Exit, encoded_error, told
from cli.progress import Progress, progress_for
from cli.submission import LOOK_EVERY_S, LOOKS, comes_back, submit, submit_many
from cli.verdicts import explanation
from clusterd.doorway.protocol import RequestFailed
from clusterd.errors import ClusterError, DoorAway

Body = Mapping[str, Any]

_NOTICES = {
    "queued": "Job {job} is waiting in queue",
    "waiting": "Job {job} is waiting for locks",
}
_ENDED = frozenset({"success", "error", "canceled"})
_STUCK = "stuck"


class JobFailed(CommandError):
    """A job ended badly; ``kind`` and ``arguments`` are its encoded error."""

    def __init__(self, kind: str, arguments: list[Any]) -> None:
        super().__init__(told(kind, arguments).text)
        self.kind = kind
        self.arguments = arguments


class Watched(msgspec.Struct, frozen=True):
    """How a job or opcode ended."""

    job: int
    results: list[Any]


def stamped(call: Call, body: Body) -> dict[str, Any]:
    """The opcode with what is common to all: who asked and why, priority, debugging, dry run."""
    now = call.session.now_ns()
    reason: list[list[Any]] = []
    if call.given("reason"):
        reason.append(["gnt:user", call.given("reason"), now])
    reason.append([f"gnt:client:{call.tool}", call.name, now])
    common: dict[str, Any] = {"reason": reason}
    if call.given("debug"):
        common["debug_level"] = call.given("debug")
    if call.given("priority") is not None:
        common["priority"] = call.given("priority")
    if call.given("dry_run"):
        common["dry_run"] = True
    return {**body, **common}


def submit_or_run(call: Call, body: Body) -> Watched | None:
    """Submit one opcode and follow it; None if it was to be submitted only."""
    session = call.session
    job = submit(call, [stamped(call, body)])
    if call.given("print_jobid"):
        session.out(str(job))
    if call.given("submit"):
        session.err(f"JobID: {job}")
        return None
    return follow(session, job)


def run(call: Call, body: Body) -> Any:
    """Submit one opcode, follow it, answer its result."""
    job = submit(call, [stamped(call, body)])
    return follow(call.session, job).results[0]


def follow(session: Session, job: int, *, quiet: bool = False) -> Watched:
    """Print the job's log until it ended, also when the master is away meanwhile; raises
    JobFailed."""
    if quiet:
        _wait(session, job, None)
    else:
        with progress_for(session, job) as progress:
            _wait(session, job, progress)
    return Watched(job, _asked(session, job, lambda: _results(session, job), session.err))


def _asked(
    session: Session, job: int, ask: Callable[[], Any], notice: Callable[[str], None]
) -> Any:
    """The answer to a question about a job, asked until there is a master that answers."""
    for look in range(LOOKS):
        try:
            return ask()
        except (DoorAway, RequestFailed) as error:
            if not comes_back(error) or look + 1 == LOOKS:
                _told_where(session, job, error)
                raise
        if look == 0:
            notice(f"The master is away; job {job} goes on when it is back")
        session.pause(LOOK_EVERY_S)
    raise AssertionError("the last look raises")


def _told_where(session: Session, job: int, error: ClusterError) -> None:
    if isinstance(error, DoorAway) or (
        isinstance(error, RequestFailed) and error.kind == "NotMaster"
    ):
        session.err(
            f"Job {job} is in the queue: follow it with 'gnt-job watch {job}' on the master"
        )


def _wait(session: Session, job: int, progress: Progress | None) -> None:
    info: Any = None
    serial: int | None = None
    noticed = False
    said = session.err if progress is None else progress.notice
    while True:
        answer = _asked(session, job, partial(_change, session, job, info, serial), said)
        if answer is None:
            raise JobFailed("JobLost", [f"Job {job} is not there any more"])
        if answer == "nochange":
            notice = _NOTICES.get(info[0]) if info else None
            if notice and not noticed and progress is not None:
                progress.notice(notice.format(job=job))
                noticed = True
            continue
        info, entries = answer
        for entry in entries or ():
            serial = max(serial or 0, int(entry[0]))
            if progress is not None:
                progress.line(log_line(entry))
        if info[0] in _ENDED or info[0] == _STUCK:
            return
        if progress is not None:
            progress.status(info[0])


def _change(session: Session, job: int, info: Any, serial: int | None) -> Any:
    return session.door.wait_for_job_change(job, ("status",), info, serial)


def log_line(entry: Sequence[Any]) -> str:
    """``[serial, [seconds, microseconds], kind, text]`` -> ``<time> <text>``."""
    _, moment, _, text = entry
    seconds = moment[0] if isinstance(moment, list | tuple) else moment
    said = text if isinstance(text, str) else msgspec.json.encode(text).decode()
    return f"{time.ctime(seconds)} {said}"


def _results(session: Session, job: int) -> list[Any]:
    (row,) = session.door.query_jobs([job], ("status", "opstatus", "opresult"))
    if row is None:
        raise JobFailed("JobLost", [f"Job {job} is not there any more"])
    status, opstatus, results = row
    if status == "success":
        return list(results)
    if status == "canceled":
        raise JobFailed("JobCanceled", [f"job {job} was canceled"])
    if status == _STUCK:
        raise JobFailed(
            "JobStuck", [f"job {job} needs an operator; see 'gnt-job info {job}' for the reason"]
        )
    for index, (ended, result) in enumerate(zip(opstatus, results, strict=False)):
        if ended != "error":
            continue
        error = encoded_error(result)
        if error is not None:
            raise JobFailed(*error)
        where = f"partial failure (opcode {index}): " if "success" in opstatus else ""
        raise JobFailed("OpExecError", [f"{where}{result}"])
    raise JobFailed("OpExecError", [f"job {job} ended as {status}: {results}"])


def explain(call: Call, body: Body) -> int:
    """What an allocator would choose for an opcode; it is checked only, nothing is changed."""
    session = call.session
    job = submit(call, [{**stamped(call, body), "dry_run": True}])
    trouble: JobFailed | RequestFailed | None = None
    try:
        follow(session, job, quiet=True)
    except (JobFailed, RequestFailed) as error:
        trouble = error
    (row,) = session.door.query_jobs([job], ("opverdicts",))
    considered = row[0][0] if row is not None else None
    for line in explanation(considered or ()):
        session.out(line)
    if trouble is not None:
        raise trouble
    if not considered:
        session.out("Nothing is chosen: the nodes were named")
    return Exit.SUCCESS


class JobSet:
    """Several jobs, submitted together and followed one after the other."""

    def __init__(self, call: Call, *, verbose: bool = False, part: str = "") -> None:
        """``part``: see ``submission.submit_many``."""
        self._call = call
        self._part = part
        self._verbose = verbose
        self._queued: list[tuple[str, list[dict[str, Any]]]] = []
        self._known: list[tuple[str, bool, Any]] = []

    def queue(self, label: str, *bodies: Body) -> None:
        """One more job, about the object ``label``."""
        self._queued.append((label, [stamped(self._call, body) for body in bodies]))

    def add(self, accepted: bool, outcome: Any, label: str = "") -> None:
        """A job that the master submitted."""
        self._known.append((label, accepted, outcome))

    def finish(self) -> list[tuple[bool, Any]]:
        """Submit; then follow and answer (success, results), or only print the numbers."""
        session = self._call.session
        if self._queued:
            jobs = [bodies for _, bodies in self._queued]
            answers = submit_many(self._call, jobs, self._part)
            for (label, _), (accepted, outcome) in zip(self._queued, answers, strict=True):
                self._known.append((label, accepted, outcome))
        self._queued = []
        if self._call.given("print_jobid"):
            for _, accepted, outcome in self._known:
                if accepted:
                    session.out(str(outcome))
        if self._call.given("submit"):
            return [self._told_number(*row) for row in self._known]
        numbers = [str(outcome) for _, accepted, outcome in self._known if accepted]
        if self._verbose and numbers:
            session.out(f"Submitted jobs {', '.join(numbers)}")
        return [self._followed(*row) for row in self._known]

    def _told_number(self, label: str, accepted: bool, outcome: Any) -> tuple[bool, Any]:
        if accepted:
            self._call.session.out(f"{outcome}: {label}" if label else str(outcome))
        else:
            self._call.session.err(f"Failure for {label}: {_reason(outcome)}")
        return accepted, outcome

    def _followed(self, label: str, accepted: bool, outcome: Any) -> tuple[bool, Any]:
        session = self._call.session
        about = f" for {label}" if label else ""
        if not accepted:
            session.err(f"Failed to submit job{about}: {_reason(outcome)}")
            return False, outcome
        job = int(outcome)
        session.out(f"Waiting for job {job}{about} ...")
        try:
            return True, follow(session, job).results
        except (JobFailed, RequestFailed) as error:
            text = (
                str(error)
                if isinstance(error, JobFailed)
                else told(error.kind, list(error.details)).text
            )
            session.err(f"Job {job}{about} has failed: {text}")
            return False, text


def _reason(outcome: Any) -> str:
    error = encoded_error(outcome)
    return told(*error).text if error else str(outcome)


def exit_code(results: Sequence[tuple[bool, Any]]) -> int:
    """0 when all went well."""
    return Exit.SUCCESS if all(success for success, _ in results) else Exit.FAILURE
