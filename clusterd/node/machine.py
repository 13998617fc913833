"""What only a real host has: threads, scripts, TLS, sockets, files.

The reactor is handed in; which one it is, is decided by whoever starts the daemon:

    machine = Machine(settings, reactor, log, end)
    machine.start()
    node = build_node(machine.equipment(), backends, drivers)
    await machine.listen(node)
    node.start()
    ...
    node.stop()
    await machine.stop()

Plugins are made between ``start`` and ``build_node``, with the machine's ``commands``, ``threads``
and ``peer_sockets``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import endpoints
from twisted.internet.protocol import Factory, Protocol
from twisted.python.threadpool import ThreadPool

from clusterd import names
from clusterd.calls import tls
from clusterd.calls.wire import Endpoint, Policy, reason, within
from clusterd.durable import make_directory
from clusterd.node.blocking import ThreadedScripts
from clusterd.node.equipment import Equipment
from clusterd.node.keep import FileKeep
from clusterd.node.relay import LIBVIRT, STREAM, WAY, PeerBook, RelaySockets
from clusterd.node.service import NodeService
from clusterd.node.streams import NodeStreams
from clusterd.pooled import PooledThreads
from clusterd.settings import Settings
from clusterd.verbs.host import Places
from storage.commands import ThreadedCommands

MOST_THREADS = 32
MOST_SCRIPTS = 64
"""Scripts that run at a time; further ones wait. A create script may take hours."""

LEAVE_S = 1.0
"""Between the answer to ``leave`` and the end of the daemon."""

LIBVIRT_SOCKETS = ("/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_endpoints: Any = endpoints
"""Without types: zope's interfaces are none to the type checker."""


class Machine:
    """What a real host offers. ``end`` stops the daemon."""

    def __init__(self, settings: Settings, reactor: Any, log: Any, end: Callable[[], None]) -> None:
        self._settings = settings
        self.reactor = reactor
        self._log = log
        self._end = end
        self._pools = (
            ThreadPool(0, MOST_THREADS, "work"),
            ThreadPool(0, MOST_SCRIPTS, "scripts"),
        )
        self._ports: list[Any] = []
        self.policy = Policy(connect_s=settings.timeouts.connect_s)
        self.keep = FileKeep(settings.state_directory)
        self.book = PeerBook(settings.node.name, self.keep)
        self.threads = PooledThreads(reactor, self._pools[0])
        self.commands = ThreadedCommands(self.threads)
        """For plugins and verbs."""

        slow = PooledThreads(reactor, self._pools[1])
        self.scripts = ThreadedScripts(slow)
        self.peer_sockets = RelaySockets(
            settings.run_directory,
            self.book,
            tls.node_endpoints(reactor, self._identity, port=settings.node.port),
            reactor,
            log,
            self.policy,
        )
        """For the hypervisor driver: ``libvirt_socket``."""
        self.streams = NodeStreams(
            settings.node.name, settings.run_directory, self.peer_sockets, self.scripts, slow,
            reactor,
        )  # fmt: skip

    def start(self) -> None:
        """Begin with threads and directories; before anything is asked of ``threads``."""
        for directory in (self._settings.run_directory, self._settings.log_directory):
            make_directory(directory)
        make_directory(self._settings.state_directory, 0o711)
        for pool in self._pools:
            pool.start()

    def equipment(self) -> Equipment:
        """For ``build_node``."""
        settings = self._settings
        return Equipment(
            name=settings.node.name,
            cluster_name=settings.cluster.name,
            cluster_uuid=settings.cluster.uuid,
            places=Places(
                config=settings.config_directory,
                state=settings.state_directory,
                run=settings.run_directory,
                log=settings.log_directory,
                exports=(settings.export_directory, *map(Path, names.FOREIGN_EXPORTS)),
                prefix=settings.root,
            ),
            clock=self.reactor,
            keep=self.keep,
            commands=self.commands,
            scripts=self.scripts,
            threads=self.threads,
            streams=self.streams,
            peers=self.book,
            reach=self._reach,
            end=lambda: self.reactor.callLater(LEAVE_S, self._end),
            log=self._log,
            boot_id=BOOT_ID.read_text("utf-8").strip(),
            port=settings.node.port,
        )

    async def listen(self, node: NodeService) -> int:
        """Take links for ``node``; answers the TCP port. Relays lead to this host's libvirt."""
        settings = self._settings
        node.offer(LIBVIRT, _endpoints.UNIXClientEndpoint(self.reactor, _libvirt_socket()))
        node.offer_each(STREAM, lambda token: self._local(self.streams.path_of(token)))
        node.offer_each(WAY, lambda name: self._local(self.peer_sockets.way_path(name)))
        options = tls.ServerOptions(self._identity)
        factory = options.wrapped(node.factory(tls.identify, self.policy), self.reactor)
        address = settings.node.bind_address
        six = ":" in address
        kind = _endpoints.TCP6ServerEndpoint if six else _endpoints.TCP4ServerEndpoint
        endpoint = kind(self.reactor, settings.node.port, interface=address)
        port = await endpoint.listen(factory)
        self._ports.append(port)
        return int(port.getHost().port)

    async def stop(self) -> None:
        """Take no more links, kill scripts, wait for what runs in threads."""
        for port in self._ports:
            await port.stopListening()
        await self.peer_sockets.close()
        self.streams.close()
        self.scripts.kill_all()
        for pool in self._pools:
            pool.stop()

    def _local(self, path: Path | None) -> Endpoint | None:
        if path is None:
            return None
        found: Endpoint = _endpoints.UNIXClientEndpoint(self.reactor, str(path))
        return found

    def _identity(self) -> tls.Identity:
        return tls.read_identity(self._settings.state_directory)

    async def _reach(self, address: str, port: int, timeout_s: float) -> str:
        endpoint = _endpoints.HostnameEndpoint(self.reactor, address, port, timeout=timeout_s)
        try:
            protocol = await within(
                endpoint.connect(Factory.forProtocol(Protocol)), timeout_s, self.reactor
            )
        # whatever goes wrong is the finding
        except Exception as error:  # noqa: BLE001
            return reason(error)
        protocol.transport.abortConnection()
        return ""


def _libvirt_socket() -> str:
    found = [path for path in LIBVIRT_SOCKETS if Path(path).exists()]
    return found[0] if found else LIBVIRT_SOCKETS[-1]
