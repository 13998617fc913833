"""What every store must keep, as a list of laws; ``store_contract`` makes a test of them.

A law is handed a ``Bench``, which opens the store under test again and again on the same data.
"""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults

from jobqueue.errors import Conflict, KeyTwice, StoreAway, TooLarge
from jobqueue.store.interface import (
    ABSENT,
    MAX_BYTES,
    MAX_EXPECTS,
    MAX_WRITES,
    Change,
    Entry,
    Store,
    Transaction,
)


class Bench(abc.ABC):
    """One store's data; ``open`` answers a new store object on it."""

    @abc.abstractmethod
    async def open(self) -> Store:
        """A store object; the one before it was closed."""


Law = Callable[[Bench], Coroutine[Any, Any, None]]
Drive = Callable[[Callable[[Bench], Coroutine[Any, Any, None]], Path], None]


def put(*pairs: tuple[str, bytes], **expects: int) -> Transaction:
    """A transaction of puts; ``expects`` by key."""
    return Transaction(expects=tuple(expects.items()), puts=pairs)


async def keys_of(store: Store, prefix: str = "") -> list[str]:
    """The keys under a prefix as the store orders them."""
    return [entry.key for entry in await store.read(prefix)]


async def a_new_store_is_empty(bench: Bench) -> None:
    store = await bench.open()
    assert await store.read("") == ()
    assert await store.get("a") is None
    await store.close()


async def entries_have_the_revision_of_their_last_write(bench: Bench) -> None:
    store = await bench.open()
    first = await store.commit(put(("a", b"1"), ("b", b"1")))
    second = await store.commit(put(("a", b"2")))
    assert ABSENT < first < second
    assert await store.get("a") == Entry("a", b"2", second)
    assert await store.get("b") == Entry("b", b"1", first)
    assert await store.read("") == (Entry("a", b"2", second), Entry("b", b"1", first))
    await store.close()


async def expectations_over_many_keys_hold_together(bench: Bench) -> None:
    store = await bench.open()
    base = await store.commit(put(*[(f"k{n}", b"0") for n in range(MAX_EXPECTS - 1)]))
    expects = tuple((f"k{n}", base) for n in range(MAX_EXPECTS - 1))
    good = Transaction(expects=(*expects, ("new", ABSENT)), puts=(("new", b"1"),))
    revision = await store.commit(good)
    assert revision > base
    changed = await store.commit(put(("k7", b"1")))
    bad = Transaction(expects=expects, puts=(("k0", b"2"), ("x", b"2")), deletes=("k1",))
    with pytest.raises(Conflict, match=f"'k7'.*{base}.*{changed}"):
        await store.commit(bad)
    assert await store.get("k0") == Entry("k0", b"0", base)
    assert await store.get("k1") == Entry("k1", b"0", base)
    assert await store.get("x") is None
    await store.close()


async def absence_can_be_expected(bench: Bench) -> None:
    store = await bench.open()
    await store.commit(put(("a", b"1"), a=ABSENT))
    with pytest.raises(Conflict, match=r"'a'.*absent"):
        await store.commit(put(("a", b"2"), a=ABSENT))
    with pytest.raises(Conflict, match=r"'b'.*is absent"):
        await store.commit(put(("b", b"2"), b=7))
    assert await keys_of(store) == ["a"]
    await store.close()


async def a_key_that_was_deleted_is_absent_and_its_old_version_never_fits(bench: Bench) -> None:
    store = await bench.open()
    old = await store.commit(put(("a", b"1")))
    await store.commit(Transaction(deletes=("a",)))
    assert await store.get("a") is None
    with pytest.raises(Conflict):
        await store.commit(put(("a", b"2"), a=old))
    again = await store.commit(put(("a", b"2"), a=ABSENT))
    assert again > old
    await store.close()


async def the_same_expectation_may_stand_twice(bench: Bench) -> None:
    store = await bench.open()
    base = await store.commit(put(("a", b"1")))
    fence = Transaction(expects=(("a", base),))
    await store.commit(fence + fence + put(("b", b"1")))
    assert await keys_of(store) == ["a", "b"]
    await store.close()


