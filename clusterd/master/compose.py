"""Putting the master daemon together from real parts: SQLite store, TLS links, the local door."""

from __future__ import annotations

import pwd
from collections.abc import Callable
from typing import Any

from twisted.python.threadpool import ThreadPool

from clusterd.calls.links import Commander, Links
from clusterd.calls.tls import node_endpoints, read_identity
from clusterd.doorway.server import DoorFactory, listen
from clusterd.errors import NotMaster
from clusterd.master.service import Master
from clusterd.opcodes import registry
from clusterd.settings import Settings
from clusterd.steps import all_steps
from clusterd.world import Random
from jobqueue.store.interface import Store
from jobqueue.store.sqlite import SqliteStore

STORE_THREADS = 2
"""One writes, one reads."""


class MasterDaemon:
    """The master as a process: starts and stops everything in order."""

    def __init__(
        self, settings: Settings, reactor: Any, random: Random, end: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._reactor = reactor
        self._random = random
        self._end = end
        self._threads = ThreadPool(STORE_THREADS, STORE_THREADS, "store")
        self._store: Store | None = None
        self._master: Master | None = None
        self._door: DoorFactory | None = None
        self._ports: list[Any] = []

    async def start(self) -> None:
        """Take the mastership and open the door; raises when either is not possible."""
        settings = self._settings
        path = settings.store_path
        if not path.exists():
            raise NotMaster(
                f"This node is not the master: there is no store at {path}. Run the command on the "
                "master, or restore a backup here"
            )
        self._threads.start()
        self._store = SqliteStore(path, self._threads, self._reactor.callFromThread)
        master = Master(
            settings.node.name,
            self._store,
            registry(),
            all_steps(),
            self._reactor,
            self._random,
        )
        self._master = master
        master.ended = self._end
        await master.start(self._links(master))
        self._door = DoorFactory(master.desk())
        self._ports = listen(
            self._reactor,
            self._door,
            str(settings.socket_directory),
            _group_of(settings.rapi.user),
        )

    def _links(self, master: Master) -> Links:
        state = self._settings.state_directory
        return Links(
            Commander(self._settings.node.name, master.epoch),
            node_endpoints(
                self._reactor, lambda: read_identity(state), port=self._settings.node.port
            ),
            self._reactor,
            self._random,
            master.sights,
        )

    async def stop(self) -> None:
        """Close the door, let go of the nodes, close the store."""
        for port in self._ports:
            await port.stopListening()
        if self._door is not None:
            self._door.close()
        if self._master is not None:
            self._master.stop()
        if self._store is not None:
            await self._store.close()
        if self._threads.started:
            self._threads.stop()


def _group_of(user: str) -> int:
    """The group whose members may open the door; -1 where the remote API has no user of its own."""
    try:
        return pwd.getpwnam(user).pw_gid
    except KeyError:
        return -1
