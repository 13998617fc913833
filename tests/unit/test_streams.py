"""Contents of disks between node daemons: over real TLS, sockets, threads, scripts and files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from clusterd.errors import CallFailed
from clusterd.node import stream_frames as frames
from clusterd.node.stream_progress import progress
from clusterd.world import OsRun, StreamEnd
from tests.unit.tls_rig import MASTER, Cluster, RealNode, in_cluster
from tests.waiting import pause


@pytest.fixture
def short() -> Iterator[Path]:
    """Sockets have short names."""
    with tempfile.TemporaryDirectory(prefix="st-") as place:
        yield Path(place)


TOKEN = "0123456789abcdef"
NAME = "web1"
DUMP = f"{NAME}.new/disk0"
MIB = 1024 * 1024


async def two(cluster: Cluster) -> tuple[RealNode, Any, RealNode, Any]:
    """Two nodes that know each other, and the master's view of them."""
    nodes = [await cluster.node(name) for name in ("n1", "n2")]
    links = cluster.links(cluster.identity(MASTER))
    for node in nodes:
        links.connect(node.name, node.address)
        node.machine.book.tell({"n1": nodes[0].address, "n2": nodes[1].address})
    return nodes[0], links.node("n1").at("s1"), nodes[1], links.node("n2").at("s2")


def sparse(path: Path) -> bytes:
    """A disk of 5 MiB with holes, zeros and data that cannot be compressed."""
    contents = bytearray(5 * MIB)
    contents[: 3 * 4096] = os.urandom(3 * 4096)
    contents[3 * MIB + 17 : 3 * MIB + 17 + 5000] = os.urandom(5000)
    with path.open("wb") as file:
        file.truncate(len(contents))
        file.write(contents[: 3 * 4096])
        file.seek(3 * MIB)
        file.write(contents[3 * MIB : 4 * MIB])
    return bytes(contents)


def disk(path: Path, size_mib: int = 5) -> StreamEnd:
    return StreamEnd(kind="disk", place=str(path), size_mib=size_mib)


@pytest.mark.parametrize("compress", ["none", "gzip-fast"])
def test_a_disk_goes_to_an_export_and_back(short: Path, tmp_path: Path, compress: str) -> None:
    async def story(cluster: Cluster) -> None:
        _one, first, other, second = await two(cluster)
        source, target = tmp_path / "disk", tmp_path / "restored"
        contents = sparse(source)
        target.write_bytes(b"\xff" * len(contents))
        await second.begin_export(NAME, "7")
        await second.accept_stream(TOKEN, StreamEnd(kind="file", place=DUMP))
        assert await first.send_stream(TOKEN, "n2", disk(source), compress) == len(contents)
        await second.commit_export(NAME, "7", "[export]\nversion = 0\n")
        place = other.settings.export_directory / NAME
        dump = place / "disk0"
        assert dump.read_bytes() == contents
        assert dump.stat().st_blocks * 512 < len(contents)
        assert (await second.observe()).exports == (NAME,)
        assert (await second.read_export(NAME)).path == str(place)
        back = "f" + TOKEN
        await first.accept_stream(back, disk(target))
        await second.send_stream(back, "n1", StreamEnd(kind="file", place=str(dump)), compress)
        assert target.read_bytes() == contents
        await second.forget_export(NAME, "")
        assert (await second.observe()).exports == ()

    in_cluster(short, story)


