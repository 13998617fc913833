"""Many transactions of the store as one of etcd's, and its answer as many; all of it pure.

Each transaction becomes a nested one with conditions of its own, so one that conflicts fails alone.
etcd evaluates all conditions on the state before the whole, and refuses a key that is put twice; so
a transaction that touches what an earlier member of the group writes must wait for the next group.
In its failure branch a transaction reads the keys that it expected: so a conflict names its key.

The whole is conditioned on the writer's own key and writes it (see ``etcd_writer.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from jobqueue.errors import Conflict, StoreAway, StoreError
from jobqueue.store.etcd_wire import (
    KeyValue,
    OperationAnswer,
    RangeAnswer,
    TransactionAnswer,
    data_key,
)
from jobqueue.store.interface import ABSENT, Change, Transaction
from jobqueue.store.leadership import NO_LEASE
from jobqueue.store.memory import conflict_message

MOST_OPERATIONS = 128
"""etcd's own bound, which counts a nested transaction as one and then what it holds."""

GROUP_BYTES = 1_100_000
"""Keys and values of one group, keys counted as often as they are named; etcd takes 1.5 MiB."""

OPERATION_BYTES = 48
"""What etcd's framing adds to one operation, at most."""


class Applied(msgspec.Struct, frozen=True):
    """A transaction that etcd has committed."""

    revision: int
    changes: tuple[Change, ...] = ()


Outcome = Applied | StoreError


def first_group(waiting: Iterable[Transaction]) -> int:
    """How many from the front go together; at least one if any waits."""
    written: set[str] = set()
    count = widest = size_bytes = 0
    for transaction in waiting:
        keys = [key for key, _ in transaction.puts]
        keys += transaction.deletes
        size_bytes += _weight(transaction)
        widest = max(widest, len(keys), len(transaction.expects))
        fits = count + 2 + widest <= MOST_OPERATIONS and size_bytes <= GROUP_BYTES
        expected = (key for key, _ in transaction.expects)
        apart = written.isdisjoint(keys) and written.isdisjoint(expected)
        alone = transaction.lease != NO_LEASE
        if count and (alone or not fits or not apart):
            return count
        written.update(keys)
        count += 1
        if alone:
            return count
    return count


def _weight(transaction: Transaction) -> int:
    named = len(transaction.puts) + len(transaction.deletes) + 2 * len(transaction.expects)
    again = sum(len(key) for key, _ in transaction.expects)
    return transaction.size_bytes + again + OPERATION_BYTES * named


def writes(group: Sequence[Transaction]) -> bool:
    """Whether the group can change anything."""
    return any(one.puts or one.deletes for one in group)


def as_request(group: Sequence[Transaction], writer: bytes, base: int, mark: bytes) -> Any:
    """The whole: only if ``writer`` still has version ``base``; writes ``mark`` there unless empty.

    Otherwise answers the writer's key as it is.
    """
    mine = [{"request_put": {"key": writer, "value": mark}}] if mark else []
    return {
        "compare": [_version_is(writer, base)],
        "success": [*mine, *({"request_txn": _nested(one)} for one in group)],
        "failure": [{"request_range": {"key": writer}}],
    }


def _nested(transaction: Transaction) -> Any:
    lease = {} if transaction.lease == NO_LEASE else {"lease": str(transaction.lease)}
    expects = list(dict(transaction.expects).items())
    if len(expects) != len(set(transaction.expects)):
        expects = list(transaction.expects)
    puts = [
        {"request_put": {"key": data_key(key), "value": value} | lease}
        for key, value in transaction.puts
    ]
    deletes = [{"request_delete_range": {"key": data_key(key)}} for key in transaction.deletes]
    return {
        "compare": [_version_is(data_key(key), version) for key, version in expects],
        "success": [*puts, *deletes],
        "failure": [
            {"request_range": {"key": data_key(key), "keys_only": True}} for key, _ in expects
        ],
    }


def _version_is(key: bytes, version: int) -> Any:
    return {"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": str(version)}


def outcomes(group: Sequence[Transaction], answer: TransactionAnswer) -> list[Outcome]:
    """What became of each; the whole has succeeded."""
    nested = [one.response_txn for one in answer.responses if one.response_txn is not None]
    revision = answer.header.revision
    return [
        _outcome(transaction, found, revision)
        for transaction, found in zip(group, nested, strict=True)
    ]


def _outcome(transaction: Transaction, answer: TransactionAnswer, revision: int) -> Outcome:
    if not answer.succeeded:
        return _conflict(transaction, answer.responses)
    deletions = answer.responses[len(transaction.puts) :]
    gone = [
        key
        for key, found in zip(transaction.deletes, deletions, strict=True)
        if found.response_delete_range is not None and found.response_delete_range.deleted
    ]
    return _applied(transaction, gone, revision)


def _applied(transaction: Transaction, gone: Iterable[str], revision: int) -> Applied:
    changes = [Change(key, value, revision) for key, value in transaction.puts]
    return Applied(revision, (*changes, *(Change(key, None, revision) for key in gone)))


def _conflict(transaction: Transaction, answers: Sequence[OperationAnswer]) -> StoreError:
    """The first expectation that does not hold, by what the failure branch has read."""
    versions = {
        found.key: found.mod_revision
        for one in answers
        for found in (one.response_range or RangeAnswer()).kvs
    }
    return _first_wrong(transaction, versions) or StoreAway(
        "etcd refused a transaction and found nothing wrong with it: read and try again"
    )


def _first_wrong(transaction: Transaction, versions: dict[bytes, int]) -> Conflict | None:
    for key, version in transaction.expects:
        found = versions.get(data_key(key), ABSENT)
        if found != version:
            return Conflict(conflict_message(key, version, found), key=key)
    return None


# -- an answer that was lost -----------------------------------------------------------------------


def keys_decided_on(group: Sequence[Transaction]) -> list[bytes]:
    """Whose versions before the group's revision tell what became of each of its members."""
    keys: dict[bytes, None] = {}
    for transaction in group:
        keys |= {data_key(key): None for key, _ in transaction.expects}
        keys |= {data_key(key): None for key in transaction.deletes}
    return list(keys)


def outcomes_by_state(
    group: Sequence[Transaction], before: Iterable[KeyValue], revision: int
) -> list[Outcome]:
    """What became of each, by the state ``before`` the ``revision`` at which the whole happened."""
    versions = {found.key: found.mod_revision for found in before}
    return [_by_state(transaction, versions, revision) for transaction in group]


def _by_state(transaction: Transaction, versions: dict[bytes, int], revision: int) -> Outcome:
    gone = [key for key in transaction.deletes if data_key(key) in versions]
    return _first_wrong(transaction, versions) or _applied(transaction, gone, revision)
