"""Moving a store's content: between engines and back, broken off at each write, and refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobqueue.errors import Refused, StoreAway
from jobqueue.store.copying import UNFINISHED, Copied, NotEqual, chunks, copy
from jobqueue.store.interface import MAX_BYTES, MAX_WRITES, Entry, Store, Transaction
from jobqueue.store.memory import MemoryDisk, MemoryStore, NoTrouble
from jobqueue.store.sqlite import SqliteStore
from tests.contracts.store import put
from tests.etcd_cluster import etcd_cluster
from tests.sqlite_store import with_sqlite
from tests.waiting import run, settled


def as_it_is(entry: Entry) -> tuple[str, bytes]:
    return entry.key, entry.value


async def state_of(store: Store) -> list[tuple[str, bytes]]:
    return [(entry.key, entry.value) for entry in await store.read("")]


async def filled(store: Store) -> list[tuple[str, bytes]]:
    """A state of many small keys and some large values."""
    for start in range(0, 300, 50):
        await store.commit(put(*[(f"job/{n:06}", b"%d" % n) for n in range(start, start + 50)]))
    for number in range(3):
        await store.commit(put((f"large/{number}", bytes([number]) * (MAX_BYTES - 100))))
    await store.commit(Transaction(deletes=("job/000007",)))
    return await state_of(store)


@pytest.mark.real
def test_a_state_moves_from_a_file_to_etcd_and_back_unchanged(tmp_path: Path) -> None:
    async def body(file: SqliteStore) -> None:
        before = await filled(file)
        link = cluster.link()
        etcd = link.store("copy")
        there = await copy(file, etcd, as_it_is)
        assert await state_of(etcd) == before
        assert there.keys == len(before)
        again = MemoryStore()
        back = await copy(etcd, again, as_it_is)
        assert await state_of(again) == before
        assert back == there
        await etcd.close()
        await link.close()

    with etcd_cluster(tmp_path / "etcd") as cluster:
        with_sqlite(tmp_path / "store.db", body)


def test_keys_can_be_left_out_changed_and_added() -> None:
    async def body() -> None:
        source, target = MemoryStore(), MemoryStore()
        await source.commit(put(("a", b"1"), ("b", b"1"), ("z", b"1")))

        def change(entry: Entry) -> tuple[str, bytes] | None:
            return None if entry.key == "a" else (entry.key, entry.value + b"!")

        await copy(source, target, change, more=[("c", b"new")])
        assert await state_of(target) == [("b", b"1!"), ("c", b"new"), ("z", b"1!")]

    run(body)


class BreaksOff(NoTrouble):
    """Lets so many commits pass; the next one is never heard of."""

    def __init__(self, passes: int) -> None:
        self.passes = passes

    def before_commit(self, transaction: Transaction) -> None:
        self.passes -= 1
        if self.passes < 0:
            raise StoreAway("broken off")


def test_a_move_that_was_broken_off_anywhere_is_made_anew() -> None:
    source = MemoryStore()
    before = settled(filled(source))
    whole: Copied = settled(copy(source, MemoryStore(), as_it_is))
    commits = 2 + len(list(chunks(before)))
    for passes in range(commits):
        disk = MemoryDisk()
        with pytest.raises(StoreAway):
            settled(copy(source, MemoryStore(disk, BreaksOff(passes)), as_it_is))
        assert (UNFINISHED in disk.entries) == (passes > 0)
        assert settled(state_of(source)) == before
        assert settled(copy(source, MemoryStore(disk), as_it_is)) == whole
        assert settled(state_of(MemoryStore(disk))) == before


def test_a_store_in_use_is_not_written_over() -> None:
    source, target = MemoryStore(), MemoryStore()
    settled(source.commit(put(("a", b"1"))))
    settled(target.commit(put(("b", b"1"))))
    with pytest.raises(Refused, match="holds data"):
        settled(copy(source, target, as_it_is))
    assert settled(state_of(target)) == [("b", b"1")]


def test_a_copy_that_differs_is_not_taken() -> None:
    source = MemoryStore()
    settled(source.commit(put(("a", b"1"), ("b", b"2"))))

    class Forgets(MemoryStore):
        """Loses a key without saying so."""

        async def commit(self, transaction: Transaction) -> int:
            kept = tuple(pair for pair in transaction.puts if pair[0] != "b")
            return await super().commit(
                Transaction(expects=transaction.expects, puts=kept, deletes=transaction.deletes)
            )

    target = Forgets()
    with pytest.raises(NotEqual, match=r"1 keys \(b\)"):
        settled(copy(source, target, as_it_is))
    assert UNFINISHED in target.disk.entries


def test_chunks_fit_into_transactions() -> None:
    pairs = [(f"k{n}", b"x" * (n * 1000)) for n in range(1000)]
    found = list(chunks(pairs))
    assert [pair for chunk in found for pair in chunk] == pairs
    assert max(map(len, found)) <= MAX_WRITES
    assert max(Transaction(puts=tuple(chunk)).size_bytes for chunk in found) <= MAX_BYTES