def test_scripts_give_and_take_contents_on_one_node(short: Path, tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        one, first, _other, _second = await two(cluster)
        source, target = tmp_path / "disk", tmp_path / "target"
        source.write_bytes(b"guest" * 1000)
        target.write_bytes(b"")
        run: dict[str, Any] = {"os": "noop", "instance": NAME}
        out = OsRun(action="export", environment={"EXPORT_DEVICE": str(source)}, **run)
        into = {"IMPORT_DEVICE": str(target), "IMPORT_INDEX": "0"}
        back = OsRun(action="import", environment=into, **run)
        await first.begin_export(NAME, "7")
        await first.accept_stream(TOKEN, StreamEnd(kind="file", place=DUMP))
        end = StreamEnd(kind="script", place="x/0", run=out)
        assert await first.send_stream(TOKEN, "n1", end, "none") == 5000
        dump = StreamEnd(
            kind="file", place=str(one.settings.export_directory / f"{NAME}.new" / "disk0")
        )
        await first.accept_stream("f" + TOKEN, StreamEnd(kind="script", place="y/0", run=back))
        await first.send_stream("f" + TOKEN, "n1", dump, "none")
        assert target.read_bytes() == source.read_bytes()
        gone = OsRun(action="export", environment={"EXPORT_DEVICE": "/dev/nothing"}, **run)
        end = StreamEnd(kind="script", place="x/0", run=gone)
        await first.accept_stream("e" + TOKEN, StreamEnd(kind="file", place=DUMP))
        with pytest.raises(CallFailed, match=r"(?s)export ended with code.*/dev/nothing") as failed:
            await first.send_stream("e" + TOKEN, "n1", end, "none")
        assert failed.value.kind == "stream_failed"

    in_cluster(short, story)


def test_what_the_other_side_cannot_take_is_told(short: Path, tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        _one, first, _other, second = await two(cluster)
        source = tmp_path / "disk"
        sparse(source)
        await second.accept_stream(TOKEN, disk(Path("/dev/full")))
        with pytest.raises(CallFailed, match="No space left") as full:
            await first.send_stream(TOKEN, "n2", disk(source), "none")
        assert (full.value.kind, full.value.retryable) == ("stream_failed", False)
        with pytest.raises(CallFailed) as nobody:
            await first.send_stream("abcdabcdabcd", "n2", disk(source), "none")
        assert (nobody.value.kind, nobody.value.retryable) == ("stream_broken", True)
        await second.begin_export(NAME, "7")
        await second.accept_stream("a" + TOKEN, StreamEnd(kind="file", place=DUMP))
        with pytest.raises(CallFailed, match="cannot be read") as absent:
            await first.send_stream("a" + TOKEN, "n2", disk(tmp_path / "no"), "none")
        assert not absent.value.retryable
        for place in ("../x", f"{NAME}/disk0", f"{NAME}.new/../../x"):
            with pytest.raises(CallFailed, match="no file of an unfinished export"):
                await second.accept_stream("b" + TOKEN, StreamEnd(kind="file", place=place))

    in_cluster(short, story)


def test_a_stream_is_stopped_and_taken_over(short: Path, tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        _one, first, _other, second = await two(cluster)
        source, pipe, target = tmp_path / "disk", tmp_path / "pipe", tmp_path / "target"
        contents = sparse(source)
        os.mkfifo(pipe)
        held = os.open(pipe, os.O_RDWR)
        target.write_bytes(bytes(5 * MIB))
        await second.accept_stream(TOKEN, disk(target))
        slow = Deferred.fromCoroutine(first.send_stream(TOKEN, "n2", disk(pipe), "none"))
        os.write(held, b"x" * 4096)
        await pause(0.2)
        await second.accept_stream("f" + TOKEN, disk(target))
        other = await first.send_stream("f" + TOKEN, "n2", disk(source), "none")
        assert other == len(contents)
        assert target.read_bytes() == contents
        os.close(held)
        with pytest.raises(CallFailed) as broken:
            await slow
        assert broken.value.retryable
        await second.accept_stream("a" + TOKEN, disk(target))
        await second.stop_stream(str(target))
        with pytest.raises(CallFailed):
            await first.send_stream("a" + TOKEN, "n2", disk(source), "none")

    in_cluster(short, story)


def test_frames_that_miss_something_are_found(tmp_path: Path) -> None:
    whole = tmp_path / "frames"
    gauge = frames.Gauge()
    with whole.open("wb") as wire:
        frames.send(iter([b"abc", 4096, b"d" * 100]), wire, 0, gauge)
    assert gauge.done_bytes == 3 + 4096 + 100
    sent = whole.read_bytes()

    def received(data: bytes) -> bytes:
        (tmp_path / "cut").write_bytes(data)
        with (tmp_path / "cut").open("rb") as wire, (tmp_path / "out").open("w+b") as out:
            frames.receive(wire, frames.FileSink(out, keep_size=False))
        return (tmp_path / "out").read_bytes()

    assert received(sent) == b"abc" + bytes(4096) + b"d" * 100
    changed = sent.replace(b"abc", b"abd")
    for wrong in (*(sent[:length] for length in range(len(sent))), changed):
        with pytest.raises(frames.Broken):
            received(wrong)


def test_progress_has_an_estimate() -> None:
    assert (
        progress(256 * MIB, 1024 * MIB, 10.0)
        == "256 of 1024 MiB sent, 26 MiB/s, about 0:00:30 left"
    )
    assert progress(0, 0, 0.0) == "0 MiB sent, 0 MiB/s"
