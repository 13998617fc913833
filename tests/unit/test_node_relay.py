"""Relays between two nodes, over real TLS on loopback."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import endpoints
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

from clusterd.node.relay import UnknownPeer
from tests.unit.tls_rig import Cluster, RealNode, in_cluster
from tests.waiting import pause, reactor


class Echo(Protocol):
    """Stands for libvirt: answers each byte, and says when a client has gone."""

    gone: Deferred[None]
    transport: Any

    def connectionMade(self) -> None:
        # reads no more than it can answer
        self.transport.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.transport.unregisterProducer()
        if not self.gone.called:
            self.gone.callback(None)


class Collect(Protocol):
    """A client of a relay."""

    transport: Any

    def __init__(self) -> None:
        self.data = bytearray()
        self.wanted = 0
        self.enough: Deferred[None] = Deferred()
        self.lost: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if len(self.data) >= self.wanted and not self.enough.called:
            self.enough.callback(None)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(None)


async def relay(cluster: Cluster, *, service: bool = True) -> tuple[RealNode, RealNode, Any]:
    """Two nodes that know each other, and something at the second one's libvirt socket."""
    one, two = await cluster.node("n1"), await cluster.node("n2")
    Echo.gone = Deferred()
    path = cluster.place / "libvirt-sock"
    port = None
    if service:
        port = reactor.listenUNIX(str(path), Factory.forProtocol(Echo))
        cluster._ends.append(port.stopListening)
    target: Any = endpoints.UNIXClientEndpoint(reactor, str(path))  # type: ignore[no-untyped-call]
    two.service.offer("libvirt", target)
    one.machine.book.tell({"n2": two.address})
    return one, two, port


async def enter(path: str) -> Collect:
    endpoint: Any = endpoints.UNIXClientEndpoint(reactor, path)  # type: ignore[no-untyped-call]
    made: Collect = await endpoint.connect(Factory.forProtocol(Collect))
    return made


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Short: a unix socket's path has 108 bytes, and pytest's own directories use them up."""
    with tempfile.TemporaryDirectory(prefix="relay") as directory:
        yield Path(directory)


def test_a_relay_copies_bytes_both_ways(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        one, _two, _port = await relay(cluster)
        path = await one.machine.peer_sockets.libvirt_socket("n2")
        assert path == str(one.settings.run_directory / "peers" / "n2.libvirt.sock")
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        sent = os.urandom(8 * 1024 * 1024)
        clients = [await enter(path) for _ in range(2)]
        for client in clients:
            client.wanted = len(sent)
            client.transport.write(sent)
        for client in clients:
            await client.enough
            assert bytes(client.data) == sent
        assert await one.machine.peer_sockets.libvirt_socket("n2") == path

    in_cluster(tmp_path, story)


def test_a_relay_ends_when_either_side_ends(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        one, two, _port = await relay(cluster)
        client = await enter(await one.machine.peer_sockets.libvirt_socket("n2"))
        client.wanted = 4
        client.transport.write(b"ping")
        await client.enough
        client.transport.loseConnection()
        await Echo.gone
        Echo.gone = Deferred()
        again = await enter(await one.machine.peer_sockets.libvirt_socket("n2"))
        again.wanted = 4
        again.transport.write(b"ping")
        await again.enough
        two.service.stop()
        await again.lost
        await Echo.gone

    in_cluster(tmp_path, story)


def test_a_slow_reader_slows_the_sender(tmp_path: Path) -> None:
    """What nobody takes is not heaped up in the daemons between."""

    async def story(cluster: Cluster) -> None:
        one, _two, _port = await relay(cluster)
        client = await enter(await one.machine.peer_sockets.libvirt_socket("n2"))
        client.transport.pauseProducing()
        written = 0

        class Source:
            """Writes as long as it is let."""

            stopped = False

            def resumeProducing(self) -> None:
                nonlocal written
                if written < 64 * 1024 * 1024:
                    written += 65536
                    client.transport.write(bytes(65536))

            def stopProducing(self) -> None:
                self.stopped = True

        source = Source()
        client.transport.registerProducer(source, False)
        halted = -1
        while halted != written:
            halted = written
            await pause(0.5)
        assert 0 < halted < 32 * 1024 * 1024
        client.wanted = halted
        client.transport.resumeProducing()
        await client.enough
        client.transport.unregisterProducer()
        client.transport.abortConnection()
        await client.lost

    in_cluster(tmp_path, story)


def test_a_relay_to_a_dead_service_closes(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        one, _two, _port = await relay(cluster, service=False)
        client = await enter(await one.machine.peer_sockets.libvirt_socket("n2"))
        await client.lost
        (entry,) = [seen for seen in one.log.entries if seen["event"] == "relay failed"]
        assert "libvirt-sock" in entry["why"] or "No such file" in entry["why"]

    in_cluster(tmp_path, story)


def test_an_unknown_peer_has_no_socket(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        node = await cluster.node("n1")
        for name in ("n2", "../../etc/x"):
            with pytest.raises(UnknownPeer):
                await node.machine.peer_sockets.libvirt_socket(name)
        node.machine.book.tell({"../x": "127.0.0.1"})
        with pytest.raises(UnknownPeer):
            await node.machine.peer_sockets.libvirt_socket("../x")

    in_cluster(tmp_path, story)


def test_a_socket_that_a_dead_daemon_left_is_replaced(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        one, _two, _port = await relay(cluster)
        left = one.settings.run_directory / "peers" / "n2.libvirt.sock"
        left.parent.mkdir()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(left))
        client = await enter(await one.machine.peer_sockets.libvirt_socket("n2"))
        client.wanted = 4
        client.transport.write(b"ping")
        await client.enough
        left.unlink()
        again = await enter(await one.machine.peer_sockets.libvirt_socket("n2"))
        again.transport.loseConnection()

    in_cluster(tmp_path, story)


def test_a_guest_that_travels_has_two_ways(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        one, two, _port = await relay(cluster)
        uuid = "11111111-2222-4333-8444-555555555555"
        await two.machine.peer_sockets.expect_guest(uuid)
        waiting = two.settings.run_directory / "ways" / f"{uuid}.m"
        factory = Factory.forProtocol(Echo)
        Echo.gone = Deferred()
        listening = reactor.listenUNIX(str(waiting), factory)
        memory, disks = await one.machine.peer_sockets.ways("n2", uuid)
        assert memory == str(one.settings.run_directory / "ways" / f"{uuid}.m")
        client = await enter(memory)
        client.wanted = 5
        client.transport.write(b"hello")
        await client.enough
        assert bytes(client.data) == b"hello"
        client.transport.loseConnection()
        nobody = await enter(disks)
        await nobody.lost
        await one.machine.peer_sockets.end_ways("n2", uuid)
        assert memory not in map(str, one.settings.run_directory.rglob("*"))
        await listening.stopListening()

    in_cluster(tmp_path, story)
