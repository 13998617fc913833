"""What a site has beside its hosts, pretended: programs, scripts, OS definitions, providers."""

from __future__ import annotations

import stat
import zlib
from collections.abc import Callable
from pathlib import Path

from clusterd.simulation import pretended_allocator
from clusterd.verbs.host import Script, ScriptEnd
from clusterd.verbs.images import HEAD_SUM
from storage.external_providers import PARAMETERS_FILE, REQUIRED
from storage.interface import USUAL, Output, Surroundings
from storage.shelf import Shelf

OS_NAME = "pretended"
PROVIDER = "pretended"


class PretendedScripts:
    """Scripts that the site would run; each succeeds at once unless told otherwise."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.fails: Callable[[Script], bool] = lambda script: False

    async def run(self, script: Script) -> ScriptEnd:
        """Remember it; pretend it ended."""
        self.ran.append(script.argv[0])
        if self.fails(script):
            return ScriptEnd(code=1, output="pretended to fail")
        return ScriptEnd(code=0, output="")


class PretendedCommands:
    """Programs of the host: none does anything, but those that look at image files."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def run(
        self,
        *argv: str,
        timeout_s: float = 60.0,
        check: bool = True,
        stdin: str | None = None,
        around: Surroundings = USUAL,
    ) -> Output:
        """What the shelf says of an image file and the pretended iallocator answers, else success
        without output."""
        if argv[0].endswith(f"/{pretended_allocator.NAME}"):
            return Output(code=0, stdout=pretended_allocator.run(argv[1]), stderr="")
        size_mib = self._shelf.files.get(argv[-1])
        if argv[:2] == ("qemu-img", "info"):
            size = (size_mib or 0) * 1024 * 1024
            info = f'{{"virtual-size": {size}, "format": "raw"}}'
            said = f"{argv[-1]}: No such file"
            return Output(code=int(not size), stdout=info, stderr="" if size else said)
        if argv[0] == "sha256sum":
            return Output(code=0, stdout=f"{size_mib or 0:064x}  {argv[-1]}", stderr="")
        if argv[:3] == ("sh", "-c", HEAD_SUM):
            content = self._shelf.found_at(argv[-1])[1].encode()
            return Output(code=0, stdout=f"{zlib.crc32(content):064x}  -", stderr="")
        return Output(code=0, stdout="", stderr="")

    async def read(self, path: str) -> str:
        """There is no such file."""
        return ""


def place_os(directory: Path, name: str = OS_NAME, variants: tuple[str, ...] = ()) -> None:
    """A valid OS definition that does nothing."""
    home = directory / name
    if (home / "verify").exists():
        return
    home.mkdir(parents=True, exist_ok=True)
    (home / "ganeti_api_version").write_text("20\n", "utf-8")
    (home / "parameters.list").write_text("", "utf-8")
    if variants:
        (home / "variants.list").write_text("\n".join(variants) + "\n", "utf-8")
    for step in ("create", "import", "export", "rename", "verify"):
        script = home / step
        script.write_text("#!/bin/sh\nexit 0\n", "utf-8")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)


def place_provider(directory: Path, name: str = PROVIDER) -> None:
    """A valid ext-storage provider whose scripts nobody runs."""
    home = directory / name
    if (home / PARAMETERS_FILE).exists():
        return
    home.mkdir(parents=True, exist_ok=True)
    for step in REQUIRED:
        (home / step).write_text("#!/bin/sh\nexit 1\n", "utf-8")
        (home / step).chmod(0o700)
    (home / PARAMETERS_FILE).write_text("tier where the volume lies\n", "utf-8")