async def a_transaction_that_changes_nothing_tells_nobody_and_changes_no_version(
    bench: Bench,
) -> None:
    store = await bench.open()
    told: list[tuple[Change, ...]] = []
    base = await store.commit(put(("a", b"1")))
    store.watch("", told.append)
    assert await store.commit(Transaction()) >= base
    assert await store.commit(Transaction(deletes=("missing",))) >= base
    assert await store.commit(Transaction(expects=(("a", base),))) >= base
    assert await store.get("a") == Entry("a", b"1", base)
    with pytest.raises(Conflict, match="'a'"):
        await store.commit(Transaction(expects=(("a", ABSENT),)))
    assert told == []
    await store.close()


async def commits_happen_in_the_order_of_handing_in(bench: Bench) -> None:
    store = await bench.open()
    told: list[int] = []
    store.watch("n", lambda changes: told.extend(int(c.value or b"-1") for c in changes))
    waiting = [Deferred.fromCoroutine(store.commit(put(("n", b"%d" % n)))) for n in range(200)]
    revisions = await gatherResults(waiting)
    assert list(revisions) == sorted(set(revisions))
    assert told == list(range(200))
    entry = await store.get("n")
    assert entry == Entry("n", b"199", revisions[-1])
    await store.close()


async def of_many_at_once_one_wins_and_losers_hurt_nobody(bench: Bench) -> None:
    store = await bench.open()
    outcomes: list[str] = []

    async def claim(number: int) -> None:
        try:
            await store.commit(put(("lease", b"%d" % number), lease=ABSENT))
        except Conflict:
            outcomes.append(f"lost {number}")
        else:
            outcomes.append(f"won {number}")

    async def add(number: int) -> None:
        await store.commit(put((f"other/{number}", b"")))

    both = [Deferred.fromCoroutine(task(n)) for n in range(20) for task in (claim, add)]
    await gatherResults(both)
    assert sorted(outcomes)[-1] == "won 0"
    assert len(outcomes) == 20
    assert len(await keys_of(store, "other/")) == 20
    await store.close()


async def a_prefix_reads_its_own_keys_in_bytewise_order(bench: Bench) -> None:
    store = await bench.open()
    keys = ["a", "a/", "a/1", "a/10", "a/2", "a/é", "a/\U0001f600", "a/\uffee", "a0", "ab", "b/1"]
    await store.commit(put(*[(key, key.encode()) for key in reversed(keys)]))
    under = sorted((key for key in keys if key.startswith("a/")), key=str.encode)
    assert await keys_of(store, "a/") == under
    assert await keys_of(store, "a") == sorted((k for k in keys if k[0] == "a"), key=str.encode)
    assert await keys_of(store) == sorted(keys, key=str.encode)
    assert await keys_of(store, "a/1") == ["a/1", "a/10"]
    assert await keys_of(store, "c") == []
    assert [e.value.decode() for e in await store.read("a/")] == under
    await store.close()


async def prefixes_at_the_edge_of_the_alphabet_are_exact(bench: Bench) -> None:
    store = await bench.open()
    keys = ["x\ud7ff", "x\ud7ff1", "x\ue000", "x\U0010ffff", "x\U0010ffff1", "y", "\U0010ffff"]
    await store.commit(put(*[(key, b"") for key in keys]))
    assert await keys_of(store, "x\ud7ff") == ["x\ud7ff", "x\ud7ff1"]
    assert await keys_of(store, "x\U0010ffff") == ["x\U0010ffff", "x\U0010ffff1"]
    assert await keys_of(store, "\U0010ffff") == ["\U0010ffff"]
    await store.close()


