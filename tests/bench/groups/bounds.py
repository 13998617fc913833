"""The bounds: what a change costs with 100,000 jobs, 5,000 instances and 300 nodes, and with few.

The real master over the store in memory, on virtual time, with pretended nodes that run no guests
of those instances. Processor time of this process, so that other work beside counts less.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from twisted.internet.defer import Deferred

from clusterd.configuration import PREFIX
from clusterd.model import Instance
from clusterd.opcodes.instance_create import InstanceCreate
from clusterd.opcodes.instance_remove import InstanceRemove
from clusterd.opcodes.instance_set_params import InstanceSetParams
from clusterd.opcodes.test_delay import TestDelay
from clusterd.simulation.cluster import SimulatedCluster
from clusterd.simulation.founded import Blueprint, Founded
from clusterd.simulation.pretended_site import OS_NAME
from jobqueue import keys
from jobqueue.filters import Rule, new_rule
from jobqueue.job import Status
from jobqueue.opcode import Opcode
from jobqueue.store.interface import Entry
from tests.bench.figures import Figure, nearest

ROUNDS = 60
NOOP = TestDelay(duration=0.0)
NAME = "measured.example.com"


class Size(msgspec.Struct, frozen=True):
    """How much there is."""

    nodes: int
    instances: int
    ended: int
    """Jobs that have ended and are not archived."""
    queued: int
    """Jobs that wait, held by a filter."""


FEW = Size(nodes=3, instances=50, ended=100, queued=10)
MANY = Size(nodes=300, instances=5_000, ended=89_500, queued=10_000)


def measure() -> list[Figure]:
    """The figures of this group."""
    with tempfile.TemporaryDirectory() as directory:
        few = measured(Path(directory) / "few", FEW)
        many = measured(Path(directory) / "many", MANY)
    found = [one for one in many.values() if one.unit != "ms a change"]
    for name, one in many.items():
        if one.unit == "ms a change":
            found.append(one)
            ratio = one.value / few[name].value
            found.append(Figure(name=f"bounds_{name}_ratio", value=ratio, unit="many / few"))
    return found


def measured(directory: Path, size: Size) -> dict[str, Figure]:
    """Figures by name."""
    nodes = tuple(f"node{number}" for number in range(1, size.nodes + 1))
    empty = SimulatedCluster(directory, Blueprint(nodes=nodes))
    assert empty.wait_for_nodes()
    record, submission = samples(empty)
    full = filled(empty.founded(), size, record, submission)
    began = time.process_time()
    cluster = SimulatedCluster(directory, Blueprint(nodes=nodes, founded=full))
    assert cluster.wait_for_nodes()
    started_s = time.process_time() - began
    assert len(cluster.master.queue) >= size.ended + size.queued
    gc.collect()
    gc.freeze()  # as a real master does once it has read everything
    create, change, remove = lives()
    costs: dict[str, list[float]] = {"noop": [], "create": [], "change": [], "remove": []}
    for number in range(ROUNDS):
        for name, opcode in (
            ("noop", NOOP),
            ("create", create),
            ("change", change(number)),
            ("remove", remove),
        ):
            costs[name].append(cost_ms(cluster, opcode))
    found = {name: of(f"bounds_{name}_ms", some) for name, some in costs.items()}
    found["start"] = Figure(name="bounds_start_s", value=started_s, unit="s, all jobs read")
    found["breath"] = longest_breath(cluster)
    gc.unfreeze()
    return found


def of(name: str, some: Sequence[float]) -> Figure:
    """The median; a collection of garbage now and then belongs to the upper end."""
    middle, late = nearest(some, 50), nearest(some, 95)
    unit = "ms a change"
    return Figure(name=name, value=middle, unit=unit, p50=middle, p95=late, n=len(some))


def lives() -> tuple[Opcode, Callable[[int], Opcode], Opcode]:
    """Create, change and remove one instance on the first node."""
    create = InstanceCreate(
        instance_name=NAME,
        disk_template="diskless",
        disks=(),
        nics=(),
        pnode="node1",
        os_type=OS_NAME,
        hypervisor="memory",
        ignore_ipolicy=True,
        beparams={"maxmem": 4, "minmem": 4},
        start=False,
    )
    return (
        create,
        lambda number: InstanceSetParams(instance_name=NAME, beparams={"vcpus": 1 + number % 4}),
        InstanceRemove(instance_name=NAME),
    )


def cost_ms(cluster: SimulatedCluster, opcode: Opcode) -> float:
    """From the submission to the end of the job."""
    began = time.process_time()
    number = cluster.submit(opcode)
    assert number is not None, cluster.process.refusals
    assert cluster.clock.run_until(lambda: ended(cluster, number), 60.0)
    taken_s = time.process_time() - began
    job = cluster.job(number)
    assert job is not None
    assert job.status is Status.SUCCESS, job.known[-1].result
    return taken_s * 1000.0


def ended(cluster: SimulatedCluster, number: int) -> bool:
    """Whether the job has."""
    job = cluster.job(number)
    return job is not None and job.finished


def longest_breath(cluster: SimulatedCluster) -> Figure:
    """All jobs are archived and listed: the longest time that nobody else has a turn."""
    archiving: Deferred[tuple[int, int]] = Deferred.fromCoroutine(
        cluster.master.queue.auto_archive(None)
    )
    assert archiving.called
    turns: list[float] = []
    answers: list[object] = []
    query = cluster.master.desk().answers.query("job", ["id", "status", "archived"], None)
    listing = Deferred.fromCoroutine(query)
    listing.addCallback(lambda answer: answers.extend(answer["data"]))
    while not listing.called:
        began = time.process_time()
        cluster.clock.step()
        turns.append(time.process_time() - began)
    assert len(answers) > len(cluster.master.queue), "archived ones are listed too"
    longest_ms = max(turns) * 1000.0
    return Figure(
        name="bounds_list_all_longest_turn_ms",
        value=longest_ms,
        unit=f"ms, {len(answers)} jobs listed",
        p50=nearest(turns, 50) * 1000.0,
        p95=nearest(turns, 95) * 1000.0,
        n=len(turns),
    )


# -- what there is ---------------------------------------------------------------------------------


def samples(cluster: SimulatedCluster) -> tuple[bytes, bytes]:
    """A job that has ended, and one that waits, as they are stored."""
    done = cluster.run(NOOP)
    record = cluster.disk.entries[keys.numbered(keys.FINISHED, done.id)].value
    return record, msgspec.json.encode(done.submission)


def filled(empty: Founded, size: Size, record: bytes, submission: bytes) -> Founded:
    """The same with instances and jobs, and a filter that holds what is queued."""
    revision = empty.revision + 1
    pairs: list[tuple[str, bytes]] = []
    for at in range(size.instances):
        node = f"node-node{at % size.nodes + 1}"
        instance = Instance(
            uuid=f"00000000-0000-4000-8000-{at:012d}",
            name=f"f{at}.example.com",
            primary_node=node,
            hypervisor="memory",
            os=OS_NAME,
            disk_template="diskless",
            beparams={"maxmem": 1, "minmem": 1},
        )
        pairs.append((f"{PREFIX}instance/{instance.uuid}", msgspec.json.encode(instance)))
    first = 2
    own = b'"id":1,'
    assert own in record
    assert own in submission
    for number in range(first, first + size.ended):
        pairs.append((keys.numbered(keys.FINISHED, number), renumbered(record, number)))
    last = first + size.ended + size.queued
    for number in range(first + size.ended, last):
        pairs.append((keys.numbered(keys.JOBS, number), renumbered(submission, number)))
    rule = new_rule(
        Rule(
            uuid="held",
            watermark=last - 1,
            priority=0,
            predicates=(["jobid", ["<=", "id", "watermark"]],),
            action="PAUSE",
        )
    )
    pairs.append((f"{keys.FILTERS}{rule.uuid}", msgspec.json.encode(rule)))
    entries = {key: Entry(key, value, revision) for key, value in pairs}
    return msgspec.structs.replace(empty, entries={**empty.entries, **entries}, revision=revision)


def renumbered(stored: bytes, number: int) -> bytes:
    """The stored job 1 as another one."""
    return stored.replace(b'"id":1,', b'"id":%d,' % number, 1)
