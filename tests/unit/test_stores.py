"""The stores: the contract on each engine, equal answers, and simulated faults in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from jobqueue.errors import Conflict, StoreAway, StoreFull
from jobqueue.store.interface import ABSENT, Change, Store, Transaction
from jobqueue.store.memory import Died, MemoryDisk, MemoryStore, NoTrouble
from jobqueue.store.sqlite import SqliteStore
from tests.contracts.store import Bench, Law, keys_of, put, store_contract
from tests.sqlite_store import with_sqlite
from tests.waiting import reactor, run, settled, thread_pool


class MemoryBench(Bench):
    """Stores on one disk in memory."""

    def __init__(self) -> None:
        self._disk = MemoryDisk()

    async def open(self) -> Store:
        return MemoryStore(self._disk)


class SqliteBench(Bench):
    """Stores on one file."""

    def __init__(self, path: Path, pool: Any) -> None:
        self._path = path
        self._pool = pool

    async def open(self) -> Store:
        return SqliteStore(self._path, self._pool, reactor.callFromThread)


def _drive_memory(law: Law, directory: Path) -> None:
    settled(law(MemoryBench()))


def _drive_sqlite(law: Law, directory: Path) -> None:
    with thread_pool() as pool:
        run(lambda: law(SqliteBench(directory / "store.db", pool)))


test_memory_keeps = store_contract(_drive_memory)
test_sqlite_keeps = store_contract(_drive_sqlite)


# -- both engines answer alike ---------------------------------------------------------------------

KEYS = st.sampled_from(["a", "a/", "a/1", "a/2", "ab", "b"])
WRITES = st.dictionaries(KEYS, st.none() | st.binary(max_size=3), max_size=4)
AGES = st.integers(min_value=0, max_value=3)
"""Which version is expected: how many writes of the key ago; 0 is the present one."""
SCRIPTS = st.lists(st.tuples(st.dictionaries(KEYS, AGES, max_size=3), WRITES), max_size=15)


async def _play(store: Store, script: list[Any], told: list[tuple[Change, ...]]) -> list[object]:
    """Everything that can be seen of the store while it carries out ``script``."""
    versions: dict[str, list[int]] = {}
    seen: list[object] = []

    def remember(changes: tuple[Change, ...]) -> None:
        told.append(changes)
        for change in changes:
            version = ABSENT if change.value is None else change.version
            versions.setdefault(change.key, [ABSENT]).append(version)

    store.watch("", remember)
    for ages, writes in script:
        known = {key: versions.get(key, [ABSENT]) for key in ages}
        transaction = Transaction(
            expects=tuple(
                (key, known[key][-1 - age % len(known[key])]) for key, age in ages.items()
            ),
            puts=tuple((key, value) for key, value in writes.items() if value is not None),
            deletes=tuple(key for key, value in writes.items() if value is None),
        )
        try:
            seen.append(await store.commit(transaction))
        except Conflict as error:
            seen.append(str(error))
        seen.append(await store.read("a/"))
    seen.append(await store.read(""))
    return seen


@settings(max_examples=40, deadline=None)
@given(SCRIPTS)
def test_sqlite_answers_like_memory(script: list[Any]) -> None:
    expected_told: list[tuple[Change, ...]] = []
    expected = settled(_play(MemoryStore(), script, expected_told))

    async def body(store: SqliteStore) -> None:
        told: list[tuple[Change, ...]] = []
        assert await _play(store, script, told) == expected
        assert told == expected_told

    with tempfile.TemporaryDirectory() as directory:
        with_sqlite(Path(directory) / "store.db", body)


# -- memory: simulated faults ----------------------------------------------------------------------


class Scripted(NoTrouble):
    """Raises what the test says."""

    def __init__(self) -> None:
        self.before: BaseException | None = None
        self.after: BaseException | None = None

    def before_commit(self, transaction: Transaction) -> None:
        if self.before:
            raise self.before

    def after_commit(self, transaction: Transaction, revision: int) -> None:
        if self.after:
            raise self.after


def test_a_fault_before_the_commit_leaves_nothing_behind() -> None:
    faults, disk = Scripted(), MemoryDisk()
    store = MemoryStore(disk, faults=faults)
    for fault in (StoreFull(), StoreAway()):
        faults.before = fault
        with pytest.raises(type(fault)):
            settled(store.commit(put(("a", b"1"))))
        assert disk.entries == {}
    faults.before = None
    settled(store.commit(put(("a", b"1"))))
    assert list(disk.entries) == ["a"]


def test_an_answer_that_is_lost_leaves_the_commit_and_the_watchers_hear_of_it() -> None:
    faults, disk, told = Scripted(), MemoryDisk(), list[tuple[Change, ...]]()
    store = MemoryStore(disk, faults=faults)
    store.watch("", told.append)
    faults.after = StoreAway()
    with pytest.raises(StoreAway):
        settled(store.commit(put(("a", b"1"))))
    assert settled(keys_of(store)) == ["a"]
    assert told == [(Change("a", b"1", 1),)]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_master_that_dies_in_a_commit_never_hears_again_and_its_successor_goes_on(
    moment: str,
) -> None:
    faults, disk, told = Scripted(), MemoryDisk(), list[object]()
    dying, other = MemoryStore(disk, faults=faults), MemoryStore(disk)
    dying.watch("", told.append)
    elsewhere: list[tuple[Change, ...]] = []
    other.watch("", elsewhere.append)
    cleaned_up: list[str] = []

    async def life() -> None:
        try:
            await dying.commit(put(("a", b"1")))
        finally:
            cleaned_up.append("no dead process does this")

    setattr(faults, moment, Died())
    silent = Deferred.fromCoroutine(life())
    silent.addBoth(told.append)
    for call in (dying.read(""), dying.get("a"), dying.commit(put(("b", b""))), dying.close()):
        Deferred.fromCoroutine(call).addBoth(told.append)
    successor = MemoryStore(disk)
    settled(successor.commit(put(("c", b"1"))))
    assert settled(keys_of(successor)) == (["c"] if moment == "before" else ["a", "c"])
    assert len(elsewhere) == (1 if moment == "before" else 2)
    assert (told, cleaned_up) == ([], [])


def test_a_watcher_that_raises_harms_neither_the_commit_nor_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    store, told = MemoryStore(), list[tuple[Change, ...]]()

    def broken(changes: tuple[Change, ...]) -> None:
        raise RuntimeError("a watcher's fault")

    store.watch("", broken)
    store.watch("", told.append)
    settled(store.commit(put(("a", b"1"))))
    assert len(told) == 1
    assert "a watcher's fault" in capsys.readouterr().out