async def watchers_hear_what_changed_before_commit_returns(bench: Bench) -> None:
    store = await bench.open()
    told: list[tuple[Change, ...]] = []
    end = store.watch("a/", told.append)
    first = await store.commit(put(("a/1", b"1"), ("ab", b"1"), ("b", b"1")))
    assert told == [(Change("a/1", b"1", first),)]
    await store.commit(put(("ab", b"2")))
    third = await store.commit(Transaction(puts=(("a/2", b"3"),), deletes=("a/1", "a/never")))
    assert told[1:] == [(Change("a/2", b"3", third), Change("a/1", None, third))]
    end()
    end()
    await store.commit(put(("a/3", b"4")))
    assert len(told) == 2
    await store.close()


async def watchers_hear_of_whatever_begins_with_their_prefix(bench: Bench) -> None:
    store = await bench.open()
    told: list[tuple[str, str]] = []
    for prefix in ("", "a", "ab", "a/", "a/12/", "b/"):
        store.watch(prefix, lambda changes, to=prefix: told.extend((to, c.key) for c in changes))  # type: ignore[misc]
    for key in ("a/12/3", "ab", "a", "ab/1"):
        await store.commit(put((key, b"1")))
    heard = {key: [to for to, about in told if about == key] for _, key in told}
    assert heard["a/12/3"] == ["", "a", "a/", "a/12/"]
    assert heard["ab"] == heard["ab/1"] == ["", "a", "ab"]
    assert heard["a"] == ["", "a"]
    await store.close()


async def a_conflict_tells_nobody(bench: Bench) -> None:
    store = await bench.open()
    told: list[tuple[Change, ...]] = []
    store.watch("", told.append)
    with pytest.raises(Conflict):
        await store.commit(put(("a", b"1"), a=5))
    assert told == []
    await store.close()


async def watchers_hear_in_order_of_coming_and_may_end_each_other(bench: Bench) -> None:
    store = await bench.open()
    told: list[str] = []

    def first(changes: tuple[Change, ...]) -> None:
        told.append("first")
        end_second()

    store.watch("", first)
    end_second = store.watch("", lambda changes: told.append("second"))
    store.watch("", lambda changes: told.append("third"))
    await store.commit(put(("a", b"1")))
    assert told == ["first", "third"]
    await store.close()


async def a_commit_from_within_a_watcher_is_heard_after_the_current_one(bench: Bench) -> None:
    store = await bench.open()
    told: list[str] = []
    nested: list[Deferred[int]] = []

    def answer(changes: tuple[Change, ...]) -> None:
        told.append(f"answerer {changes[0].key}")
        if changes[0].key == "question":
            nested.append(Deferred.fromCoroutine(store.commit(put(("answer", b"")))))

    store.watch("", answer)
    store.watch("", lambda changes: told.append(f"listener {changes[0].key}"))
    await store.commit(put(("question", b"")))
    await gatherResults(nested)
    assert told == [
        "answerer question",
        "listener question",
        "answerer answer",
        "listener answer",
    ]
    await store.close()


async def bounds_are_kept_and_named(bench: Bench) -> None:
    store = await bench.open()
    many = [(f"k{n:04}", b"") for n in range(MAX_WRITES + 1)]
    await store.commit(put(*many[:MAX_WRITES]))
    with pytest.raises(TooLarge, match=str(MAX_WRITES + 1)):
        await store.commit(put(*many))
    with pytest.raises(TooLarge, match=str(MAX_WRITES)):
        await store.commit(Transaction(deletes=tuple(key for key, _ in many)))
    expects = tuple((f"e{n}", ABSENT) for n in range(MAX_EXPECTS + 1))
    with pytest.raises(TooLarge, match=str(MAX_EXPECTS + 1)):
        await store.commit(Transaction(expects=expects))
    with pytest.raises(TooLarge, match=str(MAX_BYTES)):
        await store.commit(put(("big", b"x" * MAX_BYTES)))
    assert len(await keys_of(store)) == MAX_WRITES
    await store.close()


async def a_key_is_written_once_in_a_transaction(bench: Bench) -> None:
    store = await bench.open()
    for wrong in (
        put(("a", b"1"), ("a", b"2")),
        Transaction(puts=(("a", b"1"),), deletes=("a",)),
        Transaction(deletes=("a", "a")),
    ):
        with pytest.raises(KeyTwice, match="'a'"):
            await store.commit(wrong)
    assert await keys_of(store) == []
    await store.close()


