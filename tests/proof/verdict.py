"""What must be true when the load has ended: nothing lost, nothing doubled, each job ended once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from clusterd.configuration import Configuration
from jobqueue import keys
from jobqueue.job import Submission
from jobqueue.journal import Phase
from jobqueue.record import Record
from jobqueue.store.interface import Store
from tests.proof.load import Asked, Load


async def wrong_in_store(store: Store, load: Load) -> list[str]:
    """What the stored jobs say against it."""
    found = [f"job {entry.key} has not ended" for entry in await store.read(keys.JOBS)]
    records = {
        keys.number_in(entry.key): msgspec.json.decode(entry.value, type=Record)
        for entry in await store.read(keys.FINISHED)
    }
    for number, record in records.items():
        found += wrong_in_record(number, record)
    # a job's end takes the place of its journal
    found += [f"line {entry.key} is left of a job" for entry in await store.read(keys.JOURNAL)]
    configuration = Configuration()
    await configuration.load(store)
    names = [one.name for one in configuration.instances(unfinished=True)]
    jobs = [record.submission for record in records.values()]
    return [*found, *wrong_with_requests(jobs, load.asked), *differences("instances", names, load)]


def wrong_in_record(number: int, record: Record) -> Iterator[str]:
    """A finished job is the one that was asked for, and each opcode has ended."""
    if record.submission.id != number:
        yield f"job {record.submission.id} is stored as job {number}"
    for index, known in enumerate(record.known):
        if known.phase is not Phase.ENDED or known.status is None:
            yield f"job {number}: opcode {index} is {known.phase} in the record of its end"


def wrong_with_requests(jobs: Iterable[Submission], asked: list[Asked]) -> Iterator[str]:
    """What was accepted is there once and succeeded; what was asked once is there once."""
    numbers: dict[str, list[int]] = {}
    for job in jobs:
        mark = msgspec.json.decode(job.opcodes[0]).get("comment")
        if mark:
            numbers.setdefault(mark, []).append(job.id)
    for one in asked:
        found = numbers.pop(one.mark, [])
        if found != [one.number]:
            yield f"request {one.mark} was answered {one.number} and is stored as {found}"
        if one.status != "success":
            yield f"job {one.number} ({one.mark}) is {one.status or 'not ended'}: {one.result}"
    if numbers:
        yield f"jobs that nobody asked for: {numbers}"


def wrong_on_disk(directory: Path, load: Load) -> Iterator[str]:
    """The files of instances are those of the instances that there are."""
    wanted = Counter(
        {
            asked.body[0]["instance_name"]: len(asked.body[0]["disks"])
            for asked in load.asked
            if asked.body[0]["OP_ID"] == "OP_INSTANCE_CREATE"
            and asked.body[0]["instance_name"] in load.expected
        }
    )
    found = Counter(path.parent.name for path in directory.rglob("*") if path.is_file())
    if found != +wanted:
        yield f"disks on the node: {dict(found - wanted)} too many, {dict(wanted - found)} missing"


def differences(what: str, found: Iterable[str], load: Load) -> Iterator[str]:
    """Names that should be there and are not, or are and should not."""
    names = list(found)
    if sorted(names) != sorted(load.expected):
        missing, extra = load.expected - {*names}, {*names} - load.expected
        yield f"{what}: missing {sorted(missing)}, too many {sorted(extra)}, of {len(names)}"
