"""Fresh looks at nodes, shared: who asks while a node is being looked at gets the next look, with
all others who ask meanwhile. So nobody gets a look that began before he asked, and a node is looked
at once at a time, however many ask.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred


class Looks:
    """``look`` looks at one node and never raises."""

    def __init__(self, look: Callable[[str], Awaitable[None]]) -> None:
        self._look = look
        self._busy: set[str] = set()
        self._next: dict[str, list[Deferred[None]]] = {}

    async def fresh(self, node: str) -> None:
        """Return once a look has ended that began after this was called."""
        if node in self._busy:
            waiting: Deferred[None] = Deferred()
            self._next.setdefault(node, []).append(waiting)
            await waiting
            return
        self._busy.add(node)
        try:
            await self._look(node)
        finally:
            self._busy.discard(node)
            self._serve(node)

    def _serve(self, node: str) -> None:
        waiting = self._next.pop(node, [])
        if waiting:
            Deferred.fromCoroutine(self._for_all(node, waiting))

    async def _for_all(self, node: str, waiting: list[Deferred[None]]) -> None:
        try:
            await self.fresh(node)
        finally:
            for one in waiting:
                if not one.called:
                    one.callback(None)
