"""Sockets that lead to a service of another node, through this node's own certificate.

For each peer there is, once asked for, a unix socket ``<run>/peers/<name>.libvirt.sock`` that only
root may open. What connects to it is joined, over TLS to the peer's node daemon, with libvirt
there: so one libvirt can talk to another without keys or a port of its own. Contents of disks go
the same way, over a socket of each stream.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from clusterd.calls.tunnel import Side, join
from clusterd.calls.wire import (
    Endpoint,
    Farewell,
    FrameLink,
    Frames,
    Hello,
    Policy,
    Welcome,
    within,
)
from clusterd.durable import make_directory
from clusterd.errors import ClusterError
from clusterd.node.keep import Keep
from clusterd.world import Clock

LIBVIRT = "libvirt"
STREAM = "stream"
WAY = "way"
"""The services that are relayed; of the second kind there is one a stream, ``stream:TOKEN``, of the
third two for each guest that travels with its disks."""

DIRECTORY = "peers"
WAYS = "ways"
"""The same on all nodes, as libvirt tells both sides one path."""
QEMU_USERS = ("libvirt-qemu", "qemu")
"""Whom guests run as, where not as root: the sockets are made by their own processes."""
PEERS = "node-peers"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


class UnknownPeer(ClusterError):
    """The node does not know that other node."""

    code = "unknown_peer"
    retryable = True


class PeerBook:
    """This node's name and the others' addresses, remembered over restarts."""

    def __init__(self, name: str, keep: Keep) -> None:
        self.name = name
        self._keep = keep
        stored = keep.read(PEERS)
        self._addresses: dict[str, str] = (
            {} if stored is None else msgspec.json.decode(stored, type=dict[str, str])
        )

    def tell(self, addresses: dict[str, str]) -> None:
        """All of them; earlier ones are forgotten."""
        if addresses != self._addresses:
            self._keep.write(PEERS, msgspec.json.encode(dict(sorted(addresses.items()))))
            self._addresses = dict(addresses)

    def address(self, name: str) -> str:
        """Raises UnknownPeer."""
        found = self._addresses.get(name)
        if found is None:
            raise UnknownPeer(
                f"the address of node {name} is not known here yet; the master tells it when the"
                " cluster's nodes change",
                subject=name,
            )
        return found


class RelaySockets:
    """The sockets of this node. Invariant: one a peer and service, listened on since it was first
    asked for."""

    def __init__(
        self,
        run: Path,
        book: PeerBook,
        endpoint: Callable[[str, str], Endpoint],
        reactor: Any,
        log: Any,
        policy: Policy,
    ) -> None:
        self._directory = run / DIRECTORY
        self._ways = run / WAYS
        self._book = book
        self._endpoint = endpoint
        self._reactor = reactor
        self._log = log
        self._policy = policy
        self._ports: dict[tuple[str, str], Any] = {}

    async def stream_socket(self, target: str, token: str) -> str:
        """The path of the socket that leads to a stream that ``target`` accepted; raises
        UnknownPeer."""
        self._check(target)
        path = self._directory / f"{token}.sock"
        self._listen((target, f"{STREAM}:{token}"), path)
        return str(path)

    async def drop_stream(self, target: str, token: str) -> None:
        """That socket is gone; what is joined already stays so."""
        port = self._ports.pop((target, f"{STREAM}:{token}"), None)
        if port is not None:
            await port.stopListening()

    async def expect_guest(self, uuid: str) -> None:
        """See ``hypervisors.plugins.PeerSockets``."""
        for path in self._way_paths(uuid):
            path.unlink(missing_ok=True)

    async def ways(self, target: str, uuid: str) -> tuple[str, str]:
        """See ``PeerSockets``."""
        self._check(target)
        memory, disks = self._way_paths(uuid)
        for path in (memory, disks):
            self._listen((target, f"{WAY}:{path.name}"), path)
            path.chmod(0o666)  # QEMU need not be root, and nobody else may enter the directory
        return str(memory), str(disks)

    async def end_ways(self, target: str, uuid: str) -> None:
        """See ``PeerSockets``."""
        for path in self._way_paths(uuid):
            port = self._ports.pop((target, f"{WAY}:{path.name}"), None)
            if port is not None:
                await port.stopListening()

    def way_path(self, name: str) -> Path | None:
        """Where QEMU waits for the memory or the disks of a guest."""
        path = self._ways / name
        return path if _NAME.match(name) and path.exists() else None

    def _way_paths(self, uuid: str) -> tuple[Path, Path]:
        make_directory(self._ways, 0o700)
        for user in QEMU_USERS:
            with contextlib.suppress(LookupError, PermissionError):
                shutil.chown(self._ways, user)
                break
        return self._ways / f"{uuid}.m", self._ways / f"{uuid}.d"

    async def libvirt_socket(self, target: str) -> str:
        """The path of the socket that leads to libvirt on node ``target``; raises UnknownPeer."""
        self._check(target)
        path = self._directory / f"{target}.{LIBVIRT}.sock"
        if (target, LIBVIRT) not in self._ports or not path.exists():
            self._listen((target, LIBVIRT), path)
        return str(path)

    async def close(self) -> None:
        """Listen no more; what is joined already stays so."""
        for towards in sorted(self._ports):
            await self._ports.pop(towards).stopListening()

    def _check(self, target: str) -> None:
        self._book.address(target)
        if not _NAME.match(target):
            raise UnknownPeer(f"'{target}' is not the name of a node", subject=target)

    def _listen(self, towards: tuple[str, str], path: Path) -> None:
        if path.parent == self._directory:
            make_directory(self._directory, 0o700)
        path.unlink(missing_ok=True)
        factory = Factory.forProtocol(lambda: _Entry(self, towards))
        factory.noisy = False
        self._ports[towards] = self._reactor.listenUNIX(str(path), factory, mode=0o600)

    def open(self, towards: tuple[str, str], side: Side) -> None:
        """Somebody connected: lead them to that service of that node."""
        opening = Deferred.fromCoroutine(self._opened(*towards, side))
        opening.addErrback(self._failed, towards[0], side)

    async def _opened(self, target: str, service: str, side: Side) -> None:
        hello = Hello(purpose="relay", name=self._book.name, node=target, service=service)
        link = RelayLink(hello, self._reactor, self._policy, side)
        endpoint = self._endpoint(target, self._book.address(target))
        connecting = endpoint.connect(Factory.forProtocol(lambda: link))
        await within(connecting, self._policy.connect_s, self._reactor)
        notice_death(link.transport)
        try:
            await within(link.joined, self._policy.connect_s, self._reactor)
        except BaseException:
            link.abort()
            raise

    def _failed(self, failure: Failure, target: str, side: Side) -> None:
        self._log.warning(
            "relay failed", node=self._book.name, peer=target, why=failure.getErrorMessage()
        )
        side.close()


def notice_death(transport: Any) -> None:
    """A relay has no pulse of its own: the kernel finds out that its peer is gone."""
    plain = getattr(transport, "transport", transport)
    handle = plain.getHandle() if hasattr(plain, "getHandle") else None
    if not isinstance(handle, socket.socket) or handle.family == socket.AF_UNIX:
        return
    for level, option, value in (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
    ):
        handle.setsockopt(level, option, value)


class _Entry(Side):
    """A local connection on its way to a peer."""

    def __init__(self, sockets: RelaySockets, towards: tuple[str, str]) -> None:
        super().__init__()
        self._sockets = sockets
        self._towards = towards

    def connectionMade(self) -> None:
        super().connectionMade()
        self._sockets.open(self._towards, self)


class RelayLink(FrameLink):
    """The asking end of a relay; joined with ``side`` once the peer says Welcome."""

    def __init__(self, hello: Hello, clock: Clock, policy: Policy, side: Side) -> None:
        super().__init__(clock, policy)
        self._hello = hello
        self._side = side
        self.joined: Deferred[None] = Deferred()

    def begun(self) -> None:
        self.send(self._hello)

    def received(self, frame: Frames) -> None:
        if isinstance(frame, Welcome):
            join(self, self._side)
            if not self.joined.called:
                self.joined.callback(None)
        elif isinstance(frame, Farewell):
            self.close()
        else:
            self.close("bad_frame", f"'{type(frame).__name__}' is out of place here")

    def ended(self, why: str) -> None:
        if not self.joined.called:
            self.joined.errback(ConnectionLost(why))
