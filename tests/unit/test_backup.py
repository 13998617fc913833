"""A backup of a living cluster, and a store that is made of it."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusterd.backup import BadBackup, fill, read_backup, write_backup
from clusterd.configuration import Configuration, added
from clusterd.master.mastership import KEY, Claimant, take
from clusterd.settings import ClusterSection, Directories, NodeSection, Settings
from clusterd.simulation.cluster import first_objects
from jobqueue.store.interface import Entry, Transaction
from jobqueue.store.memory import MemoryStore
from tests.unit.driving import now

TIME = 1_800_000_000.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(
        cluster=ClusterSection(name="c1", uuid="c1-uuid"),
        node=NodeSection(name="node1", role="master-candidate"),
        directories=Directories(state=str(tmp_path / "state")),
    )
    (tmp_path / "state/rapi").mkdir(parents=True)
    (made.state_directory / "ca.key").write_text("secret")
    return made


@pytest.fixture
def entries() -> tuple[Entry, ...]:
    store = MemoryStore()
    for one in first_objects(["node1", "node2"]):
        now(store.commit(added(one)))
    for number in range(450):
        put = (f"job/{number:012d}", bytes([number % 256]) * 9000)
        now(store.commit(Transaction(puts=(put,))))
    for _ in range(3):
        now(take(store, Claimant("node1"), 1.0))
    return now(store.read(""))


def test_what_goes_in_comes_out(
    settings: Settings, entries: tuple[Entry, ...], tmp_path: Path
) -> None:
    path = tmp_path / "b.tar.gz"
    made = write_backup(path, settings, entries, TIME)
    assert made.keys == len(entries)
    assert path.stat().st_mode & 0o777 == 0o600
    with read_backup(path) as found:
        assert found.manifest == made
        assert [(line.key, line.value) for line in found.lines()] == [
            (entry.key, entry.value) for entry in entries
        ]
        assert found.file("state/ca.key") == b"secret"


def test_a_restored_store_has_another_master_and_higher_epochs(
    settings: Settings, entries: tuple[Entry, ...], tmp_path: Path
) -> None:
    write_backup(tmp_path / "b", settings, entries, TIME)
    store = MemoryStore()
    with read_backup(tmp_path / "b") as found:
        now(fill(store, found, "node2", TIME))
    assert now(store.get(KEY)) is None
    assert len(now(store.read("job/"))) == 450
    configuration = Configuration()
    now(configuration.load(store))
    assert configuration.node("node2").uuid == configuration.cluster.master_node
    grant = now(take(store, Claimant("node2"), TIME))
    assert grant.mastership.epoch == int(TIME) + 1


def test_a_backup_that_fails_leaves_nothing(settings: Settings, tmp_path: Path) -> None:
    def failing() -> Iterator[Entry]:
        yield Entry("a", b"1", 1)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        write_backup(tmp_path / "b", settings, failing(), TIME)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state"]


@pytest.mark.parametrize("damage", ["cut", "foreign", "short", "node"])
def test_what_is_no_good_backup_is_refused(
    settings: Settings, entries: tuple[Entry, ...], tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "b"
    write_backup(path, settings, entries, TIME)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:2000])
    elif damage == "foreign":
        with tarfile.open(path, "w:gz"):
            """Nothing in it."""
    elif damage == "short":
        write_backup(path, settings, entries, TIME)
        _drop_a_line(path)
    with pytest.raises(BadBackup), read_backup(path) as found:
        now(fill(MemoryStore(), found, "node9" if damage == "node" else "node1", TIME))


def test_a_bit_that_was_turned_over_is_seen(
    settings: Settings, entries: tuple[Entry, ...], tmp_path: Path
) -> None:
    path = tmp_path / "b"
    write_backup(path, settings, entries[:20], TIME)
    whole = path.read_bytes()
    for place in range(100, len(whole), max(len(whole) // 40, 1)):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(BadBackup, match="damaged"), read_backup(path) as found:
            now(fill(MemoryStore(), found, "node1", TIME))


def _drop_a_line(path: Path) -> None:
    with tarfile.open(path) as archive:
        members = {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]
    members["store.jsonl"] = b"\n".join(members["store.jsonl"].split(b"\n")[1:])
    with tarfile.open(path, "w:gz") as archive:
        import io

        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
