"""What a node daemon is made of, beside its plugins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clusterd import names
from clusterd.node.keep import Keep
from clusterd.verbs.host import Peers, Places, Reach, Scripts, Streams
from clusterd.world import Clock
from hypervisors.interface import Threads
from storage.interface import Commands


@dataclass(frozen=True, kw_only=True)
class Equipment:
    """What a node is made of; a simulated one has other values in the same places."""

    name: str
    cluster_name: str
    cluster_uuid: str
    places: Places
    clock: Clock
    keep: Keep
    commands: Commands
    scripts: Scripts
    threads: Threads
    streams: Streams
    peers: Peers
    reach: Reach
    end: Callable[[], None]
    log: Any
    boot_id: str = ""
    port: int = names.NODE_PORT
    """Where nodes of this cluster listen."""