async def values_are_bytes_of_any_content_and_size(bench: Bench) -> None:
    store = await bench.open()
    large = bytes(range(256)) * ((MAX_BYTES - 256) // 256)
    await store.commit(put(("empty", b""), ("zero", b"\0")))
    await store.commit(put(("large", large)))
    assert [e.value for e in await store.read("")] == [b"", large, b"\0"]
    await store.close()


async def reopening_keeps_data_versions_and_the_revision(bench: Bench) -> None:
    store = await bench.open()
    await store.commit(put(("a", b"1"), ("b", b"1")))
    last = await store.commit(Transaction(puts=(("a", b"2"),), deletes=("b",)))
    before = await store.read("")
    await store.close()
    store = await bench.open()
    assert await store.read("") == before
    assert await store.commit(Transaction()) >= last
    assert await store.commit(put(("c", b""), a=last)) > last
    await store.close()


async def closing_finishes_what_was_handed_in(bench: Bench) -> None:
    store = await bench.open()
    waiting = [Deferred.fromCoroutine(store.commit(put((f"k{n:03}", b"")))) for n in range(50)]
    await store.close()
    assert len(await gatherResults(waiting)) == 50
    store = await bench.open()
    assert len(await keys_of(store)) == 50
    await store.close()


async def a_closed_store_says_so_and_closes_again(bench: Bench) -> None:
    store = await bench.open()
    closing = [Deferred.fromCoroutine(store.close()) for _ in range(2)]
    await gatherResults(closing)
    await store.close()
    attempts: list[Awaitable[object]] = [
        store.commit(put(("a", b""))),
        store.read(""),
        store.get("a"),
    ]
    for attempt in attempts:
        with pytest.raises(StoreAway, match="closed"):
            await attempt


async def a_caller_that_gave_up_does_not_undo_its_commit(bench: Bench) -> None:
    store = await bench.open()
    told: list[str] = []
    store.watch("", lambda changes: told.extend(change.key for change in changes))
    given_up = Deferred.fromCoroutine(store.commit(put(("a", b"1"))))
    given_up.addErrback(lambda failure: None)
    given_up.cancel()
    await store.commit(put(("b", b"1")))
    assert told == ["a", "b"]
    assert await keys_of(store) == ["a", "b"]
    await store.close()


LAWS: tuple[Law, ...] = (
    a_new_store_is_empty,
    entries_have_the_revision_of_their_last_write,
    expectations_over_many_keys_hold_together,
    absence_can_be_expected,
    a_key_that_was_deleted_is_absent_and_its_old_version_never_fits,
    the_same_expectation_may_stand_twice,
    a_transaction_that_changes_nothing_tells_nobody_and_changes_no_version,
    commits_happen_in_the_order_of_handing_in,
    of_many_at_once_one_wins_and_losers_hurt_nobody,
    a_prefix_reads_its_own_keys_in_bytewise_order,
    prefixes_at_the_edge_of_the_alphabet_are_exact,
    watchers_hear_what_changed_before_commit_returns,
    watchers_hear_of_whatever_begins_with_their_prefix,
    a_conflict_tells_nobody,
    watchers_hear_in_order_of_coming_and_may_end_each_other,
    a_commit_from_within_a_watcher_is_heard_after_the_current_one,
    bounds_are_kept_and_named,
    a_key_is_written_once_in_a_transaction,
    values_are_bytes_of_any_content_and_size,
    reopening_keeps_data_versions_and_the_revision,
    closing_finishes_what_was_handed_in,
    a_closed_store_says_so_and_closes_again,
    a_caller_that_gave_up_does_not_undo_its_commit,
)


def store_contract(drive: Drive) -> Callable[[Law, Path], None]:
    """A test that one engine keeps each law; ``drive`` makes its bench in a directory and runs."""

    @pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
    def keeps(law: Law, tmp_path: Path) -> None:
        drive(law, tmp_path)

    return keeps
