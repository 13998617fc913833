"""What clusterd-store serves: this host's member of the cluster's etcd, as a child process.

Decided here: the child dies with the daemon, is started again when it ends by itself, and the
daemon serves once the member answers. How a member is configured is ``jobqueue.store.etcd_member``.
"""

from __future__ import annotations

from typing import Any

import msgspec
import structlog
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from cli.process import Surroundings
from clusterd import certificates
from clusterd.errors import ClusterError
from clusterd.master.origins import store_identity
from clusterd.settings import Settings
from clusterd.store_members import BEGIN_FILE, Begin
from clusterd.stores import EtcdLink
from jobqueue.store.etcd_member import EtcdMember

LOOK_S = 0.2
AGAIN_S = 1.0
END_S = 10.0
"""After so long a member that was asked to end is killed."""
LINE_BYTES = 2000

log = structlog.get_logger()


class StoreFailed(ClusterError):
    """The store's member on this machine does not run."""

    code = "store_failed"


class _Child(ProcessProtocol):
    def __init__(self, daemon: StoreDaemon) -> None:
        self._daemon = daemon
        self.last = ""

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """What it says goes to the daemon's log."""
        for line in data.decode(errors="replace").splitlines():
            if line.strip():
                self.last = line.strip()[:LINE_BYTES]
                log.info("etcd", text=self.last)

    def processEnded(self, reason: Failure) -> None:
        """It has ended, asked or not."""
        self._daemon.ended(self.last or str(reason.value))


def member_of(settings: Settings) -> EtcdMember:
    """This machine's member."""
    state = settings.state_directory
    return EtcdMember(
        name=settings.node.name,
        host=settings.node.primary_ip,
        client_port=settings.store.client_port,
        peer_port=settings.store.peer_port,
        data=settings.store_data,
        authority=state / certificates.STORE_AUTHORITY_FILE,
        certificate=state / certificates.STORE_FILE,
        key=state / certificates.STORE_KEY_FILE,
    )


class StoreDaemon:
    """Fits ``cli.process.Service``."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._settings = around.settings
        self._reactor: Any = around.reactor
        self._member = member_of(around.settings)
        self._child: Any = None
        self._stopping = False
        self._gone: Deferred[None] = Deferred()
        self._problem = ""

    async def start(self) -> None:
        """Returns once the member answers; raises when it does not in time."""
        if not self._settings.store_data.is_dir():
            raise StoreFailed(
                f"{self._settings.node.name} is no member of the store: there is no"
                f" {self._settings.store_data}",
                subject=self._settings.node.name,
            )
        self._spawn()
        link = EtcdLink(
            self._reactor,
            lambda: store_identity(self._settings.state_directory),
            [self._member.client_url],
        )
        try:
            for _ in range(int(self._settings.timeouts.start_s / LOOK_S)):
                if (await link.gateway.statuses())[self._member.client_url] is not None:
                    return
                await self._pause(LOOK_S)
            raise StoreFailed(f"the store's member does not answer: {self._problem or 'no reason'}")
        finally:
            await link.close()

    async def stop(self) -> None:
        """End the member in order."""
        self._stopping = True
        if self._child is None or self._child.pid is None:
            return
        self._child.signalProcess("TERM")
        killing = self._reactor.callLater(END_S, self._child.signalProcess, "KILL")
        await self._gone
        if killing.active():
            killing.cancel()

    def ended(self, last_words: str) -> None:
        """The member's process has ended."""
        self._child = None
        if self._stopping:
            self._gone.callback(None)
            return
        self._problem = last_words
        log.error("member_ended", text=last_words)
        if "permanently removed" in last_words:
            self._around.end("this member was removed from the store")
            return
        self._reactor.callLater(AGAIN_S, self._spawn)

    def _spawn(self) -> None:
        if self._stopping:
            return
        path = self._settings.state_directory / BEGIN_FILE
        try:
            begin = msgspec.json.decode(path.read_bytes(), type=Begin)
        except (OSError, msgspec.DecodeError) as error:
            raise StoreFailed(f"cannot read {path}: {error}") from None
        peers = {member.name: member.peer_url for member in begin.members}
        words = self._member.command(peers, begin.state, begin.token)
        # it must not outlive this process: another one could not begin beside it
        argv = ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--", *words]
        environment = {"PATH": "/usr/bin:/bin", "GOGC": "50"}
        self._child = self._reactor.spawnProcess(_Child(self), argv[0], argv, environment)

    async def _pause(self, duration_s: float) -> None:
        passed: Deferred[None] = Deferred()
        self._reactor.callLater(duration_s, passed.callback, None)
        await passed
