"""A master's links and nodes in one process, over the pretended network and clock."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import structlog
from structlog.testing import LogCapture
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from clusterd.calls.client import Commander
from clusterd.calls.links import Links
from clusterd.calls.server import NodeFactory, Peer
from clusterd.calls.wire import Policy
from clusterd.node.blocking import InlineThreads
from clusterd.node.compose import build_node
from clusterd.node.equipment import Equipment
from clusterd.node.keep import MemoryKeep
from clusterd.node.service import NodeService
from clusterd.observation import Glimpse, Observation
from clusterd.simulation.clock import Clock
from clusterd.simulation.network import Network
from clusterd.verbs.errors import StreamBroken
from clusterd.verbs.host import Places, Script, ScriptEnd
from clusterd.world import StreamEnd
from storage.interface import USUAL, Output, Surroundings
from storage.memory import MemoryBackend
from storage.shelf import Shelf
from storage.volume import Template, Volume

T = TypeVar("T")
MASTER = "m1"
POLICY = Policy()


def volume(uuid: str = "v1", size_mib: int = 1024) -> Volume:
    """A volume of the memory backend."""
    return Volume(
        template=Template.MEMORY,
        uuid=uuid,
        pool="memory",
        name=f"{uuid}.disk0",
        size_mib=size_mib,
        owner="i1",
        label="inst1",
    )


class Gates(MemoryBackend):
    """A backend whose ``ensure`` waits until the test says go; tells what it did."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(shelf)
        self.begun: list[str] = []
        self.shut = False
        self.waiting: list[Deferred[None]] = []
        self.trouble: Exception | None = None

    async def ensure(self, volume: Volume) -> None:
        self.begun.append(volume.uuid)
        if self.shut:
            gate: Deferred[None] = Deferred()
            self.waiting.append(gate)
            await gate
        if self.trouble is not None:
            raise self.trouble
        await super().ensure(volume)

    def go(self) -> None:
        """Let the one that waited longest through."""
        self.waiting.pop(0).callback(None)


class Quiet:
    """Scripts and commands that do nothing, and say what they were given."""

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self.end = ScriptEnd(code=0, output="")

    async def run_script(self, script: Script) -> ScriptEnd:
        self.scripts.append(script)
        return self.end

    async def run(
        self,
        *argv: str,
        timeout_s: float = 60.0,
        check: bool = True,
        stdin: str | None = None,
        around: Surroundings = USUAL,
    ) -> Output:
        return Output(code=0, stdout="", stderr="")

    async def read(self, path: str) -> str:
        return ""


class QuietScripts:
    """The scripts of ``Quiet``."""

    def __init__(self, quiet: Quiet) -> None:
        self._quiet = quiet

    async def run(self, script: Script) -> ScriptEnd:
        return await self._quiet.run_script(script)


class NoStreams:
    """Takes no contents of disks."""

    async def accept(self, token: str, end: StreamEnd, script: Script | None) -> None:
        raise StreamBroken("nothing is taken")

    async def send(
        self,
        towards: tuple[str, str],
        end: StreamEnd,
        script: Script | None,
        compress: str,
        say: Callable[[str], None],
    ) -> int:
        raise StreamBroken("nothing is sent")

    async def stop(self, place: str) -> None:
        """There is nothing."""


class NoPeers:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}

    def tell(self, addresses: dict[str, str]) -> None:
        self.told = addresses


