"""Submission: numbers, dependencies by offset, the same request only once, stored before answered.

A caller may name its request. The name is stored with the job in one transaction that expects it to
be new, so the same name submits once, whoever dies in between; used for something else it is
refused. Names belong to who asks, and live as long as the job is known, archived or not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from jobqueue import keys
from jobqueue.bounds import MAX_JOB_BYTES
from jobqueue.errors import Conflict, QueueDrained, QueueFull, Refused, StoreAway
from jobqueue.job import FINAL, Submission
from jobqueue.opcode import Opcode
from jobqueue.store.interface import ABSENT, MAX_EXPECTS, MAX_WRITES, Store, Transaction

MAX_OPCODES = 1000
MAX_RACES = 10
"""How often a request is looked up again because somebody else was about to submit it."""

KEPT_BESIDE_BYTES = 1000
"""What is stored of a job beside its opcodes, at most."""

RESERVED = 2
"""Expectations that the master itself adds to a transaction."""

NAME = re.compile(r"[\x21-\x7e]{1,200}")


class Named(msgspec.Struct, frozen=True):
    """What a request's name stands for."""

    job: int
    digest: str


class Queue(Protocol):
    """What submission needs of the queue."""

    store: Store
    now: Callable[[], float]
    drained: bool
    last_id: int
    max_jobs: int

    def __len__(self) -> int:
        """How many jobs are not archived."""

    async def commit(self, writes: Transaction) -> None:
        """Commit as the master."""

    def accept(self, submissions: Iterable[Submission]) -> None:
        """Submissions are stored: take them up."""


async def submit(
    queue: Queue,
    jobs: Sequence[Sequence[Opcode]],
    submitter: str,
    *,
    even_drained: bool = False,
    name: str = "",
) -> list[int]:
    """Store jobs durably and answer their numbers. Raises QueueDrained, QueueFull, Refused."""
    names = _names(name, len(jobs), submitter)
    for _ in range(MAX_RACES):
        before = [await _before(queue, *pair) for pair in zip(names, jobs, strict=True)]
        fresh = [at for at, number in enumerate(before) if number is None]
        if fresh:
            _refuse_closed(queue, len(fresh), even_drained)
        submissions, ids = _numbered(queue, jobs, before, submitter, names)
        try:
            claims = [_claim(names[at], ids[at], jobs[at]) for at in fresh if names[at]]
            await _store(queue, submissions, claims)
        except Conflict as error:
            if not error.key.startswith(keys.SUBMITTED):
                raise
            continue
        return ids
    raise Refused(f"Request '{name}' is being submitted by others again and again", "wrong_state")


def prepare(
    queue: Queue, jobs: Iterable[Sequence[Opcode]], submitter: str
) -> tuple[list[Submission], Transaction]:
    """Numbers and writes for new jobs; ``accept`` them once the writes are committed."""
    jobs = list(jobs)
    submissions, _ids = _numbered(queue, jobs, [None] * len(jobs), submitter, [""] * len(jobs))
    return submissions, Transaction(puts=tuple(map(_put, submissions)))


def _names(name: str, count: int, submitter: str) -> list[str]:
    if not name:
        return [""] * count
    if not NAME.fullmatch(name):
        raise Refused(
            "An idempotency key has 1 to 200 printable ASCII characters, no blanks", "wrong_input"
        )
    if count == 1:
        return [f"{submitter}/{name}"]
    return [f"{submitter}/{name}#{at}" for at in range(count)]


async def _before(queue: Queue, name: str, opcodes: Sequence[Opcode]) -> int | None:
    """The job that this request submitted before; raises Refused when it was another request."""
    entry = await queue.store.get(f"{keys.SUBMITTED}{name}") if name else None
    if entry is None:
        return None
    found = msgspec.json.decode(entry.value, type=Named)
    if found.digest != digest(opcodes):
        raise Refused(
            f"The idempotency key was used for another request, job {found.job}", "wrong_input"
        )
    return found.job


def digest(opcodes: Sequence[Opcode]) -> str:
    """The same for requests that ask for the same; when and why they ask does not count."""
    bare = [msgspec.structs.replace(opcode, reason=()) for opcode in opcodes]
    return hashlib.sha256(msgspec.json.encode(bare)).hexdigest()


def _refuse_closed(queue: Queue, count: int, even_drained: bool) -> None:
    if queue.drained and not even_drained:
        raise QueueDrained("The job queue is drained, refusing to accept new jobs")
    if len(queue) + count > queue.max_jobs:
        raise QueueFull(f"The job queue holds {len(queue)} jobs and is full")


