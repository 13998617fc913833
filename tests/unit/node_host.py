"""A host for verbs: real files and scripts below a directory, everything else pretended."""

from __future__ import annotations

from pathlib import Path

from clusterd.node.blocking import InlineThreads, ThreadedScripts
from clusterd.observation import Observation
from clusterd.simulation.clock import Clock
from clusterd.verbs.host import Host, Places
from storage.errors import CommandFailed
from storage.interface import USUAL, Output, Surroundings
from storage.volume import Volume
from tests.unit.call_rig import NoPeers, NoStreams


class Programs:
    """Answers commands by their first word."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}

    async def run(
        self,
        *argv: str,
        timeout_s: float = 60.0,
        check: bool = True,
        stdin: str | None = None,
        around: Surroundings = USUAL,
    ) -> Output:
        if argv[0] not in self.answers:
            raise CommandFailed(f"{argv[0]} cannot be started", subject=argv[0])
        return Output(code=0, stdout=self.answers[argv[0]], stderr="")

    async def read(self, path: str) -> str:
        return ""


class Eyes:
    """Sees nothing."""

    def __init__(self) -> None:
        self.watched: tuple[Volume, ...] = ()

    async def look(self) -> Observation:
        return Observation(node="n1", time=1.0)

    def watch(self, volumes: tuple[Volume, ...]) -> None:
        self.watched = volumes


async def reach(address: str, port: int, timeout_s: float) -> str:
    return "Connection refused" if address.endswith(".9") else ""


def make_host(tmp_path: Path) -> Host:
    """A node without plugins, hooks or OS definitions."""
    for name in ("etc", "lib", "run", "log"):
        (tmp_path / name).mkdir()
    return Host(
        name="n1",
        cluster_name="cl",
        cluster_uuid="cluster-uuid",
        places=Places(
            config=tmp_path / "etc",
            state=tmp_path / "lib",
            run=tmp_path / "run",
            log=tmp_path / "log",
            hooks=(tmp_path / "hooks-a", tmp_path / "hooks-b"),
            oses=(tmp_path / "os-a", tmp_path / "os-b"),
            exports=(tmp_path / "export",),
            networks=tmp_path / "net",
            drbd=tmp_path / "drbd",
        ),
        clock=Clock(),
        commands=Programs(),
        scripts=ThreadedScripts(InlineThreads()),
        threads=InlineThreads(),
        streams=NoStreams(),
        sight=Eyes(),
        peers=NoPeers(),
        reach=reach,
        end=lambda: None,
    )


def script(path: Path, text: str, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return path
