"""What a verb may touch on its node: one object, given as the first argument.

A simulated node hands in pretended parts; what is only read from plain files is read below
``places``, so that those may be anywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from clusterd import names
from clusterd.errors import ClusterError
from clusterd.observation import Observation
from clusterd.world import Clock, StreamEnd
from hypervisors.interface import Threads
from storage.interface import Commands
from storage.volume import Volume


class ScriptBusy(ClusterError):
    """An earlier run of the same script has not ended yet."""

    code = "script_busy"
    retryable = True


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A program to run with nothing but ``environment``, standard input empty."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    directory: str = "/"
    timeout_s: float = 900.0
    log: str = ""
    """File that takes the output; empty: it is answered."""
    lock: str = ""
    """File that is locked as long as anything of the script lives; empty: any number run."""


class ScriptEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a script ended. ``code`` is the exit code, negative for a signal."""

    code: int
    output: str
    """Standard output and error together; the last part of it when it was long."""
    timed_out: bool = False


class Scripts(Protocol):
    """Runs scripts of the site: hooks, OS definitions."""

    async def run(self, script: Script) -> ScriptEnd:
        """To its end, or killed with all its children after ``timeout_s``.

        Raises ScriptBusy while ``lock`` is held by an earlier run.
        """


class Streams(Protocol):
    """Contents of disks on their way from and to other nodes. Scripts have ``script``."""

    async def accept(self, token: str, end: StreamEnd, script: Script | None) -> None:
        """Take what is sent under ``token``; an earlier stream to the same place is broken off."""

    async def send(
        self,
        towards: tuple[str, str],
        end: StreamEnd,
        script: Script | None,
        compress: str,
        say: Callable[[str], None],
    ) -> int:
        """Send to (token, node); answers the bytes when they are safe there. Raises StreamBroken,
        StreamFailed."""

    async def stop(self, place: str) -> None:
        """Nothing is received for this place any more; nothing was is success."""


class Sight(Protocol):
    """The node's eyes."""

    async def look(self) -> Observation:
        """Look now."""

    def watch(self, volumes: tuple[Volume, ...]) -> None:
        """From now on report the status of these."""


class Peers(Protocol):
    """The other nodes that this one may relay to."""

    def tell(self, addresses: dict[str, str]) -> None:
        """All of them, host name -> address; remembered over restarts."""


Reach = Callable[[str, int, float], Awaitable[str]]
"""(address, port, timeout_s) -> why no TCP connection is possible; empty when it is."""


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Directories of this node."""

    config: Path
    state: Path
    run: Path
    log: Path
    hooks: tuple[Path, ...] = tuple(map(Path, names.HOOKS_DIRECTORIES))
    oses: tuple[Path, ...] = tuple(map(Path, names.OS_SEARCH_PATH))
    providers: tuple[Path, ...] = tuple(map(Path, names.EXTSTORAGE_SEARCH_PATH))
    iallocators: tuple[Path, ...] = tuple(map(Path, names.IALLOCATOR_SEARCH_PATH))
    exports: tuple[Path, ...] = (
        Path(names.EXPORT_DIRECTORY),
        *map(Path, names.FOREIGN_EXPORTS),
    )
    """Where exports are looked for; they are written to the first."""
    networks: Path = Path("/sys/class/net")
    drbd: Path = Path("/sys/module/drbd")
    programs: Path = Path(sys.prefix) / "bin"
    prefix: str = ""
    """Of this machine's directories; daemons that are started here are told."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """The node as verbs see it."""

    name: str
    cluster_name: str
    cluster_uuid: str
    places: Places
    clock: Clock
    commands: Commands
    scripts: Scripts
    threads: Threads
    streams: Streams
    sight: Sight
    peers: Peers
    reach: Reach
    end: Callable[[], None]
    """End the daemon soon, after the answer is out."""
    port: int = names.NODE_PORT
    """Where nodes of this cluster listen."""
