"""A door with clients on in-memory transports, on a real queue."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock

from clusterd.doorway.async_client import Door
from clusterd.doorway.desk import Desk
from clusterd.doorway.protocol import (
    RequestFailed,
)
from clusterd.doorway.server import DoorFactory
from jobqueue.job import Status
from jobqueue.journal import Event, Kind
from jobqueue.live import Job
from jobqueue.opcode import Opcode, OpcodeKind, Registry
from jobqueue.queue import JobQueue
from jobqueue.store.memory import MemoryStore
from tests.unit.driving import now
from tests.unit.wires import Endpoint, Network


class Sleep(Opcode, frozen=True, kw_only=True, tag="OP_SLEEP"):
    """Sleep."""

    duration: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class PlainAnswers:
    """Answers that say what they were asked, and the values of jobs that these tests need."""

    def __init__(self, queue: JobQueue) -> None:
        self.queue = queue

    async def query(self, what: str, fields: Any, qfilter: Any) -> dict[str, Any]:
        if what == "broken":
            raise ZeroDivisionError("secret")
        return {"what": what, "fields": list(fields), "qfilter": qfilter}

    def query_fields(self, what: str, fields: Any) -> dict[str, Any]:
        return {"what": what, "fields": fields}

    def rows(self, what: str, names: Any, fields: Any) -> list[Any]:
        return [what, names, list(fields)]

    async def job_rows(self, ids: Any, fields: Any) -> list[Any]:
        jobs = self.queue.jobs() if ids is None else [self.queue.job(i) for i in ids]
        return [None if job is None else self.job_values(job, fields) for job in jobs]

    def job_values(self, job: Job, fields: Any) -> list[Any]:
        return [str(job.status) if field == "status" else job.id for field in fields]

    def cluster_info(self) -> dict[str, Any]:
        return {"name": "c1"}

    def config_values(self, names: Any) -> list[Any]:
        return list(names)

    def tags(self, kind: str, name: str | None) -> list[str]:
        return [kind, str(name)]


class Control:
    """What the scheduler answers."""

    async def cancel(self, job_id: int) -> tuple[bool, str]:
        return True, f"Job {job_id} canceled"

    async def change_priority(self, job_id: int, priority: int) -> tuple[bool, str]:
        return job_id == 1, f"priority {priority}"

    async def resume(self, job_id: int, reason: str) -> tuple[bool, str]:
        return True, f"Job {job_id} goes on: {reason}"

    async def unwind(self, job_id: int, reason: str) -> tuple[bool, str]:
        return True, f"Job {job_id} unwinds: {reason}"

    async def abandon(self, job_id: int, reason: str) -> tuple[bool, str]:
        return False, f"Job {job_id} is not stuck: {reason}"


class House:
    """A door with clients on in-memory transports."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.25)
        registry = Registry([OpcodeKind(opcode=Sleep, plan=lambda _o, _v: ())])
        self.queue = JobQueue(MemoryStore(), registry, self.clock.seconds)
        self.pauses: list[float | None] = []
        desk = Desk(
            jobs=self.queue,
            running=Control(),
            registry=registry,
            answers=PlainAnswers(self.queue),
            clock=self.clock,
            set_watcher_pause=self._pause,
            placement=lambda: {"groups": [], "nodes": []},
            balancing=lambda: {"rules": {}, "state": "off", "rounds": []},
            draw_uuid=lambda: "00000000-0000-4000-8000-000000000001",
        )
        self.factory = DoorFactory(desk, who=lambda _transport: "uid:7")
        self.endpoint = Endpoint(Network(), self.factory)
        self.door = Door(self.endpoint, self.clock)

    async def _pause(self, until: float | None) -> None:
        self.pauses.append(until)

    def ask(self, method: str, *args: Any) -> Any:
        return now(self.door.call(method, *args))

    def begin(self, method: str, *args: Any) -> list[Any]:
        """A call whose answer appears in the list that is returned."""
        answers: list[Any] = []
        Deferred.fromCoroutine(self.door.call(method, *args)).addBoth(answers.append)
        return answers

    def raw(self) -> Raw:
        raw = Raw()
        self.endpoint.connect(raw)
        return raw

    def end(self, job_id: int) -> None:
        """The job succeeds."""
        job = self.queue.job(job_id)
        assert job is not None
        event = Event(kind=Kind.END, opcode=0, time=1001.0, status=Status.SUCCESS, output="fine")
        now(self.queue.append(job, [event]))


class Raw(Protocol):
    """A client that says anything; also its own factory."""

    def __init__(self) -> None:
        self.heard = b""
        self.lost = False

    def buildProtocol(self, _address: Any) -> Raw:
        return self

    def say(self, data: bytes) -> bytes:
        self.heard = b""
        self.transport.write(data)  # type: ignore[union-attr,call-arg]
        return self.heard

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


def sleep(**fields: Any) -> dict[str, Any]:
    return {"OP_ID": "OP_SLEEP", **fields}


def refusal(house: House, method: str, *args: Any) -> tuple[str, str, str]:
    with pytest.raises(RequestFailed) as caught:
        house.ask(method, *args)
    return caught.value.kind, caught.value.message, caught.value.reason
