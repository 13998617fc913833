"""The store in SQLite: opening, what goes wrong with files and disks, death at any time."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, gatherResults

from jobqueue.errors import Conflict, StoreAway, StoreError, StoreFull
from jobqueue.store.interface import ABSENT, Store, Transaction
from jobqueue.store.sqlite import SqliteStore
from jobqueue.store.sqlite_file import READ_ONE, READ_RANGE, Bounds, prefix_end
from tests.contracts.store import keys_of, put
from tests.sqlite_store import with_sqlite
from tests.unit import committing_child
from tests.waiting import reactor, run, thread_pool

# -- sqlite: opening -------------------------------------------------------------------------------


def test_a_second_opener_is_told_who_has_the_store(tmp_path: Path) -> None:
    async def body(store: SqliteStore) -> None:
        with thread_pool() as pool, pytest.raises(StoreAway, match=r"in use by process \d+"):
            SqliteStore(tmp_path / "store.db", pool, reactor.callFromThread)

    with_sqlite(tmp_path / "store.db", body)
    with_sqlite(tmp_path / "store.db", lambda store: store.close())


def _modes(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    async def body(store: SqliteStore) -> None:
        await store.commit(put(("secret", b"1")))
        modes = _modes(tmp_path)
        assert "store.db-wal" in modes
        assert set(modes.values()) == {0o600}

    with_sqlite(tmp_path / "store.db", body)


def test_an_unusable_file_is_explained(tmp_path: Path) -> None:
    with thread_pool() as pool:
        (tmp_path / "garbage.db").write_bytes(b"This is no database. " * 1000)
        with pytest.raises(StoreAway, match=r"garbage\.db.*not a store"):
            SqliteStore(tmp_path / "garbage.db", pool, reactor.callFromThread)
        with pytest.raises(StoreAway, match="directory must exist"):
            SqliteStore(tmp_path / "missing" / "store.db", pool, reactor.callFromThread)
        future = sqlite3.connect(tmp_path / "future.db")
        future.execute("PRAGMA user_version = 99")
        future.close()
        with pytest.raises(StoreAway, match="format 99"):
            SqliteStore(tmp_path / "future.db", pool, reactor.callFromThread)
        with pytest.raises(StoreAway, match="format 99"):  # and the lock was let go
            SqliteStore(tmp_path / "future.db", pool, reactor.callFromThread)


def test_reads_use_the_key_index(tmp_path: Path) -> None:
    with_sqlite(tmp_path / "store.db", lambda store: store.close())
    connection = sqlite3.connect(tmp_path / "store.db")
    plans = [
        connection.execute(f"EXPLAIN QUERY PLAN {statement}", arguments).fetchall()
        for statement, arguments in ((READ_RANGE, ("a/", "a0")), (READ_ONE, ("a",)))
    ]
    connection.close()
    assert [plan[0][3] for plan in plans] == [
        "SEARCH kv USING PRIMARY KEY (key>? AND key<?)",
        "SEARCH kv USING PRIMARY KEY (key=?)",
    ]


@given(st.text(), st.text())
def test_prefix_end_bounds_exactly_what_has_the_prefix(prefix: str, key: str) -> None:
    end = prefix_end(prefix)
    for candidate in (key, prefix + key):
        inside = prefix <= candidate and (end is None or candidate < end)
        assert inside or not candidate.startswith(prefix)
        if end is not None:
            assert inside == candidate.startswith(prefix)


# -- sqlite: things that go wrong ----------------------------------------------------------------


def test_a_database_that_another_program_locks_is_away_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    async def body(store: SqliteStore) -> None:
        intruder = sqlite3.connect(path, isolation_level=None)
        intruder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreAway, match="another program has locked"):
            await store.commit(put(("a", b"1")))
        intruder.execute("ROLLBACK")
        intruder.close()
        await store.commit(put(("a", b"2")))
        assert await keys_of(store) == ["a"]

    with_sqlite(path, body, Bounds(locked_for_s=0.1))


def test_a_damaged_database_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    async def fill(store: SqliteStore) -> None:
        for number in range(40):
            await store.commit(put((f"k{number:03}", bytes(3000))))

    async def read(store: SqliteStore) -> None:
        with pytest.raises(StoreAway, match="damaged; restore"):
            await store.read("")

    with_sqlite(path, fill)
    data = bytearray(path.read_bytes())
    data[4096 * 3 :] = b"\xff" * (len(data) - 4096 * 3)
    path.write_bytes(data)
    with_sqlite(path, read)


async def _fill_up(store: Store, value: bytes) -> list[str]:
    """Commit until the store is full; the keys that were acknowledged."""
    kept: list[str] = []
    while True:
        key = f"fill/{len(kept):05}"
        try:
            await store.commit(put((key, value)))
        except StoreFull:
            return kept
        kept.append(key)


def test_a_full_store_loses_nothing_and_works_again_when_there_is_room(tmp_path: Path) -> None:
    path, kept = tmp_path / "store.db", list[str]()

    async def body(store: SqliteStore) -> None:
        kept.extend(await _fill_up(store, bytes(20_000)))
        assert len(kept) > 10
        assert await keys_of(store) == kept
        with pytest.raises(StoreFull, match="free disk space"):
            await store.commit(put(("more", bytes(20_000))))
        await store.commit(Transaction(deletes=(kept.pop(), kept.pop())))
        await store.commit(put(("more", bytes(20_000))))
        assert await keys_of(store) == [*kept, "more"]

    async def reopened(store: SqliteStore) -> None:
        assert await keys_of(store) == [*kept, "more"]

    with_sqlite(path, body, Bounds(size_mib=1))
    with_sqlite(path, reopened)


def test_in_a_group_only_those_fail_that_do_not_fit(tmp_path: Path) -> None:
    async def body(store: SqliteStore) -> None:
        kept = await _fill_up(store, bytes(20_000))
        opening = store.commit(
            Transaction()
        )  # keeps the disk busy, so that the others make a group
        group = [
            store.commit(put(("large", bytes(500_000)))),
            store.commit(Transaction(deletes=tuple(kept[:3]))),
            store.commit(put(("small", bytes(20_000)))),
            store.commit(put(("small", b""), small=ABSENT)),
        ]
        waiting = [Deferred.fromCoroutine(commit) for commit in (opening, *group)]
        outcomes: list[object] = []
        for one in waiting:
            try:
                outcomes.append(type(await one))
            except StoreError as error:
                outcomes.append(type(error))
        assert outcomes == [int, StoreFull, int, int, Conflict]
        assert await keys_of(store) == [*kept[3:], "small"]

    with_sqlite(tmp_path / "store.db", body, Bounds(size_mib=1))


def test_in_a_group_a_senseless_transaction_fails_alone(tmp_path: Path) -> None:
    async def body(store: SqliteStore) -> None:
        senseless: Any = ([1], {"no": "bytes"})
        opening = Deferred.fromCoroutine(store.commit(Transaction()))
        group = [
            Deferred.fromCoroutine(store.commit(Transaction(puts=(("a", b""), ("b", value)))))
            for value in (b"1", *senseless, b"2")
        ]
        await opening
        await group[0]
        for wrong in group[1:3]:
            with pytest.raises(StoreError, match="cannot write") as caught:
                await wrong
            assert not caught.value.retryable
        last = await group[3]
        assert [(e.key, e.version) for e in await store.read("")] == [("a", last), ("b", last)]

    with_sqlite(tmp_path / "store.db", body)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 2 MiB."""
    directory = Path(tempfile.mkdtemp())
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(directory)], check=True, timeout=10
    )
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True, timeout=10)
        directory.rmdir()


