"""Until a simulated cluster has come to rest: as an operator would wait, and help."""

from __future__ import annotations

from functools import partial

from clusterd.simulation.cluster import SimulatedCluster
from clusterd.simulation.faults import cancel_all

PATIENCE_S = 1800.0
"""Virtual time after which an operator cancels what still runs, and again after which it fails."""

RESTART_S = 1.0


def settle(cluster: SimulatedCluster) -> None:
    """Until quiet; a dead master is started again, what runs for ever is canceled."""
    _settle(cluster, cluster.clock.seconds())


def go_on_settling(cluster: SimulatedCluster, since: float) -> None:
    """The same where it began at ``since`` and the master has just died."""
    cluster.clock.run(RESTART_S)
    _settle(cluster, since)


def _settle(cluster: SimulatedCluster, since: float) -> None:
    if _until_quiet(cluster, since + PATIENCE_S):
        return
    if cluster.serves:
        cancel_all(cluster)
    _until_quiet(cluster, cluster.clock.seconds() + PATIENCE_S)


def _until_quiet(cluster: SimulatedCluster, deadline: float) -> bool:
    while cluster.clock.seconds() < deadline:
        if _master_may_start(cluster):
            cluster.start_master()
        left_s = deadline - cluster.clock.seconds()
        if cluster.clock.run_until(partial(_needs_care, cluster), left_s) and cluster.quiet():
            return True
        cluster.clock.run(RESTART_S)
    return False


def _needs_care(cluster: SimulatedCluster) -> bool:
    """Asked after each event."""
    process = cluster.process
    if process.clock.dead or process.failures:
        return True
    return process.begun and (process.rests() if process.stirred else process.at_rest)


def _master_may_start(cluster: SimulatedCluster) -> bool:
    process = cluster.process
    gone = process.clock.dead or bool(process.failures and not process.begun)
    return gone and cluster.hosts[cluster.names[0]].powered
