"""Verbs about the node daemon itself: who it is, whom it knows, and how it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from clusterd import certificates, names
from clusterd.verbs.declare import DAY_S, verb
from clusterd.verbs.errors import WrongCluster, WrongInput
from clusterd.verbs.host import Host
from storage.volume import Volume

STATE_FILES = (
    certificates.NODE_KEY_FILE,
    certificates.AUTHORITY_KEY_FILE,
    certificates.NEXT_AUTHORITY_KEY_FILE,
    certificates.NEXT_AUTHORITY_FILE,
    certificates.RAPI_FILE,
    certificates.NODE_FILE,
    certificates.AUTHORITY_FILE,
    "node-peers",
    "node-epoch",
)
"""What a node keeps of its cluster: secrets go first, the epoch, which protects it, last."""

LONGEST_DELAY_S = DAY_S


@verb(reads=True)
async def greet(host: Host, cluster: str) -> dict[str, Any]:
    """Version, host name and cluster of the daemon here; raises WrongCluster.

    ``cluster`` is the name or the uuid of the caller's.
    """
    if cluster not in (host.cluster_name, host.cluster_uuid):
        raise WrongCluster(
            f"node {host.name} belongs to cluster {host.cluster_name} ({host.cluster_uuid}),"
            f" not to {cluster}; remove it there first",
            subject=host.name,
        )
    return {
        "version": names.PRODUCT_VERSION,
        "software_version": names.SOFTWARE_VERSION,
        "calls_version": names.CALLS_VERSION,
        "name": host.name,
        "cluster": host.cluster_name,
        "cluster_uuid": host.cluster_uuid,
    }


@verb(subject="peers")
async def peers(host: Host, addresses: dict[str, str]) -> None:
    """The node may relay to these nodes: host name -> address."""
    host.peers.tell(addresses)


@verb(subject="watch")
async def watch(host: Host, volumes: tuple[Volume, ...]) -> None:
    """From now on observations tell the status of these volumes; forgotten at a restart."""
    host.sight.watch(volumes)


@verb(subject="life")
async def leave(host: Host) -> None:
    """Forget the cluster: keys, certificates and state are removed, the daemon ends.

    Half done is finished: what is gone already is no error. Storage and guests are not touched.
    """
    settings = host.places.config / names.SETTINGS_FILE
    files = (settings, *(host.places.state / name for name in STATE_FILES))
    await host.threads.run(_remove, files)
    host.end()


@verb(deadline_s=DAY_S)
async def delay(host: Host, duration_s: float) -> None:
    """Do nothing for a while (test delay on nodes)."""
    if not 0 <= duration_s < LONGEST_DELAY_S:
        raise WrongInput(f"a delay of {duration_s} s is not between 0 and {LONGEST_DELAY_S:.0f} s")
    over: Deferred[None] = Deferred()
    host.clock.callLater(duration_s, over.callback, None)
    await over


def _remove(files: tuple[Path, ...]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
