"""The SQLite file: opening, one group of transactions, reading. All of it blocks.

Decided here: the schema, durability (WAL, synchronous FULL: one fsync per group), what an SQLite
error means. Not decided here: threads, watchers, who is told when - see ``sqlite.py``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from jobqueue.errors import Conflict, StoreAway, StoreError, StoreFull
from jobqueue.store.interface import ABSENT, Change, Entry, Transaction
from jobqueue.store.leadership import NO_LEASE
from jobqueue.store.memory import conflict_message

FORMAT = 1
"""``PRAGMA user_version`` of the files that this code writes."""

WAL_KEPT_BYTES = 16 * 1024 * 1024
"""A longer write-ahead log is cut back after it was copied into the database."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS kv (
    key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL, version INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL)
    WITHOUT ROWID;
INSERT OR IGNORE INTO meta VALUES ('revision', 0);
"""

READ_RANGE = "SELECT key, value, version FROM kv WHERE key >= ? AND key < ? ORDER BY key"
READ_ALL = "SELECT key, value, version FROM kv ORDER BY key"
READ_ONE = "SELECT key, value, version FROM kv WHERE key = ?"
READ_VERSION = "SELECT version FROM kv WHERE key = ?"
PUT = (
    "INSERT INTO kv VALUES (?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version"
)


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may bound."""

    locked_for_s: float = 5.0
    """How long another program may hold the database before commits fail."""

    size_mib: float = 0
    """Largest size of the database; 0: as large as the disk allows."""


class Written(msgspec.Struct, frozen=True):
    """A transaction that is on the disk."""

    revision: int
    changes: tuple[Change, ...]


