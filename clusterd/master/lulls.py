"""Links that just fell. A node daemon that is started anew is back within a second, and what is
decided in that second must not take its node for lost: it waits, and not for long.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from clusterd.world import Clock

LULL_S = 3.0
"""From the loss of a link on: enough for a daemon's start and the second try at the link."""


class Lulls:
    """Invariant: nobody waits for a node whose link stands, nor longer than ``LULL_S`` from its
    loss on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends: dict[str, Any] = {}
        self._waiting: dict[str, list[Deferred[None]]] = {}

    def begin(self, node: str) -> None:
        """The link of this node was lost now."""
        self.end(node)
        self._ends[node] = self._clock.callLater(LULL_S, self.end, node)

    def end(self, node: str) -> None:
        """The link stands again, nobody wants it, or it has been away for long enough."""
        ending = self._ends.pop(node, None)
        if ending is not None and ending.active():
            ending.cancel()
        for waiting in self._waiting.pop(node, ()):
            waiting.callback(None)

    @property
    def any(self) -> bool:
        """True while the link of some node may come back."""
        return bool(self._ends)

    async def over(self, nodes: Iterable[str]) -> None:
        """Return when the links of all these nodes stand again or have been away long enough."""
        awaited = [node for node in dict.fromkeys(nodes) if node in self._ends]
        await gatherResults([self._over(node) for node in awaited])

    def _over(self, node: str) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        self._waiting.setdefault(node, []).append(waiting)
        return waiting
