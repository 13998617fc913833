"""Node daemons on loopback with real TLS, sockets, threads and files."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import structlog
from structlog.testing import LogCapture

from clusterd import certificates
from clusterd.calls import tls
from clusterd.calls.client import Commander
from clusterd.calls.links import Links
from clusterd.calls.wire import Policy
from clusterd.certificates import KeyPair, Subject
from clusterd.node.compose import build_node
from clusterd.node.machine import Machine
from clusterd.node.service import NodeService
from clusterd.settings import Settings
from storage.memory import MemoryBackend
from storage.shelf import Shelf
from tests.unit.call_rig import Listener, Numbers
from tests.waiting import pause, reactor, run

POLICY = Policy(connect_s=10.0, first_pause_s=0.2)


class RealNode:
    """A node daemon with everything real but storage, below a directory of its own."""

    def __init__(self, place: Path, name: str, authority: KeyPair) -> None:
        self.name = name
        self.ended = False
        self.log = LogCapture()
        text = f"""
            [cluster]
            name = "cl"
            uuid = "cluster-uuid"
            [node]
            name = "{name}"
            bind_address = "127.0.0.1"
            port = 1
            [timeouts]
            connect_s = 10.0
        """
        settings = Settings.parse(text, source="test", root=str(place / name))
        self.settings = msgspec.structs.replace(
            settings, node=msgspec.structs.replace(settings.node, port=0)
        )
        self.settings.state_directory.mkdir(parents=True)
        self.certify(authority, Subject(name=name))
        log = structlog.wrap_logger(structlog.PrintLogger(), processors=[self.log])
        self.machine = Machine(self.settings, reactor, log, self._end)
        self.service: NodeService
        self.port = 0

    def certify(self, authority: KeyPair, subject: Subject) -> None:
        pair = certificates.issue_node(authority, subject, time.time())
        certificates.write_node(self.settings.state_directory, pair)
        (self.settings.state_directory / "ca.pem").write_bytes(authority.certificate)

    async def start(self) -> None:
        self.machine.start()
        shelf = Shelf(self.name, {"memory": 10_000})
        self.service = build_node(self.machine.equipment(), {"memory": MemoryBackend(shelf)}, {})
        self.port = await self.machine.listen(self.service)
        self.service.start()

    async def stop(self) -> None:
        self.service.stop()
        await pause(0.05)
        await self.machine.stop()

    def _end(self) -> None:
        self.ended = True

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


class Cluster:
    """An authority, nodes, and links of a master."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.authority = certificates.make_authority("cl", time.time())
        self.listener = Listener()
        self._ends: list[Callable[[], Any]] = []

    async def node(self, name: str) -> RealNode:
        made = RealNode(self.place, name, self.authority)
        await made.start()
        self._ends.append(made.stop)
        return made

    def identity(self, subject: Subject, authority: KeyPair | None = None) -> tls.Identity:
        pair = certificates.issue_node(authority or self.authority, subject, time.time())
        return tls.Identity(
            certificate=pair.certificate, key=pair.key, authority=self.authority.certificate
        )

    def links(self, identity: tls.Identity, name: str = "m1", policy: Policy = POLICY) -> Links:
        made = Links(
            Commander(name, lambda: 1),
            tls.node_endpoints(reactor, lambda: identity, timeout_s=policy.connect_s),
            reactor,
            Numbers("fresh"),
            self.listener,
            policy,
        )

        async def end() -> None:
            made.close()
            await pause(0.05)

        self._ends.append(end)
        return made

    async def close(self) -> None:
        for end in reversed(self._ends):
            await end()


MASTER = Subject(name="m1", role="master-candidate")


def in_cluster(place: Path, story: Callable[[Cluster], Any]) -> None:
    async def whole() -> None:
        cluster = Cluster(place)
        try:
            await story(cluster)
        finally:
            await cluster.close()

    run(whole)
