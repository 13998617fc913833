"""What must be true when the load has ended: nothing lost, nothing doubled, each job ended once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from clusterd.configuration import Configuration
from jobqueue.errors import JournalBroken
from jobqueue.job import Submission
from jobqueue.journal import Event, Kind, Known, Phase, fold
from jobqueue.queue import JOBS, JOURNAL
from jobqueue.store.interface import Store
from tests.proof.load import Asked, Load


async def wrong_in_store(store: Store, load: Load) -> list[str]:
    """What the stored jobs say against it."""
    jobs = [msgspec.json.decode(entry.value, type=Submission) for entry in await store.read(JOBS)]
    journals: dict[int, list[tuple[int, Event]]] = {job.id: [] for job in jobs}
    found = []
    for entry in await store.read(JOURNAL):
        _, job_id, line = entry.key.split("/")
        if int(job_id) not in journals:
            found.append(f"the journal {entry.key} belongs to no job")
            continue
        event = msgspec.json.decode(entry.value, type=Event)
        journals[int(job_id)].append((int(line), event))
    for job in jobs:
        found += wrong_in_journal(job, journals[job.id])
    configuration = Configuration()
    await configuration.load(store)
    names = [one.name for one in configuration.instances(unfinished=True)]
    return [*found, *wrong_with_requests(jobs, load.asked), *differences("instances", names, load)]


def wrong_in_journal(job: Submission, lines: list[tuple[int, Event]]) -> Iterator[str]:
    """One job: its lines fit one another, and each opcode ended once."""
    if [number for number, _ in lines] != list(range(len(lines))):
        yield f"job {job.id}: its journal has gaps: {[number for number, _ in lines]}"
    known = [Known() for _ in job.opcodes]
    ends: Counter[int] = Counter()
    for _, event in lines:
        ends[event.opcode] += event.kind is Kind.END
        try:
            known[event.opcode] = fold(known[event.opcode], event)
        except JournalBroken as error:
            yield f"job {job.id}: {error}"
    for index, one in enumerate(known):
        if ends[index] != 1 or one.phase is not Phase.ENDED:
            yield f"job {job.id}: opcode {index} ended {ends[index]} times and is {one.phase}"


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
