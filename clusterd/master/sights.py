"""What the master knows of each node: the latest observation and whether its link stands.

Kept in memory only; nodes push it again after a restart.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from clusterd.observation import Observation, Sighting

LOG = structlog.get_logger("master")

NEVER = Sighting()


class Sightings:
    """Hears of all links and keeps the latest of each node."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._sights: dict[str, Sighting] = {}
        self.deposed_by: Callable[[str], None] = lambda why: None
        self.returned: Callable[[str], None] = lambda node: None
        """Called with a node whose link stands (again)."""
        self.changed: Callable[[str], None] = lambda node: None
        """Called with a node that was seen."""

    def sight(self, node: str) -> Sighting:
        """The latest knowledge of a node."""
        return self._sights.get(node, NEVER)

    def forget(self, node: str) -> None:
        """The node is no longer part of the cluster."""
        self._sights.pop(node, None)

    # -- what links say --------------------------------------------------------------------------

    def sighted(self, node: str, observation: Observation) -> None:
        """A node says what it sees; its link stands."""
        self._sights[node] = Sighting(observation=observation, received=self._now(), connected=True)
        self.changed(node)

    def connected(self, node: str) -> None:
        """A link stands."""
        old = self.sight(node)
        LOG.info("node connected", node=node)
        self._sights[node] = Sighting(
            observation=old.observation, received=old.received, connected=True
        )
        self.returned(node)

    def disconnected(self, node: str, why: str) -> None:
        """A link that stood is gone. What was seen last stays, with its age."""
        old = self.sight(node)
        LOG.warning("node disconnected", node=node, why=why)
        self._sights[node] = Sighting(
            observation=old.observation, received=old.received, connected=False
        )

    def deposed(self, node: str, why: str) -> None:
        """A node has seen a newer master."""
        LOG.error("deposed", node=node, why=why)
        self.deposed_by(why)
