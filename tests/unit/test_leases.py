"""Leases: the contract on the engines that have them; the others say that they have none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clusterd.simulation.clock import Clock
from jobqueue.errors import StoreError
from jobqueue.store.interface import Store, Transaction
from jobqueue.store.memory import MemoryDisk, MemoryStore
from jobqueue.store.sqlite import SqliteStore
from tests.contracts.leases import Law, LeaseBench, lease_contract
from tests.sqlite_store import with_sqlite
from tests.waiting import settled

PATIENCE_S = 60.0


class MemoryLeaseBench(LeaseBench):
    """Stores on one disk in memory, in virtual time."""

    def __init__(self) -> None:
        self._clock = Clock()
        self._disk = MemoryDisk(self._clock)

    async def open(self) -> Store:
        return MemoryStore(self._disk)

    async def wait(self, seconds: float) -> None:
        self._clock.run_until(lambda: False, seconds)

    async def until(self, reached: Callable[[], bool]) -> None:
        assert self._clock.run_until(reached, PATIENCE_S)


def _drive_memory(law: Law, directory: Path) -> None:
    settled(law(MemoryLeaseBench()))


test_memory_keeps = lease_contract(_drive_memory)


def test_a_store_without_leases_says_so(tmp_path: Path) -> None:
    leased = Transaction(puts=(("a", b""),), lease=1)

    async def body(store: SqliteStore) -> None:
        assert store.leases is None
        with pytest.raises(StoreError, match="leases"):
            await store.commit(leased)
        assert await store.get("a") is None

    with_sqlite(tmp_path / "store.db", body)
    memory = MemoryStore()
    assert memory.leases is None
    with pytest.raises(StoreError, match="leases"):
        settled(memory.commit(leased))


def test_a_dead_master_s_lease_ends_by_the_clock_of_the_store() -> None:
    clock = Clock()
    disk = MemoryDisk(clock)
    dying, other = MemoryStore(disk), MemoryStore(disk)
    assert dying.leases is not None
    lease = settled(dying.leases.grant(2.0))
    settled(dying.commit(Transaction(puts=(("mastership", b"n1"),), lease=lease.id)))
    told: list[float] = []
    began = clock.seconds()
    other.watch("mastership", lambda changes: told.append(clock.seconds() - began))
    dying.die()
    clock.run_until(lambda: bool(told), PATIENCE_S)
    assert told == [2.0]
