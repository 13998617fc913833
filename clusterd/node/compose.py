"""Putting a node daemon together: the graph above plugins, clock, files and links.

Nothing here is real or pretended; the simulation and ``machine`` hand in their own parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clusterd.calls.surface import Surface
from clusterd.node.epochs import Epochs
from clusterd.node.keep import Keep
from clusterd.node.observe import USUAL as USUAL_RHYTHM
from clusterd.node.observe import Observer, Rhythm
from clusterd.node.service import NodeService, Plugins
from clusterd.verbs.host import Host, Peers, Places, Reach, Scripts
from clusterd.world import Clock
from hypervisors.interface import Driver, Threads
from storage.interface import Backend, Commands


@dataclass(frozen=True, kw_only=True)
class NodeParts:
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
    peers: Peers
    reach: Reach
    end: Callable[[], None]
    log: Any
    boot_id: str = ""


def build_node(
    parts: NodeParts,
    backends: Mapping[str, Backend],
    drivers: Mapping[str, Driver],
    *,
    surface: Surface | None = None,
    rhythm: Rhythm = USUAL_RHYTHM,
) -> NodeService:
    """The graph of one node daemon; nothing has begun yet. ``backends`` are by disk template,
    ``drivers`` by name."""
    observer = Observer(
        parts.name,
        parts.places,
        (backends, drivers),
        parts.threads,
        parts.clock,
        parts.log,
        boot_id=parts.boot_id,
        rhythm=rhythm,
    )
    host = Host(
        name=parts.name,
        cluster_name=parts.cluster_name,
        cluster_uuid=parts.cluster_uuid,
        places=parts.places,
        clock=parts.clock,
        commands=parts.commands,
        scripts=parts.scripts,
        threads=parts.threads,
        sight=observer,
        peers=parts.peers,
        reach=parts.reach,
        end=parts.end,
    )
    plugins: Plugins = {"storage": backends, "hypervisor": drivers}
    epochs = Epochs(parts.keep)
    return NodeService(host, plugins, surface or Surface(), epochs, observer, parts.log)
