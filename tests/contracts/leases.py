"""What every store that grants leases must keep; ``lease_contract`` makes a test of the laws.

A law is handed a ``LeaseBench``: two store objects on the same data, and the passing of time.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from jobqueue.errors import Conflict, LeaseGone
from jobqueue.store.interface import ABSENT, Change, Store, Transaction
from jobqueue.store.leadership import Leases

TTL_S = 3.0
KEY = "mastership"


class LeaseBench(abc.ABC):
    """Stores that share their data."""

    @abc.abstractmethod
    async def open(self) -> Store:
        """A further store object on the data; the law closes it."""

    @abc.abstractmethod
    async def wait(self, seconds: float) -> None:
        """Let so much of the store's time pass."""

    @abc.abstractmethod
    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait for it, within what a store may take."""


Law = Callable[[LeaseBench], Coroutine[Any, Any, None]]
Drive = Callable[[Callable[[LeaseBench], Coroutine[Any, Any, None]], Path], None]


def claim(lease_id: int, value: bytes = b"me") -> Transaction:
    """What a would-be master commits."""
    return Transaction(expects=((KEY, ABSENT),), puts=((KEY, value),), lease=lease_id)


def leases_of(store: Store) -> Leases:
    """The store's leases; the contract is for engines that have them."""
    assert store.leases is not None
    return store.leases


async def a_lease_lasts_at_least_as_long_as_was_asked_for(bench: LeaseBench) -> None:
    store = await bench.open()
    lease = await leases_of(store).grant(TTL_S)
    other = await leases_of(store).grant(TTL_S)
    assert lease.ttl_s >= TTL_S
    assert lease.id != other.id
    assert await leases_of(store).keep_alive(lease.id) >= TTL_S
    await store.close()


async def of_two_claims_one_wins_and_its_revision_is_the_key_s_version(bench: LeaseBench) -> None:
    store, other = await bench.open(), await bench.open()
    mine, theirs = await leases_of(store).grant(TTL_S), await leases_of(other).grant(TTL_S)
    epoch = await store.commit(claim(mine.id))
    with pytest.raises(Conflict) as caught:
        await other.commit(claim(theirs.id, b"they"))
    assert caught.value.key == KEY
    entry = await other.get(KEY)
    assert entry is not None
    assert (entry.value, entry.version) == (b"me", epoch)
    await store.close()
    await other.close()


async def revoking_deletes_the_keys_and_tells_watchers_of_both(bench: LeaseBench) -> None:
    store, other = await bench.open(), await bench.open()
    told: list[Change] = []
    ours: list[Change] = []
    lease = await leases_of(store).grant(TTL_S)
    epoch = await store.commit(claim(lease.id))
    other.watch(KEY, told.extend)
    store.watch(KEY, ours.extend)
    await leases_of(store).revoke(lease.id)
    await bench.until(lambda: bool(told and ours))
    assert [(change.key, change.value) for change in told] == [(KEY, None)]
    assert told == ours
    assert told[0].version > epoch
    with pytest.raises(Conflict):
        await store.commit(Transaction(expects=((KEY, epoch),), puts=(("job/1", b""),)))
    again = await leases_of(other).grant(TTL_S)
    assert await other.commit(claim(again.id)) > epoch
    await leases_of(store).revoke(lease.id)
    await store.close()
    await other.close()


async def a_lease_that_nobody_keeps_alive_ends_and_its_holder_can_write_nothing(
    bench: LeaseBench,
) -> None:
    store, other = await bench.open(), await bench.open()
    told: list[Change] = []
    lease = await leases_of(store).grant(TTL_S)
    epoch = await store.commit(claim(lease.id) + Transaction(puts=(("also", b""),)))
    other.watch(KEY, told.extend)
    await bench.wait(lease.ttl_s * 0.6)
    await leases_of(store).keep_alive(lease.id)
    await bench.wait(lease.ttl_s * 0.6)
    assert await other.get(KEY) is not None
    await bench.until(lambda: bool(told))
    assert await other.read("") == ()
    with pytest.raises(LeaseGone):
        await leases_of(store).keep_alive(lease.id)
    with pytest.raises(LeaseGone):
        await store.commit(Transaction(puts=(("late", b""),), lease=lease.id))
    with pytest.raises(Conflict):
        await store.commit(Transaction(expects=((KEY, epoch),), puts=(("late", b""),)))
    assert await store.get("late") is None
    await store.close()
    await other.close()


async def a_put_without_a_lease_frees_the_key_from_it(bench: LeaseBench) -> None:
    store = await bench.open()
    lease = await leases_of(store).grant(TTL_S)
    await store.commit(claim(lease.id))
    await store.commit(Transaction(puts=((KEY, b"stays"),)))
    await leases_of(store).revoke(lease.id)
    entry = await store.get(KEY)
    assert entry is not None
    assert entry.value == b"stays"
    await store.close()


LAWS: tuple[Law, ...] = (
    a_lease_lasts_at_least_as_long_as_was_asked_for,
    of_two_claims_one_wins_and_its_revision_is_the_key_s_version,
    revoking_deletes_the_keys_and_tells_watchers_of_both,
    a_lease_that_nobody_keeps_alive_ends_and_its_holder_can_write_nothing,
    a_put_without_a_lease_frees_the_key_from_it,
)


def lease_contract(drive: Drive) -> Callable[[Law, Path], None]:
    """A test that one engine keeps each law; ``drive`` makes its bench in a directory and runs."""

    @pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
    def keeps(law: Law, tmp_path: Path) -> None:
        drive(law, tmp_path)

    return keeps
