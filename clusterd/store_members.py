"""The members of the cluster's etcd: who is one, where they are, what a new one begins with.

Decided here: how many members a cluster should have, which change is next, and the file in which
each candidate finds them. Pure but for reading and writing that file.

An even number of members stands no more failures than the odd number below it, and is more likely
to lose its majority; beyond five each write has to wait for more machines without need.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from clusterd.durable import write_durable
from clusterd.model import Node

MOST = 5

BEGIN_FILE = "store-begin"
"""In the state directory of a member: what it began with."""

FIRST_OBJECTS = "first-objects"
"""There too: the configuration of a new cluster, until its first master has stored it."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A member, under its node's name."""

    name: str
    address: str
    client_port: int
    peer_port: int

    @property
    def client_url(self) -> str:
        """Where its clients ask."""
        return f"https://{_bracketed(self.address)}:{self.client_port}"

    @property
    def peer_url(self) -> str:
        """Where other members ask."""
        return f"https://{_bracketed(self.address)}:{self.peer_port}"


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """What a member that has no data yet begins with."""

    members: tuple[Member, ...]
    """All, itself included."""
    state: Literal["new", "existing"]
    token: str
    """The cluster's uuid: members of two clusters never take each other for one."""


class Change(msgspec.Struct, frozen=True):
    """One change of the membership."""

    node: str
    joins: bool


def wanted_count(candidates: int) -> int:
    """The largest odd number of members that there are candidates for, up to ``MOST``."""
    return min(MOST, candidates - 1 + candidates % 2) if candidates else 0


def changes(candidates: Iterable[Node], members: Sequence[str], master: str) -> list[Change]:
    """What is next, in this order, until the members are as they should be.

    Members that are candidates stay where they can, the master's last of all to go. A node that
    comes is there before one goes, unless the one that goes is no candidate any more.
    """
    able = sorted(node.name for node in candidates)
    present = [name for name in members if name in able]
    count = wanted_count(len(able))
    kept = sorted(present, key=lambda name: (name != master, name))[:count]
    joining = [name for name in able if name not in present][: count - len(kept)]
    leaving = [name for name in members if name not in kept]
    gone = [name for name in leaving if name not in able]
    spare = [name for name in leaving if name in able]
    return [
        *(Change(name, False) for name in gone),
        *(Change(name, True) for name in joining),
        *(Change(name, False) for name in spare),
    ]


def read_members(path: Path) -> tuple[Member, ...]:
    """Those that were written down last; none where there is no such file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[Member, ...])
    except FileNotFoundError:
        return ()


def write_members(path: Path, members: Sequence[Member]) -> None:
    """For whoever asks the store next."""
    write_durable(path, msgspec.json.encode(tuple(members)))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
