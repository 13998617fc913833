"""The life of a daemon's process: lock, log, start, serve, orderly end. The same for all three.

Decided here: which failure becomes which exit code, and that a daemon which cannot start says one
sentence. What it serves is built by the composing file.
"""

from __future__ import annotations

import os
import pwd
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError

from cli import loading
from cli.detach import Tell, detach
from cli.exits import Exit
from cli.logs import LogFile, begin
from clusterd.errors import ClusterError, NoCluster, NotMaster
from clusterd.pidfile import PidFile
from clusterd.settings import Settings
from hypervisors.errors import HypervisorError
from jobqueue.errors import JobQueueError
from storage.errors import StorageError

TOLD_IN_A_SENTENCE = (
    ClusterError,
    JobQueueError,
    StorageError,
    HypervisorError,
    CannotListenError,
    OSError,
)
log = structlog.get_logger()


class Service(Protocol):
    """What a daemon serves."""

    async def start(self) -> None:
        """Returns once it serves; raises when it cannot."""

    async def stop(self) -> None:
        """Finish what must be finished; also called when ``start`` failed half-way."""


class Surroundings(msgspec.Struct, frozen=True):
    """What a composing function is given."""

    reactor: Any
    settings: Settings
    end: Callable[[str], None]
    """Ends the daemon with a reason: it must not go on (deposed, store gone)."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One of the daemons."""

    name: str
    user: str = ""
    """Whom it becomes when started by root; empty: nobody else."""
    build: Callable[[Surroundings], Service]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How it was called."""

    foreground: bool = False
    debug: bool = False
    quiet: bool = False
    """In the foreground: events go to the log only."""


class Process:
    """The daemon inside the reactor. Told once: it serves, or why not."""

    def __init__(self, kind: Kind, settings: Settings, reactor: Any, tell: Tell) -> None:
        self.code = 0
        self._kind = kind
        self._settings = settings
        self._reactor = reactor
        self._tell = tell
        self._service: Service | None = None
        self._starting: Deferred[None] | None = None
        self._ending = False

    def begin(self) -> None:
        """Called when the reactor runs."""
        self._reactor.addSystemEventTrigger("before", "shutdown", self._finish)
        self._starting = Deferred.fromCoroutine(self._start())

    def end(self, reason: str) -> None:
        """Give up: what is served may not be served any more."""
        log.error("ended", reason=reason)
        self.code = Exit.FAILURE
        self._stop_reactor()

    async def _start(self) -> None:
        surroundings = Surroundings(self._reactor, self._settings, self.end)
        try:
            self._service = self._kind.build(surroundings)
            loading.end()
            await self._service.start()
        except Exception as error:
            # whatever it is, it is told, and nothing hangs
            self.code = exit_code(error)
            log.error("start_failed", exc_info=error)
            self._tell(sentence(error, self._settings, self._kind.name), self.code)
            self._stop_reactor()
            return
        log.info("serving", pid=os.getpid())
        self._tell("", 0)

    def _stop_reactor(self) -> None:
        if not self._ending:
            self._ending = True
            self._reactor.stop()

    def _finish(self) -> Deferred[None]:
        self._ending = True
        finished = Deferred.fromCoroutine(self._stop())
        return finished.addTimeout(self._settings.timeouts.stop_s, self._reactor).addErrback(
            lambda failure: log.error("stop_failed", text=failure.getTraceback())
        )

    async def _stop(self) -> None:
        log.info("stopping")
        if self._starting is not None and not self._starting.called:
            self._starting.cancel()
        if self._service is not None:
            await self._service.stop()
        log.info("stopped")


def run(kind: Kind, settings: Settings, options: Options, reactor: Callable[[], Any]) -> int:
    """Be the daemon, here or detached; the exit code."""
    if options.foreground:
        return serve(kind, settings, options, reactor, _tell_starter)
    return detach(
        lambda tell: serve(kind, settings, options, reactor, tell),
        settings.timeouts.start_s,
        kind.name,
    )


def serve(
    kind: Kind, settings: Settings, options: Options, make_reactor: Callable[[], Any], tell: Tell
) -> int:
    """Take the lock, open the log, run the reactor until it ends."""
    # what is secret is written with a mode of its own; directories are for all daemons' users
    os.umask(0o022)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        lock = PidFile.take(settings.pid_path(kind.name))
        file = LogFile(
            settings.log_path(kind.name), 2 if options.foreground and not options.quiet else None
        )
        begin(kind.name, settings.node.name, file, debug=options.debug)
        become(kind.user, file)
    except (ClusterError, OSError) as error:
        tell(sentence(error, settings, kind.name), exit_code(error))
        return exit_code(error)
    try:
        reactor = make_reactor()
    except Exception as error:
        # it loads modules, so anything may be wrong with the installation
        log.error("start_failed", exc_info=error)
        tell(sentence(error, settings, kind.name), exit_code(error))
        return exit_code(error)
    process = Process(kind, settings, reactor, tell)
    reactor.callWhenRunning(process.begin)
    signal.signal(signal.SIGHUP, lambda number, frame: reactor.callFromThread(file.reopen))
    reactor.run()
    log.info("ended", code=process.code)
    lock.release()
    return process.code


def become(user: str, file: LogFile) -> None:
    """Give up root's rights for those of ``user``; the log goes with it."""
    if not user or os.geteuid() != 0:
        return
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        log.warning("no_such_user", user=user, advice="create it; until then this runs as root")
        return
    file.owned_by(account.pw_uid, account.pw_gid)
    os.initgroups(user, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    for directory in (Path(__file__).parent, Path(sys.prefix)):
        # modules are still to be loaded from there
        if not os.access(directory, os.R_OK | os.X_OK):
            raise ClusterError(
                f"user {user} may not read the program in {directory}: install clusterd where every"
                " user may read it, or open that directory and those above it (chmod o+rx)"
            )


def exit_code(error: BaseException) -> int:
    """As Ganeti's daemons: 5 outside of a cluster, 11 on a node that is not the master."""
    if isinstance(error, NoCluster):
        return Exit.NOT_CLUSTER
    return Exit.NOT_MASTER if isinstance(error, NotMaster) else Exit.FAILURE


def sentence(error: BaseException, settings: Settings, daemon: str) -> str:
    """What went wrong, for people."""
    if isinstance(error, TOLD_IN_A_SENTENCE):
        return f"{daemon} cannot start: {error}"
    return (
        f"{daemon} cannot start: unexpected {type(error).__name__}: {error}; the traceback is in"
        f" {settings.log_path(daemon)}"
    )


def _tell_starter(problem: str, code: int) -> None:
    if problem:
        print(problem, file=sys.stderr)
        return
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        notify.sendto(b"READY=1", address)
