"""A lock's name: what operations ask for and journals keep. Values only; see ``jobqueue.locks``."""

from __future__ import annotations

import enum

import msgspec


class Level(enum.IntEnum):
    """Levels in the order in which they are taken."""

    CLUSTER = 0
    INSTANCE = 1
    NODEGROUP = 2
    NODE = 3
    NODE_RES = 4
    NETWORK = 5
    IMAGE = 6

    @property
    def label(self) -> str:
        """The level as it is written in lock names."""
        return self.name.lower().replace("_", "-")


class Lock(msgspec.Struct, frozen=True, order=True):
    """One lock that an operation asks for. Sorting gives the order of acquisition."""

    level: Level
    name: str
    shared: bool = False

    def __str__(self) -> str:
        return f"{self.level.label}/{self.name}"


BIG_LOCK_SHARED = Lock(Level.CLUSTER, "BGL", True)
BIG_LOCK_EXCLUSIVE = Lock(Level.CLUSTER, "BGL", False)
