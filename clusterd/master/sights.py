"""What the master knows of each node: the latest observation and whether its link stands.

Kept in memory only; nodes push it again after a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
import structlog

from clusterd.master.lulls import Lulls
from clusterd.observation import Glimpse, Observation, Sighting, with_guest
from clusterd.world import Clock

LOG = structlog.get_logger("master")

NEVER = Sighting()


class Sightings:
    """Hears of all links and keeps the latest of each node."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.seconds
        self.lulls = Lulls(clock)
        self._sights: dict[str, Sighting] = {}
        self._awaited: list[tuple[set[str], Callable[[], None]]] = []
        self.deposed_by: Callable[[str], None] = lambda why: None
        self.returned: Callable[[str], None] = lambda node: None
        """Called with a node whose link stands again, or of which a hypervisor answers again."""
        self.changed: Callable[[str], None] = lambda node: None
        """Called with a node that was seen."""

    def sight(self, node: str) -> Sighting:
        """The latest knowledge of a node."""
        return self._sights.get(node, NEVER)

    def once_seen(self, nodes: Iterable[str], then: Callable[[], None]) -> None:
        """Call ``then`` when each of these has been seen; at once if that is so already."""
        missing = {node for node in nodes if self.sight(node).observation is None}
        if missing:
            self._awaited.append((missing, then))
        else:
            then()

    def forget(self, node: str) -> None:
        """The node is no longer part of the cluster."""
        self._sights.pop(node, None)
        self.lulls.end(node)

    # -- what links say --------------------------------------------------------------------------

    def sighted(self, node: str, observation: Observation) -> None:
        """A node says what it sees; its link stands."""
        old = self.sight(node).observation
        self._sights[node] = Sighting(observation=observation, received=self._now(), connected=True)
        self._tick_off(node)
        self.changed(node)
        if old is not None and set(observation.guests) - set(old.guests):
            self.returned(node)

    def shown(self, node: str, glimpse: Glimpse) -> None:
        """A node says what it sees of one guest; the rest is as it was."""
        old = self.sight(node)
        if old.observation is not None:
            seen = with_guest(old.observation, glimpse)
            self._sights[node] = msgspec.structs.replace(old, observation=seen)
            self.changed(node)

    def connected(self, node: str) -> None:
        """A link stands."""
        old = self.sight(node)
        LOG.info("node connected", node=node)
        self._sights[node] = Sighting(
            observation=old.observation, received=old.received, connected=True
        )
        self.lulls.end(node)
        self.returned(node)

    def disconnected(self, node: str, why: str) -> None:
        """A link that stood is gone. What was seen last stays, with its age."""
        old = self.sight(node)
        LOG.warning("node disconnected", node=node, why=why)
        self._sights[node] = Sighting(
            observation=old.observation, received=old.received, connected=False
        )
        self.lulls.begin(node)

    def deposed(self, node: str, why: str) -> None:
        """A node has seen a newer master."""
        LOG.error("deposed", node=node, why=why)
        self.deposed_by(why)

    def _tick_off(self, node: str) -> None:
        for missing, _then in self._awaited:
            missing.discard(node)
        done = [then for missing, then in self._awaited if not missing]
        self._awaited = [(missing, then) for missing, then in self._awaited if missing]
        for then in done:
            then()
