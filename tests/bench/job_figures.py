"""The figures of jobs, over whatever store: ``measured(store)``. A group is one store.

All through the door of the real master daemon, as a client sees it: from before the request is sent
until the end of the job was told.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from clusterd.doorway.client import Door
from tests.bench.figures import Figure, from_samples
from tests.bench.house import (
    NOOP,
    House,
    StoreKind,
    all_ends,
    create,
    end_of,
    environment_of,
    filled,
    opened,
    resident_mib,
    until_accepted,
)

SEQUENTIAL = 200
BULK = 1000
ROUNDS = 3
OPCODES = 100
CREATED = 30
PRESENT = 2000
TOGETHER = 500
JOBS = 10_000
RUNNING = 20
FEW, MANY = 200, 20_000
CHANGES = 200


def measured(store: StoreKind) -> Iterable[Figure]:
    """All figures over one store."""
    with opened(store) as house:
        house.until_nodes_are_seen()
        door = house.door
        yield _sequential(door)
        yield _bulk(door)
        yield _opcodes(door)
        yield _creates(house, door, "instance_create_ms", "empty")
        _populate(house, door)
        yield _creates(house, door, "instance_create_2000_ms", "full")
        yield _creates_together(house, door)
        yield from _memory_and_recovery(house, door)
    few, many = _change_cpu_ms(store, FEW), _change_cpu_ms(store, MANY)
    yield Figure(name="change_cost_ratio", value=many / few, unit="", n=CHANGES)


def _sequential(door: Door) -> Figure:
    """No-op jobs one after the other: submit to done."""
    samples = []
    for _ in range(SEQUENTIAL):
        began = time.perf_counter()
        end_of(door, door.submit_job([NOOP]))
        samples.append((time.perf_counter() - began) * 1000)
    return from_samples("job_noop_sequential_ms", "ms", samples)


def _bulk(door: Door) -> Figure:
    """A thousand no-op jobs in one request, to the last one done."""
    samples = [BULK / all_ends(door, [[NOOP]] * BULK) for _ in range(ROUNDS)]
    return from_samples("job_noop_bulk_per_s", "jobs/s", samples)


def _opcodes(door: Door) -> Figure:
    """A hundred no-op opcodes in one job."""
    samples = [OPCODES / all_ends(door, [[NOOP] * OPCODES]) for _ in range(ROUNDS)]
    return from_samples("opcode_noop_per_s", "opcodes/s", samples)


def _creates(house: House, door: Door, name: str, word: str) -> Figure:
    """Instances created and started one after the other."""
    samples = []
    for at in range(CREATED):
        opcode = create(f"{word}{at}.example.com", house.names[at % len(house.names)])
        began = time.perf_counter()
        end_of(door, door.submit_job([opcode]))
        samples.append((time.perf_counter() - began) * 1000)
    return from_samples(name, "ms", samples)


def _several(house: House, word: str, count: int) -> list[list[dict[str, object]]]:
    nodes = house.names
    return [[create(f"{word}{at}.example.com", nodes[at % len(nodes)])] for at in range(count)]


def _populate(house: House, door: Door) -> None:
    """So many that there are PRESENT, all made by jobs and running."""
    left = PRESENT - CREATED
    for start in range(0, left, TOGETHER):
        count = min(TOGETHER, left - start)
        all_ends(door, _several(house, f"p{start}x", count))


def _creates_together(house: House, door: Door) -> Figure:
    """Five hundred instances in one request, PRESENT there already."""
    took = all_ends(door, _several(house, "together", TOGETHER))
    rate = TOGETHER / took
    return Figure(name="instance_create_bulk_per_s", value=rate, unit="instances/s", n=TOGETHER)


def _memory_and_recovery(house: House, door: Door) -> Iterator[Figure]:
    """With at least PRESENT instances, JOBS jobs, RUNNING of them running."""
    known = len(door.query_jobs(None, ["id"]))
    for start in range(known, JOBS, BULK):
        all_ends(door, [[NOOP]] * min(BULK, JOBS - start))
    for _ in range(RUNNING):
        door.submit_job([{**NOOP, "duration": 3600.0}])
    memory = resident_mib(house.master_pid())
    yield Figure(name="master_rss_mib", value=memory, unit="MiB")
    samples = []
    for _ in range(ROUNDS):
        house.kill_master()
        began = time.perf_counter()
        starting = subprocess.Popen(
            [house.program("clusterd-master"), "--start"],
            env=environment_of(house),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until_accepted(house)
        samples.append(time.perf_counter() - began)
        starting.wait()
    yield from_samples("master_recovery_s", "s", samples)


def _change_cpu_ms(store: StoreKind, instances: int) -> float:
    """The master's computing for one change of one instance among so many."""
    with opened(store) as house:
        house.fill(instances)
        door = house.door
        for at in range(CHANGES // 4):
            _change(door, at)
        pid = house.master_pid()
        before = _cpu_s(pid)
        for at in range(CHANGES):
            _change(door, at)
        return (_cpu_s(pid) - before) * 1000 / CHANGES


def _change(door: Door, at: int) -> None:
    opcode = {
        "OP_ID": "OP_INSTANCE_SET_PARAMS",
        "instance_name": filled(at % FEW),
        "beparams": {"maxmem": 128 + at % 7, "minmem": 128},
        "force": True,
    }
    end_of(door, door.submit_job([opcode]))


def _cpu_s(pid: int) -> float:
    """Processor time of all its threads."""
    spent_ns = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        spent_ns += int((task / "schedstat").read_text().split()[0])
    return spent_ns / 1e9
