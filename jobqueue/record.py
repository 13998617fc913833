"""A job that has ended, as it is stored: whole, in one value. Pure."""

from __future__ import annotations

import msgspec

from jobqueue.job import Submission
from jobqueue.journal import Known
from jobqueue.live import Job
from jobqueue.opcode import Registry


class Record(msgspec.Struct, frozen=True, array_like=True):
    """The stored form. New fields go to the end, with a default."""

    submission: Submission
    known: list[Known]
    events: int = 0
    """How many lines its journal had."""


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Record)


def packed(job: Job, known: list[Known], events: int) -> bytes:
    """The record of a job that ends with ``known``; what only running needs is left out."""
    slim = [msgspec.structs.replace(one, plan=(), locks=(), outputs=()) for one in known]
    return _ENCODER.encode(Record(job.submission, slim, events))


def unpacked(stored: bytes, registry: Registry) -> Job:
    """The job again."""
    record = _DECODER.decode(stored)
    job = new_job(record.submission, registry)
    job.known = record.known
    job.events = record.events
    settle(job, registry)
    return job


def settle(job: Job, registry: Registry) -> None:
    """From now on an opcode for which something was chosen has it."""
    for index, known in enumerate(job.known):
        if known.chosen and index not in job.settled:
            chosen = registry.read_any(known.chosen[0])
            job.opcodes = (*job.opcodes[:index], chosen, *job.opcodes[index + 1 :])
            job.settled.add(index)


def new_job(submission: Submission, registry: Registry) -> Job:
    """A job of which no more is known than what was submitted."""
    opcodes = tuple(registry.read_any(raw) for raw in submission.opcodes)
    return Job(submission, opcodes, [registry.summary(opcode) for opcode in opcodes])
