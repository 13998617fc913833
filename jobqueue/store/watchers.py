"""Who wants to hear of which keys: the part of ``watch`` that engines share.

Decided here: the order and the filtering of what watchers are told. Not decided here: when.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from jobqueue.store.interface import Change, Watcher

_log = structlog.get_logger()


class Watchers:
    """The watchers of one store object; told in the order in which they came."""

    def __init__(self) -> None:
        self._watchers: dict[int, tuple[str | None, str, Watcher]] = {}
        """Number -> the kind of keys, which is what they begin with to their first slash (None:
        any), the prefix that is wanted of these (empty: all), whom to tell."""
        self._next = 0

    def add(self, prefix: str, watcher: Watcher) -> Callable[[], None]:
        """Tell ``watcher`` of later commits; answers the function that ends it."""
        number = self._next
        self._next += 1
        kind = prefix[: prefix.find("/") + 1]
        wanted = "" if kind == prefix else prefix
        self._watchers[number] = (kind or None, wanted, watcher)

        def end() -> None:
            self._watchers.pop(number, None)

        return end

    def tell(self, changes: tuple[Change, ...]) -> None:
        """Tell of one commit. A watcher that raises is logged: the commit stands and the others
        and the committer must still learn of it."""
        # who is interested in another kind of keys is passed over at once: most are
        kinds: dict[str | None, list[Change]] = {None: list(changes)}
        for change in changes:
            key = change.key
            kinds.setdefault(key[: key.find("/") + 1], []).append(change)
        for number, (kind, prefix, watcher) in tuple(self._watchers.items()):
            if kind not in kinds:
                continue
            wanted = kinds[kind]
            if prefix:
                wanted = [change for change in wanted if change.key.startswith(prefix)]
            if not wanted or number not in self._watchers:
                continue
            try:
                watcher(tuple(wanted))
            except Exception:  # noqa: BLE001 - see above
                _log.exception("store watcher raised", prefix=prefix or kind)

    def clear(self) -> None:
        """Forget everybody."""
        self._watchers.clear()