def _numbered(
    queue: Queue,
    jobs: Sequence[Sequence[Opcode]],
    before: Sequence[int | None],
    submitter: str,
    names: Sequence[str],
) -> tuple[list[Submission], list[int]]:
    """Submissions of the jobs that are new, and the numbers of all."""
    following = iter(range(queue.last_id + 1, queue.last_id + 1 + len(jobs)))
    ids = [next(following) if number is None else number for number in before]
    checked = [
        _resolved(at, ids, opcodes) if before[at] is None else [] for at, opcodes in enumerate(jobs)
    ]
    now = queue.now()
    submissions = [
        Submission(
            id=ids[at],
            received=now,
            submitter=submitter,
            opcodes=tuple(msgspec.Raw(msgspec.json.encode(opcode)) for opcode in opcodes),
            key=names[at],
        )
        for at, opcodes in enumerate(checked)
        if before[at] is None
    ]
    for submission in submissions:
        if (size := _size_bytes(submission)) > MAX_JOB_BYTES:
            raise Refused(
                f"A job takes at most {MAX_JOB_BYTES} bytes, this one has {size}: submit its"
                " opcodes as several jobs",
                "wrong_input",
            )
    queue.last_id = max([queue.last_id, *ids])
    return submissions, ids


def _size_bytes(submission: Submission) -> int:
    """As it is stored, nearly."""
    return sum(len(bytes(opcode)) for opcode in submission.opcodes) + KEPT_BESIDE_BYTES


def check(opcodes: Sequence[Opcode], number: int) -> None:
    """Raises Refused for what no job may be that gets this number or a lower one. Offsets of
    dependencies are not looked at."""
    if not opcodes:
        raise Refused("A job needs at least one opcode", "wrong_input")
    if len(opcodes) > MAX_OPCODES:
        raise Refused(f"A job has at most {MAX_OPCODES} opcodes", "wrong_input")
    for opcode in opcodes:
        for target, statuses in opcode.depends or ():
            wrong = [status for status in statuses if status not in FINAL]
            if wrong:
                raise Refused(f"'{wrong[0]}' is not a status that a job ends with", "wrong_input")
            if target == 0 or target >= number:
                raise _no_earlier(number, target)


def _no_earlier(number: int, target: int) -> Refused:
    return Refused(
        f"Job {number} depends on job {target}, which is not an earlier job", "wrong_input"
    )


def _resolved(at: int, ids: Sequence[int], opcodes: Sequence[Opcode]) -> list[Opcode]:
    check(opcodes, ids[at])
    return [_with_dependencies(opcode, at, ids) for opcode in opcodes]


def _with_dependencies(opcode: Opcode, at: int, ids: Sequence[int]) -> Opcode:
    """Offsets count back over the jobs of the same submission."""
    if not opcode.depends:
        return opcode
    resolved = []
    for target, statuses in opcode.depends:
        number = target
        if target < 0:
            number = ids[at + target] if at + target >= 0 else target
        if number < 1 or number >= ids[at]:
            raise _no_earlier(ids[at], target)
        resolved.append((number, statuses))
    return msgspec.structs.replace(opcode, depends=tuple(resolved))


async def _store(
    queue: Queue, submissions: Sequence[Submission], claims: Sequence[tuple[str, bytes]]
) -> None:
    """``claims``: none, or one a submission: its name's key and value."""
    room = min(MAX_EXPECTS - RESERVED, MAX_WRITES // 2) if claims else MAX_WRITES
    start = 0
    while start < len(submissions):
        count = _fitting(submissions[start : start + room])
        part = submissions[start : start + count]
        claimed = tuple(claims[start : start + count])
        start += count
        writes = Transaction(
            expects=tuple((key, ABSENT) for key, _value in claimed),
            puts=(*map(_put, part), *claimed),
        )
        try:
            await queue.commit(writes)
        except StoreAway:
            if await queue.store.get(keys.numbered(keys.JOBS, part[0].id)) is None:
                raise
        queue.accept(part)


def _fitting(submissions: Sequence[Submission]) -> int:
    """How many of them one transaction takes; each fits alone."""
    left = MAX_JOB_BYTES
    for at, submission in enumerate(submissions):
        left -= _size_bytes(submission)
        if left < 0 and at:
            return at
    return len(submissions)


def _put(submission: Submission) -> tuple[str, bytes]:
    return keys.numbered(keys.JOBS, submission.id), msgspec.json.encode(submission)


def _claim(name: str, job_id: int, opcodes: Sequence[Opcode]) -> tuple[str, bytes]:
    """What is stored of a request's name."""
    return f"{keys.SUBMITTED}{name}", msgspec.json.encode(Named(job_id, digest(opcodes)))
