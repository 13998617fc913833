"""Putting a node daemon together: the graph above plugins, clock, files and links.

Nothing here is real or pretended; the simulation and ``machine`` hand in their own equipment.
"""

from __future__ import annotations

from collections.abc import Mapping

from clusterd.calls.surface import Surface
from clusterd.node.epochs import Epochs
from clusterd.node.equipment import Equipment
from clusterd.node.observe import USUAL as USUAL_RHYTHM
from clusterd.node.observe import Observer, Rhythm
from clusterd.node.service import NodeService, Plugins
from clusterd.verbs.host import Host
from hypervisors.interface import Driver
from storage.interface import Backend


def build_node(
    equipment: Equipment,
    backends: Mapping[str, Backend],
    drivers: Mapping[str, Driver],
    *,
    surface: Surface | None = None,
    rhythm: Rhythm = USUAL_RHYTHM,
) -> NodeService:
    """The graph of one node daemon; nothing has begun yet. ``backends`` are by disk template,
    ``drivers`` by name."""
    observer = Observer(equipment, backends, drivers, rhythm)
    host = Host(
        name=equipment.name,
        cluster_name=equipment.cluster_name,
        cluster_uuid=equipment.cluster_uuid,
        places=equipment.places,
        clock=equipment.clock,
        commands=equipment.commands,
        scripts=equipment.scripts,
        threads=equipment.threads,
        streams=equipment.streams,
        sight=observer,
        peers=equipment.peers,
        reach=equipment.reach,
        end=equipment.end,
        port=equipment.port,
    )
    plugins: Plugins = {"storage": backends, "hypervisor": drivers}
    epochs = Epochs(equipment.keep)
    return NodeService(host, plugins, surface or Surface(), epochs, observer, equipment.log)
