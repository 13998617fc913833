"""A RAPI in memory: real HTTP client, site, door and queue, and a small cluster.

Nothing carries jobs out here: tests see what was submitted, and end jobs themselves.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from treq import content
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.web.client import Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer
from zope.interface import implementer

from clusterd.doorway.async_client import Door
from clusterd.doorway.desk import Desk
from clusterd.doorway.server import DoorFactory
from clusterd.opcodes import registry
from clusterd.queries.answers import ClusterAnswers
from jobqueue.executor import Executor
from jobqueue.job import Status
from jobqueue.journal import Event, Kind
from jobqueue.opcode import Opcode
from jobqueue.queue import JobQueue
from jobqueue.scheduler import Scheduler
from jobqueue.step import Steps
from jobqueue.store.memory import MemoryStore
from rapi.application import make_site
from rapi.auth import User, parse
from tests.unit.driving import now
from tests.unit.small_cluster import SmallCluster
from tests.unit.wires import Endpoint, Network

USERS, _ = parse(
    [
        "jack secret write",
        "jill {HA1}7c5ab39cf3e3b2d9e9a1f8b1d1ab2f6c write,read",
        "reader pass read",
        "guest guest",
    ]
)
REGISTRY = registry()


class KnownUsers:
    """Users in memory."""

    def find(self, name: str) -> User | None:
        return USERS.get(name)


@implementer(IAgentEndpointFactory)
class OneServer:
    """All addresses lead to one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, _uri: Any) -> Endpoint:
        return self._endpoint


@implementer(IBodyProducer)
class AtOnce:
    """A body that is sent in one piece."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        consumer.write(self._data)
        return succeed(None)

    def stopProducing(self) -> None:
        """Nothing is left."""

    pauseProducing = resumeProducing = stopProducing


class Heard(msgspec.Struct, frozen=True):
    """An answer as a client sees it."""

    status: int
    body: Any
    headers: dict[str, str]
    text: bytes


class RapiHouse:
    """Everything from the HTTP client to the queue."""

    def __init__(self, *, require_authentication: bool = False) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.cluster = SmallCluster()
        self.queue = JobQueue(MemoryStore(), REGISTRY, self.clock.seconds)
        nobody: Any = None
        executor = Executor(self.queue, Steps(()), nobody, self.clock)
        desk = Desk(
            jobs=self.queue,
            running=Scheduler(self.queue, executor, lambda: 0),
            registry=REGISTRY,
            answers=ClusterAnswers(self.cluster.view, self.queue, self._breathe),
            clock=self.clock,
            set_watcher_pause=self._pause,
            placement=lambda: {"groups": [], "nodes": []},
            balancing=lambda: {"rules": {}, "state": "off", "rounds": []},
            draw_uuid=lambda: "00000000-0000-4000-8000-000000000001",
        )
        network = Network(lambda deliver: self.clock.callLater(0, deliver))
        self.doors = DoorFactory(desk, who=lambda _transport: "uid:7")
        self.door = Endpoint(network, self.doors)
        site = make_site(
            Door(self.door, self.clock),
            KnownUsers(),
            self.clock,
            registry=REGISTRY,
            require_authentication=require_authentication,
        )
        self.site = Endpoint(network, site)
        self._site = site
        agent = Agent.usingEndpointFactory(self.clock, OneServer(self.site))
        self._agent = agent

    async def _breathe(self) -> None:
        """Nobody waits for a turn here."""

    async def _pause(self, until: float | None) -> None:
        """Watchers are not asked here."""

    def channel(self) -> Any:
        """The server's end of a connection, not connected yet."""
        return self._site.buildProtocol(None)

    def begin(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: str = "jack",
        password: str = "secret",
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> list[Any]:
        """A request; its answer (``Heard``) appears in the list."""
        sent = dict(headers or {})
        data = raw
        if body is not None:
            data = msgspec.json.encode(body)
            sent.setdefault("Content-Type", "application/json")
        if user:
            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            sent.setdefault("Authorization", f"Basic {token}")
        answers: list[Any] = []

        async def ask() -> Heard:
            response = await self._agent.request(
                method.encode(),
                f"http://cluster{path}".encode(),
                Headers({name: [value] for name, value in sent.items()}),
                None if data is None else AtOnce(data),
            )
            text = await content(response)
            names = {
                name.decode().lower(): values[0].decode()
                for name, values in response.headers.getAllRawHeaders()
            }
            return Heard(response.code, msgspec.json.decode(text) if text else None, names, text)

        Deferred.fromCoroutine(ask()).addBoth(answers.append)
        self.clock.advance(0)
        return answers

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Heard:
        """A request that is answered at once."""
        answers = self.begin(method, path, body, **more)
        assert len(answers) == 1, "no answer yet"
        if not isinstance(answers[0], Heard):
            answers[0].raiseException()
        heard: Heard = answers[0]
        return heard

    def job(self, method: str, path: str, body: Any = None, **more: Any) -> list[Opcode]:
        """The opcodes of the job that a request makes."""
        heard = self.ask(method, path, body, **more)
        assert (heard.status, type(heard.body)) == (200, int), heard
        job = self.queue.job(heard.body)
        assert job is not None
        return list(job.opcodes)

    def end(self, number: int, output: Any = None) -> None:
        """A job succeeds."""
        job = self.queue.job(number)
        assert job is not None
        end = Event(kind=Kind.END, opcode=0, time=1001.5, status=Status.SUCCESS, output=output)
        now(self.queue.append(job, [end]))
        self.clock.advance(0)