class SqliteFile:
    """One database that this process alone has open.

    Invariant: ``revision`` is that of the last commit that SQLite reported as done. ``write`` and
    ``read`` use connections of their own, so one thread each may be inside at a time.
    """

    def __init__(self, path: Path, bounds: Bounds) -> None:
        self._path = path
        self._bounds = bounds
        self._lock = _lock(path)
        self._open: list[sqlite3.Connection] = []
        try:
            self._writer = self._connect()
            self._prepare()
            self._reader = self._connect()
            _sync_directory(path.parent)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise self._error(error) from error
        except StoreError:
            self.close()
            raise

    def write(self, group: Sequence[Transaction]) -> list[Written | StoreError]:
        """Write a group with one fsync; each answer is that of one transaction, in order.

        A conflicting transaction fails alone. When the group finds no room, or one of its members
        makes no sense, they are tried one by one: one that deletes may still fit.
        """
        try:
            return self._write_together(group)
        except sqlite3.Error as error:
            self._roll_back()
            if len(group) > 1 and not isinstance(self._error(error), StoreAway):
                return [self.write([transaction])[0] for transaction in group]
            return [self._error(error) for _ in group]
        except BaseException:
            self._roll_back()
            raise

    def read(self, prefix: str) -> tuple[Entry, ...]:
        """Entries under a prefix in key order: one statement, so one revision."""
        end = prefix_end(prefix)
        if end is None:
            rows = self._ask(READ_ALL)
            return tuple(Entry(*row) for row in rows if row[0].startswith(prefix))
        return tuple(Entry(*row) for row in self._ask(READ_RANGE, prefix, end))

    def get(self, key: str) -> Entry | None:
        """One entry."""
        rows = self._ask(READ_ONE, key)
        return Entry(*rows[0]) if rows else None

    def close(self) -> None:
        """Copy the log into the database and let go of both; again: nothing."""
        for connection in self._open:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        self._open = []
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _ask(self, statement: str, *arguments: str) -> list[tuple[str, bytes, int]]:
        try:
            return self._reader.execute(statement, arguments).fetchall()
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            timeout=self._bounds.locked_for_s,
            isolation_level=None,
            check_same_thread=False,
        )
        self._open.append(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
        return connection

    def _prepare(self) -> None:
        (form,) = self._writer.execute("PRAGMA user_version").fetchone()
        if form > FORMAT:
            raise StoreAway(
                f"the store {self._path} has format {form} and this version knows formats up to"
                f" {FORMAT}: install the version that wrote it"
            )
        if form < FORMAT:
            self._writer.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
        if self._bounds.size_mib:
            (page_bytes,) = self._writer.execute("PRAGMA page_size").fetchone()
            pages = int(self._bounds.size_mib * 1024 * 1024 / page_bytes)
            self._writer.execute(f"PRAGMA max_page_count = {pages}")
        (self.revision,) = self._writer.execute(
            "SELECT value FROM meta WHERE name = 'revision'"
        ).fetchone()

    def _write_together(self, group: Sequence[Transaction]) -> list[Written | StoreError]:
        revision = self.revision
        answers: list[Written | StoreError] = []
        self._writer.execute("BEGIN IMMEDIATE")
        for transaction in group:
            answer = self._apply(transaction, revision)
            answers.append(answer)
            if isinstance(answer, Written):
                revision = answer.revision
        if revision == self.revision:
            self._writer.execute("ROLLBACK")
            return answers
        self._writer.execute("UPDATE meta SET value = ? WHERE name = 'revision'", (revision,))
        self._writer.execute("COMMIT")
        self.revision = revision
        return answers

    def _apply(self, transaction: Transaction, revision: int) -> Written | StoreError:
        """Write one; expectations first, so a conflict has nothing to take back."""
        execute = self._writer.execute
        if transaction.lease != NO_LEASE:
            return StoreError("an embedded store grants no leases: it has one master only")
        for key, version in transaction.expects:
            row = execute(READ_VERSION, (key,)).fetchone()
            found = ABSENT if row is None else row[0]
            if found != version:
                return Conflict(conflict_message(key, version, found), key=key)
        mine = revision + 1
        for key, value in transaction.puts:
            execute(PUT, (key, value, mine))
        changes = [Change(key, value, mine) for key, value in transaction.puts]
        for key in transaction.deletes:
            if execute("DELETE FROM kv WHERE key = ?", (key,)).rowcount:
                changes.append(Change(key, None, mine))
        return Written(mine if changes else revision, tuple(changes))

    def _roll_back(self) -> None:
        """SQLite rolls back by itself after some errors and not after others."""
        if self._writer.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")

    def _error(self, error: sqlite3.Error | OSError) -> StoreError:
        """What the contract calls it."""
        if _is_full(error):
            return StoreFull(
                f"the store {self._path} has no room left ({error}):"
                " free disk space on the master; jobs under way go on then"
            )
        primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if primary in _SENSELESS or isinstance(error, _SENSELESS_TYPES):
            return StoreError(f"the store {self._path} cannot write the transaction ({error})")
        advice = _ADVICE.get(primary, "see the system log for the disk's errors")
        return StoreAway(f"the store {self._path} does not answer ({error}): {advice}")


_ADVICE = {
    sqlite3.SQLITE_BUSY: "another program has locked the database; end it",
    sqlite3.SQLITE_LOCKED: "another program has locked the database; end it",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore it from a backup",
    sqlite3.SQLITE_NOTADB: "the file is not a store; restore it from a backup",
    sqlite3.SQLITE_READONLY: "the file or its directory is read-only; make it writable",
    sqlite3.SQLITE_CANTOPEN: "the directory must exist and be writable",
}


_SENSELESS = frozenset({sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG})
_SENSELESS_TYPES = (sqlite3.ProgrammingError, sqlite3.InterfaceError)
"""What a wrong transaction causes and trying again cannot help."""


def prefix_end(prefix: str) -> str | None:
    """The first text after everything that starts with ``prefix``; None when there is none."""
    kept = prefix.rstrip("\U0010ffff")
    if not kept:
        return None
    code = ord(kept[-1]) + 1
    if 0xD800 <= code <= 0xDFFF:  # surrogates are no characters of their own
        code = 0xE000
    return kept[:-1] + chr(code)


def _is_full(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def _lock(path: Path) -> int:
    """Hold ``path``.lock for as long as this process lives; a dead process's lock is free."""
    try:
        handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreAway(
            f"the store {path} cannot be opened ({error}): the directory must exist and be writable"
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(handle, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise StoreAway(
            f"the store {path} is in use by process {owner}: end that one first"
        ) from error
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    # The store holds secrets: SQLite gives the mode of the database to its log as well.
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    return handle


def _sync_directory(directory: Path) -> None:
    """A new file is lost with the power as long as its directory was not written."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
