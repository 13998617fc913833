"""A load of real jobs: workers, each of which lives the lives of one instance after the other.

A worker asks for one thing at a time and remembers what became of it. When the door breaks off
before the answer, it looks whether its request is there - each bears a mark - and asks again only
if it is not, as a careful client does.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from clusterd.doorway.client import Door
from clusterd.doorway.protocol import RequestFailed
from clusterd.errors import ClusterError, DoorAway

ENDED = ("success", "error", "canceled")
POLL_S = 0.02
AWAY_S = 0.05
Body = dict[str, Any]


class Asked(msgspec.Struct, kw_only=True):
    """One request. ``number`` is None until it is known to be accepted."""

    mark: str
    body: list[Body]
    number: int | None = None
    status: str = ""
    result: Any = None


def life(instance: str, node: str, draw: random.Random) -> Iterator[list[Body]]:
    """The jobs of an instance's life, in order; some have several opcodes."""
    disks = [{"size": draw.randint(1, 4)} for _ in range(draw.randint(0, 2))]
    create: Body = {
        "OP_ID": "OP_INSTANCE_CREATE",
        "instance_name": instance,
        "disk_template": "file" if disks else "diskless",
        "disks": disks,
        "nics": [],
        "pnode": node,
        "os_type": "noop",
        "no_install": True,
        "hypervisor": "memory",
        "beparams": {"maxmem": 4, "minmem": 4},
        "ignore_ipolicy": True,
        "start": draw.random() < 0.5,
    }
    named = {"instance_name": instance}
    yield [create]
    for _ in range(draw.randint(0, 3)):
        yield [
            {"OP_ID": "OP_INSTANCE_STARTUP", **named},
            {"OP_ID": "OP_TEST_DELAY", "duration": draw.uniform(0.0, 0.1), "repeat": 2},
            {"OP_ID": "OP_INSTANCE_SHUTDOWN", **named, "timeout": 0},
        ]
        yield [{"OP_ID": "OP_INSTANCE_SET_PARAMS", **named, "beparams": {"vcpus": 2}}]
    if draw.random() < 0.8:
        yield [{"OP_ID": "OP_INSTANCE_REMOVE", **named, "shutdown_timeout": 0}]


class Worker:
    """Invariant: at most one of its requests has not ended."""

    def __init__(self, name: str, node: str, seed: int) -> None:
        self.asked: list[Asked] = []
        self.expected: set[str] = set()
        """Instances that there should be once its requests have ended."""
        self._name = name
        self._node = node
        self._draw = random.Random(f"{seed}/{name}")
        self._lives = 0
        self._life: Iterator[list[Body]] = iter(())

    @property
    def current(self) -> Asked | None:
        """The request that has not ended."""
        last = self.asked[-1] if self.asked else None
        return last if last is not None and not last.status else None

    def go_on(self, door: Door, *, more: bool) -> bool:
        """Ask for the next thing, or look what became of the last; False when idle. ``more``: new
        requests are wanted. Raises DoorAway and the like; to be called again then."""
        asked = self.current
        if asked is None:
            if not more:
                return False
            asked = self._next()
        if asked.number is None:
            asked.number = self._find(door, asked) or self._submit(door, asked)
            return True
        (row,) = door.query_jobs([asked.number], ["status", "opresult"])
        if row is None:
            asked.status, asked.result = "lost", None
        elif row[0] in ENDED:
            asked.status, asked.result = row
            self._remember(asked)
        return True

    def _next(self) -> Asked:
        body = next(self._life, None)
        if body is None:
            self._lives += 1
            name = f"{self._name}-{self._lives}.example.com"
            self._life = life(name, self._node, self._draw)
            body = next(self._life)
        mark = f"{self._name}/{len(self.asked)}"
        asked = Asked(mark=mark, body=[{**one, "comment": mark} for one in body])
        self.asked.append(asked)
        return asked

    def _find(self, door: Door, asked: Asked) -> int | None:
        """The job that bears the mark: it was accepted and the answer was lost."""
        if not asked.result:
            return None  # it was never sent
        for number, opcodes in door.query_jobs(None, ["id", "ops"]):
            if opcodes[0].get("comment") == asked.mark:
                return int(number)
        return None

    def _submit(self, door: Door, asked: Asked) -> int:
        asked.result = "sent"
        try:
            return door.submit_job(asked.body)
        except RequestFailed:
            asked.result = None  # refused: it is certain that there is no job
            raise

    def _remember(self, asked: Asked) -> None:
        first = asked.body[0]
        if asked.status == "success" and first["OP_ID"] == "OP_INSTANCE_CREATE":
            self.expected.add(first["instance_name"])
        if asked.status == "success" and first["OP_ID"] == "OP_INSTANCE_REMOVE":
            self.expected.discard(first["instance_name"])


class Load:
    """All workers over one door. ``refusals``: what the master said no to, and how often."""

    def __init__(self, door: Door, nodes: Sequence[str], *, workers: int, seed: int) -> None:
        self.workers = [
            Worker(f"w{number}", nodes[number % len(nodes)], seed) for number in range(workers)
        ]
        self.refusals: dict[str, int] = {}
        self.answered = 0
        """Questions that were answered so far."""
        self._door = door

    def round(self, *, more: bool) -> bool:
        """Let each worker go on; False when all are idle."""
        busy = [self._go_on(worker, more=more) for worker in self.workers]
        time.sleep(POLL_S)
        return any(busy)

    def finish(self, within_s: float) -> None:
        """Until nothing is left to wait for; raises AssertionError when that takes too long."""
        deadline = time.monotonic() + within_s
        while self.round(more=False):
            if time.monotonic() > deadline:
                left = [worker.current for worker in self.workers]
                raise AssertionError(f"jobs that do not end: {[one for one in left if one]}")

    @property
    def asked(self) -> list[Asked]:
        """All requests of all workers."""
        return [asked for worker in self.workers for asked in worker.asked]

    @property
    def expected(self) -> set[str]:
        """The instances that there should be."""
        return set().union(*(worker.expected for worker in self.workers))

    def _go_on(self, worker: Worker, *, more: bool) -> bool:
        try:
            busy = worker.go_on(self._door, more=more)
            self.answered += 1
        except DoorAway:
            time.sleep(AWAY_S)
            return True
        except ClusterError as error:
            text = str(error)[:200]
            self.refusals[text] = self.refusals.get(text, 0) + 1
            time.sleep(AWAY_S)
            return True
        return busy
