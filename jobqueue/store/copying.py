"""Moving everything from one store to another: copied, read back, compared.

How the caller uses it: nobody writes to ``source`` meanwhile, and ``target`` belongs to this move
alone. What an earlier move that was broken off has left in it is removed first; anything else
there is refused. Nothing in ``source`` is changed, so until the caller declares the target to be
the store, the source is. Versions are not kept: no value holds one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

import msgspec

from jobqueue.errors import Refused, StoreError
from jobqueue.store.interface import ABSENT, MAX_BYTES, MAX_WRITES, Entry, Store, Transaction

UNFINISHED = "store-copy-unfinished"
"""In a target from the first write to the last."""

CHUNK_BYTES = MAX_BYTES // 2

Pair = tuple[str, bytes]
Change = Callable[[Entry], Pair | None]
"""What an entry becomes in the target; None: it is left out."""


class NotEqual(StoreError):
    """The copy differs from what was copied."""

    code = "copy_not_equal"


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """What was moved. ``digest``: SHA-256 over keys and values in order."""

    keys: int
    size_bytes: int
    digest: str


async def copy(source: Store, target: Store, change: Change, more: Iterable[Pair] = ()) -> Copied:
    """Copy all, changed by ``change``, with ``more`` beside it; raises Refused when the target is
    in use, NotEqual when what is read back differs, StoreError."""
    await _empty(target)
    entries = await source.read("")
    pairs = [pair for pair in map(change, entries) if pair is not None]
    pairs = sorted([*pairs, *more], key=lambda pair: pair[0].encode())
    await target.commit(Transaction(expects=((UNFINISHED, ABSENT),), puts=((UNFINISHED, b""),)))
    for chunk in chunks(pairs):
        await target.commit(Transaction(puts=tuple(chunk)))
    found = [(entry.key, entry.value) for entry in await target.read("") if entry.key != UNFINISHED]
    if found != pairs:
        raise NotEqual(_difference(dict(pairs), dict(found)))
    if [entry.version for entry in await source.read("")] != [entry.version for entry in entries]:
        raise NotEqual("somebody wrote to the old store meanwhile: end it and try again")
    await target.commit(Transaction(deletes=(UNFINISHED,)))
    return Copied(
        keys=len(pairs),
        size_bytes=sum(len(key.encode()) + len(value) for key, value in pairs),
        digest=digest(pairs),
    )


def chunks(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    """Parts that fit into one transaction each."""
    chunk: list[Pair] = []
    size_bytes = 0
    for key, value in pairs:
        weight = len(key.encode()) + len(value)
        if chunk and (len(chunk) == MAX_WRITES or size_bytes + weight > CHUNK_BYTES):
            yield chunk
            chunk, size_bytes = [], 0
        chunk.append((key, value))
        size_bytes += weight
    if chunk:
        yield chunk


def digest(pairs: Iterable[Pair]) -> str:
    """One text for the whole state; equal for equal states in any engine."""
    sums = hashlib.sha256()
    for key, value in pairs:
        for part in (key.encode(), value):
            sums.update(len(part).to_bytes(8, "big"))
            sums.update(part)
    return sums.hexdigest()


async def _empty(target: Store) -> None:
    """Remove what a move that was broken off has left."""
    if await target.get(UNFINISHED) is None:
        if await target.read(""):
            raise Refused(
                "The new store holds data already: it is the store of a cluster", "wrong_state"
            )
        return
    keys = [entry.key for entry in await target.read("") if entry.key != UNFINISHED]
    for start in range(0, len(keys), MAX_WRITES):
        await target.commit(Transaction(deletes=tuple(keys[start : start + MAX_WRITES])))
    await target.commit(Transaction(deletes=(UNFINISHED,)))


def _difference(wanted: dict[str, bytes], found: dict[str, bytes]) -> str:
    keys = sorted(key for key in {**wanted, **found} if wanted.get(key) != found.get(key))
    shown = ", ".join(keys[:5])
    return f"the copy differs in {len(keys)} keys ({shown}): try again"
