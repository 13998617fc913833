"""Hearing of what others write: what is known of each watched prefix, and what of it is news.

Decided here: a change of a key is never told after a newer one of that key. Own commits are told by
the store itself, before their committer hears; etcd's stream brings them again, and they are left
out by their version. Not decided here: how the stream is kept up (``etcd_stream.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jobqueue.store.etcd_wire import DATA, KeyValue, WatchEvent, data_key
from jobqueue.store.interface import Change

GONE_KEPT = 10_000
"""So many keys that went are remembered; with more, an old change of one might be told late."""


class Knowledge:
    """The keys under one prefix as they were told.

    Invariant: ``versions`` holds each key's version at its last change that was told or listed,
    ``gone`` the revisions at which keys went.
    """

    def __init__(self, prefix: str, revision: int) -> None:
        """``revision``: the latest that is known to the one who watches; 0: none is."""
        self.prefix = prefix
        self.start = data_key(prefix)
        self.next: int | None = revision + 1 if revision else None
        """The revision from which on changes are still to be heard; None: not known yet."""
        self.versions: dict[bytes, int] = {}
        self.gone: dict[bytes, int] = {}

    def seen(self, revision: int) -> None:
        """etcd has answered from this revision: what is later is later than the ``watch``."""
        if self.next is None:
            self.next = revision + 1

    def covers(self, prefix: str) -> bool:
        """Whether everything under ``prefix`` is heard of here."""
        return prefix.startswith(self.prefix)

    def take_over(self, narrower: Knowledge) -> None:
        """Go on in its place."""
        self.versions |= narrower.versions
        self.gone |= narrower.gone
        known = [one for one in (self.next, narrower.next) if one is not None]
        self.next = min(known) if known else None

    def list(self, found: Iterable[KeyValue]) -> None:
        """These are there; so that the loss of one can be told, even if it was not seen."""
        for kv in found:
            if self.next is not None and self.version(kv.key) < kv.mod_revision < self.next:
                self.versions[kv.key] = kv.mod_revision

    def own(self, changes: Sequence[Change]) -> tuple[Change, ...]:
        """The store itself tells of these; which of them the stream has not told already."""
        return tuple(change for change in changes if self._is_mine(change))

    def _is_mine(self, change: Change) -> bool:
        if not change.key.startswith(self.prefix):
            return False
        key = data_key(change.key)
        if change.version <= self.version(key):
            return False
        self._remember(key, change.version, there=change.value is not None)
        return True

    def news(self, events: Iterable[WatchEvent]) -> tuple[Change, ...]:
        """What of it was not told before."""
        found = []
        for event in events:
            kv, there = event.kv, event.type != "DELETE"
            if kv.mod_revision <= self.version(kv.key):
                continue
            self._remember(kv.key, kv.mod_revision, there=there)
            key = kv.key[len(DATA) :].decode()
            found.append(Change(key, kv.value if there else None, kv.mod_revision))
        return tuple(found)

    def difference(self, found: Sequence[KeyValue], revision: int) -> tuple[Change, ...]:
        """What of the state at ``revision`` is news, the loss of keys included."""
        there = {kv.key for kv in found}
        lost = sorted(key for key in self.versions if key not in there)
        events = [WatchEvent(kv) for kv in found]
        events += [WatchEvent(KeyValue(key, b"", revision), "DELETE") for key in lost]
        self.next = max(self.next or 0, revision + 1)
        return self.news(events)

    def version(self, key: bytes) -> int:
        """The revision of the last change of the key that was told."""
        return max(self.versions.get(key, 0), self.gone.get(key, 0))

    def _remember(self, key: bytes, version: int, *, there: bool) -> None:
        if there:
            self.versions[key] = version
            self.gone.pop(key, None)
            return
        self.versions.pop(key, None)
        self.gone[key] = version
        if len(self.gone) > GONE_KEPT:
            del self.gone[next(iter(self.gone))]
