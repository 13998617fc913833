"""What clusterd-master serves, once it is certain that this machine may be the master."""

from __future__ import annotations

from cli.founding import open_store
from cli.machine import Machine
from cli.process import Surroundings
from clusterd.bootstrap import check_master
from clusterd.errors import NotMaster
from clusterd.master.compose import MasterDaemon


class CheckedMaster:
    """Fits ``cli.process.Service``."""

    def __init__(self, around: Surroundings) -> None:
        self._settings = around.settings
        self._daemon = MasterDaemon(around.settings, around.reactor, Machine(), around.end)

    async def start(self) -> None:
        """Raises NotMaster where this machine cannot be, having changed nothing."""
        path = self._settings.store_path
        if not path.exists():
            raise NotMaster(f"{self._settings.node.name} is not the master: there is no {path}")
        store = open_store(path)
        try:
            await check_master(store, self._settings)
        finally:
            await store.close()
        await self._daemon.start()

    async def stop(self) -> None:
        """Orderly."""
        await self._daemon.stop()