@pytest.mark.real
def test_a_full_disk_loses_nothing_and_works_again_when_there_is_room(small_disk: Path) -> None:
    path, kept = small_disk / "store.db", list[str]()

    async def body(store: SqliteStore) -> None:
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free // 2))
        kept.extend(await _fill_up(store, bytes(20_000)))
        assert len(kept) > 5
        assert await keys_of(store) == kept
        ballast.unlink()
        await store.commit(put(("more", bytes(20_000))))
        assert await keys_of(store) == [*kept, "more"]

    async def reopened(store: SqliteStore) -> None:
        assert await keys_of(store) == [*kept, "more"]

    with_sqlite(path, body)
    with_sqlite(path, reopened)


@pytest.mark.parametrize("seed", range(4))
def test_kill_minus_nine_loses_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "store.db"
    enough = random.Random(seed).randrange(50, 400)
    child = subprocess.Popen(
        [sys.executable, "-m", committing_child.__name__, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    try:
        acknowledged = [child.stdout.readline().split() for _ in range(enough)]
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(10)
        rest = child.stdout.read().splitlines(keepends=True)
        child.stdout.close()
    assert child.returncode == -signal.SIGKILL
    acknowledged += [line.split() for line in rest if line.endswith("\n")]
    told = {f"{writer}/{number}" for writer, number in acknowledged}
    assert len(told) >= enough

    async def check(store: SqliteStore) -> None:
        kept = set(await keys_of(store, "writer-"))
        assert told <= kept
        unheard = kept - told
        assert len(unheard) <= committing_child.WRITERS, "each writer has one commit under way"
        for writer in range(committing_child.WRITERS):
            entries = await keys_of(store, f"writer-{writer}/")
            counter = await store.get(f"counter/{writer}")
            assert counter is not None
            assert int(counter.value) == len(entries), "a transaction was written in part"

    with_sqlite(path, check)


def test_commits_that_come_while_the_disk_is_busy_share_their_fsyncs(tmp_path: Path) -> None:
    async def body(store: SqliteStore) -> None:
        waiting = [Deferred.fromCoroutine(store.commit(put((f"{n:04}", b"")))) for n in range(400)]
        await gatherResults(waiting)

    groups = _CountingThreads()

    async def opened() -> None:
        store = SqliteStore(tmp_path / "store.db", groups, reactor.callFromThread)
        await body(store)
        await store.close()

    with thread_pool() as pool:
        groups.pool = pool
        run(opened)
    assert groups.started == 3, "the first alone, the others together, and closing"


class _CountingThreads:
    """Threads that count the pieces of work they were given."""

    pool: Any

    def __init__(self) -> None:
        self.started = 0

    def callInThread(self, function: Callable[..., object], /, *args: object) -> object:
        self.started += 1
        return self.pool.callInThread(function, *args)
