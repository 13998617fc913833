"""Node daemons whose guests are pretended: ``python -m tests.bench.pretended_nodes ROOT...``.

The daemons' own code, TLS links and files, all nodes in one process; only the hypervisor is the
memory driver, and disks are the twin of ``drbd``, which takes no time of its own. Each ROOT is a
prefix with the settings and keys of one node.
Prints ``ready`` once every node listens.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import structlog
from twisted.internet import epollreactor
from twisted.internet.defer import Deferred

from clusterd.node.compose import build_node
from clusterd.node.machine import Machine
from clusterd.settings import Settings
from hypervisors.machine_room import MachineRoom
from hypervisors.memory import MemoryDriver
from storage.diskless import DisklessBackend
from storage.memory_mirror import MirrorTwin
from storage.shelf import Shelf, Wire

MEMORY_MIB = 1024 * 1024
GROUP, GROUP_MIB = "xenvg", 1024 * 1024


async def serve(reactor: Any, root: Path, wire: Wire) -> None:
    """One node."""
    settings = Settings.load(environment={"CLUSTERD_ROOT": str(root)})
    room = MachineRoom()
    room.machine(settings.node.name).memory_mib = MEMORY_MIB
    machine = Machine(settings, reactor, structlog.get_logger(), lambda: None)
    machine.start()
    driver = MemoryDriver(room, settings.node.name, reactor)
    shelf = Shelf(settings.node.name, {GROUP: GROUP_MIB}, wire)
    backends = {"diskless": DisklessBackend(), "drbd": MirrorTwin(shelf)}
    node = build_node(machine.equipment(), backends, {"memory": driver})
    await machine.listen(node)
    node.start()


async def serve_all(reactor: Any, roots: list[Path]) -> None:
    """All of them, one after the other."""
    wire = Wire()
    for root in roots:
        await serve(reactor, root, wire)
    print("ready", flush=True)


def main() -> None:
    """Until killed."""
    reactor: Any = cast(Any, epollreactor.EPollReactor)()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    roots = [Path(word) for word in sys.argv[1:]]
    serving = Deferred.fromCoroutine(serve_all(reactor, roots))
    serving.addErrback(lambda failure: print(failure, file=sys.stderr, flush=True))
    reactor.run()


if __name__ == "__main__":
    main()
