"""A simulated cluster behind a real door: the master of a simulation serves a real unix socket.

Run as a program with a directory and the door's directory. Virtual time runs faster than real time;
it ends when its standard input is closed, so that it never outlives who started it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.internet import epollreactor

SPEED = 10.0
TICK_S = 0.02


def main(directory: Path, doors: str) -> None:
    """Serve until standard input ends."""
    epollreactor.install()  # type: ignore[no-untyped-call]
    from twisted.internet import reactor as chosen
    from twisted.internet.protocol import Protocol
    from twisted.internet.stdio import StandardIO
    from twisted.internet.task import LoopingCall

    from clusterd.doorway.server import DoorFactory, listen
    from clusterd.simulation.cluster import SimulatedCluster
    from clusterd.simulation.founded import Blueprint

    reactor: object = chosen
    cluster = SimulatedCluster(directory, Blueprint(seed=1))
    assert cluster.wait_for_nodes()
    listen(reactor, DoorFactory(cluster.master.desk()), doors)

    class End(Protocol):
        def connectionLost(self, reason: object = None) -> None:
            if chosen.running:  # type: ignore[attr-defined]
                chosen.stop()  # type: ignore[attr-defined]

    StandardIO(End())
    ticking = LoopingCall(lambda: cluster.clock.run(TICK_S * SPEED))
    ticking.start(TICK_S)
    print("ready", flush=True)
    chosen.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
