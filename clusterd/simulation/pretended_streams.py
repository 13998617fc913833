"""Contents of disks that travel between pretended nodes: all of them in one moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from clusterd.verbs.errors import StreamBroken, StreamFailed
from clusterd.verbs.host import Script
from clusterd.world import StreamEnd
from storage.shelf import Shelf


class PretendedPeers:
    """Relays are not needed: memory travels by itself."""

    def tell(self, addresses: dict[str, str]) -> None:
        """Nothing to remember."""


class Scripts(Protocol):
    """Which scripts of the host fail."""

    fails: Callable[[Script], bool]


class PretendedStreams:
    """Of one host. What was accepted is forgotten with its daemon."""

    def __init__(
        self,
        shelf: Shelf,
        hosts: dict[str, PretendedStreams],
        alive: Callable[[], bool],
        scripts: Scripts,
        touch: Callable[[], None],
    ) -> None:
        """``touch`` is called when a file of the host changes."""
        self.accepted: dict[str, tuple[StreamEnd, Script | None]] = {}
        """By token."""
        self.alive = alive
        self._shelf = shelf
        self._hosts = hosts
        self._scripts = scripts
        self._touch = touch
        hosts[shelf.node] = self

    async def accept(self, token: str, end: StreamEnd, script: Script | None) -> None:
        """See ``clusterd.verbs.host.Streams``."""
        await self.stop(end.place)
        self.accepted[token] = end, script

    async def stop(self, place: str) -> None:
        """See ``Streams``."""
        self.accepted = {
            token: one for token, one in self.accepted.items() if one[0].place != place
        }

    async def send(
        self,
        towards: tuple[str, str],
        end: StreamEnd,
        script: Script | None,
        compress: str,
        say: Callable[[str], None],
    ) -> int:
        """See ``Streams``."""
        token, peer = towards
        other = self._hosts.get(peer)
        if other is None or not other.alive() or token not in other.accepted:
            raise StreamBroken(f"node {peer} takes no stream {token}", subject=end.place)
        content = self._content(end, script)
        say(f"{end.size_mib} of {end.size_mib} MiB sent")
        other.take(token, content)
        return end.size_mib * 1024 * 1024

    def take(self, token: str, content: str) -> None:
        """All of it has arrived."""
        end, script = self.accepted.pop(token)
        if script is not None and self._scripts.fails(script):
            raise StreamFailed("the contents did not arrive: the script was pretended to fail")
        if end.kind == "file":
            self._touch()
            Path(end.place).write_text(content, "utf-8")
        else:
            self._shelf.write(_device(end, script, "IMPORT_DEVICE"), content)

    def _content(self, end: StreamEnd, script: Script | None) -> str:
        if script is not None and self._scripts.fails(script):
            raise StreamFailed("the script was pretended to fail")
        if end.kind != "file":
            return self._shelf.found_at(_device(end, script, "EXPORT_DEVICE"))[1]
        try:
            return Path(end.place).read_text("utf-8")
        except FileNotFoundError:
            raise StreamFailed(f"{end.place} cannot be read", subject=end.place) from None


def _device(end: StreamEnd, script: Script | None, variable: str) -> str:
    return end.place if script is None else script.environment[variable]


class Dump(msgspec.Struct, frozen=True):
    """A file below a host's directory of exports."""

    path: str
    text: str


def kept(directory: Path) -> tuple[Dump, ...]:
    """All files of the exports on a host."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return tuple(Dump(str(path.relative_to(directory)), path.read_text("utf-8")) for path in files)


def put_back(directory: Path, dumps: tuple[Dump, ...]) -> None:
    """The files are there, and no others."""
    for dump in dumps:
        path = directory / dump.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dump.text, "utf-8")