class PretendedNode:
    """A node that can die and come back with its state directory."""

    def __init__(self, name: str, clock: Clock, network: Network, place: Path) -> None:
        self.name = name
        self.keep = MemoryKeep()
        self.storage = Gates(Shelf(name, {"memory": 100_000}))
        self.log = LogCapture()
        self.quiet = Quiet()
        self.peers = NoPeers()
        self.role = "master-candidate"
        self.ended = False
        self._clock = clock
        self._network = network
        self._place = place
        self._lives = 0
        self.service: NodeService
        self.factory: NodeFactory
        self.boot()

    def boot(self) -> None:
        """The daemon starts."""
        self._lives += 1
        life = self._lives
        self.service = build_node(self.equipment(), {"memory": self.storage}, {})
        self.factory = self.service.factory(self._identify, POLICY)
        self._network.listen(self.name, self.factory, lambda: self._lives == life)
        self.service.start()

    def die(self) -> None:
        """The daemon is gone, without a word."""
        self._lives += 1
        self.service.observer.stop()

    def equipment(self) -> Equipment:
        """What it is made of."""
        return Equipment(
            name=self.name,
            cluster_name="cl",
            cluster_uuid="cluster-uuid",
            places=Places(
                config=self._place / "etc",
                state=self._place / "lib",
                run=self._place / "run",
                log=self._place / "log",
                hooks=(self._place / "hooks-a", self._place / "hooks-b"),
                oses=(self._place / "os",),
                exports=(self._place / "export",),
                networks=self._place / "net",
                drbd=self._place / "drbd",
            ),
            clock=self._clock,
            keep=self.keep,
            commands=self.quiet,
            scripts=QuietScripts(self.quiet),
            threads=InlineThreads(),
            streams=NoStreams(),
            peers=self.peers,
            reach=_reach,
            end=self._end,
            log=structlog.wrap_logger(structlog.PrintLogger(), processors=[self.log]),
            boot_id="boot-1",
        )

    def _identify(self, transport: Any) -> Peer:
        return Peer(transport.getPeer(), self.role)

    def _end(self) -> None:
        self.ended = True


async def _reach(address: str, port: int, timeout_s: float) -> str:
    return "refused" if address.endswith(".9") else ""


class Listener:
    """Hears of links and remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, ...]] = []
        self.observations: list[Observation] = []

    def shown(self, node: str, glimpse: Glimpse) -> None:
        self.events.append(("shown", node, glimpse.name))

    def sighted(self, node: str, observation: Observation) -> None:
        self.observations.append(observation)

    def connected(self, node: str) -> None:
        self.events.append(("up", node))

    def disconnected(self, node: str, why: str) -> None:
        self.events.append(("down", node, why))

    def deposed(self, node: str, why: str) -> None:
        self.events.append(("deposed", node, why))


class Numbers:
    """A source of identities that repeats itself in each test."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def uuid(self) -> str:
        return self._prefix

    def token(self, length_bytes: int) -> str:
        return "0" * 2 * length_bytes

    def below(self, bound: int) -> int:
        return 0


class CallRig:
    """One master, any number of nodes."""

    def __init__(self, place: Path) -> None:
        self.clock = Clock()
        self.network = Network(self.clock)
        self.listener = Listener()
        self.epoch = 5
        self._place = place
        self.nodes: dict[str, PretendedNode] = {}
        self.links = self.master(MASTER, lambda: self.epoch)

    def master(self, name: str, epoch: Callable[[], int], listener: Any = None) -> Links:
        """The links of another master."""
        return Links(
            Commander(name, epoch),
            lambda node, address: self.network.endpoint(name, address, lambda: True),
            self.clock,
            Numbers(f"fresh-{name}"),
            listener or self.listener,
            POLICY,
        )

    def add(self, name: str) -> PretendedNode:
        """A node, linked."""
        node = PretendedNode(name, self.clock, self.network, self._place / name)
        self.nodes[name] = node
        self.links.connect(name, name)
        self.clock.run(0.5)
        return node

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> list[Any]:
        """Let it run; its result, value or error, appears in the list."""
        results: list[Any] = []

        def take(result: Any) -> None:
            results.append(result.value if isinstance(result, Failure) else result)

        Deferred.fromCoroutine(coroutine).addBoth(take)
        return results

    def wait(self, coroutine: Coroutine[Any, Any, T], for_s: float = 60.0) -> T:
        """Its result, time passing meanwhile."""
        results = self.begin(coroutine)
        assert self.clock.run_until(lambda: bool(results), for_s), "nothing came of it"
        if isinstance(results[0], BaseException):
            raise results[0]
        value: T = results[0]
        return value
