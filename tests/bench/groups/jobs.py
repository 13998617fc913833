"""Jobs through the door of a real master on SQLite: one after the other, and a thousand at once."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from clusterd.doorway.client import Door, door_path
from clusterd.settings import DAEMONS
from tests.bench.figures import Figure, from_samples
from tests.unit.test_first_cluster import Host

SEQUENTIAL = 200
BULK = 1000
BULK_ROUNDS = 3
NOOP = {"OP_ID": "OP_TEST_DELAY", "duration": 0.0}
ENDED = ("success", "error", "canceled")


def measure() -> Iterable[Figure]:
    """``job_noop_sequential_ms`` and ``job_noop_bulk_per_s``."""
    with tempfile.TemporaryDirectory() as directory:
        host = Host(Path(directory))
        try:
            host.init()
            environment = {"CLUSTERD_ROOT": directory}
            door = Door(door_path(environment))
            yield _sequential(door)
            yield _bulk(door)
        finally:
            for daemon in DAEMONS:
                pid = host.pid(daemon)
                if pid is not None:
                    os.kill(pid, signal.SIGKILL)


def _sequential(door: Door) -> Figure:
    """Submit to done, in milliseconds."""
    samples = []
    for _ in range(SEQUENTIAL):
        began = time.perf_counter()
        _end_of(door, door.submit_job([NOOP]))
        samples.append((time.perf_counter() - began) * 1000)
    return from_samples("job_noop_sequential_ms", "ms", samples)


def _bulk(door: Door) -> Figure:
    """A thousand in one request, submit to the last one done, in jobs a second."""
    samples = []
    for _ in range(BULK_ROUNDS):
        began = time.perf_counter()
        verdicts = door.submit_many_jobs([[NOOP]] * BULK)
        numbers = [number for ok, number in verdicts if ok]
        if len(numbers) != BULK:
            raise RuntimeError(f"only {len(numbers)} of {BULK} jobs were accepted")
        for number in reversed(numbers):
            _end_of(door, number)
        samples.append(BULK / (time.perf_counter() - began))
    return from_samples("job_noop_bulk_per_s", "jobs/s", samples)


def _end_of(door: Door, number: int) -> None:
    """Wait for a job's end; raises when it did not succeed."""
    seen: Any = None
    while True:
        answer = door.wait_for_job_change(number, ["status"], seen, None)
        if answer in (None, "nochange"):
            raise RuntimeError(f"job {number} does not end")
        seen = answer[0]
        if seen[0] in ENDED:
            break
    if seen[0] != "success":
        raise RuntimeError(f"job {number} ended with {seen[0]}")
