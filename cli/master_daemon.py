"""What clusterd-master serves, once it is certain that this machine may be the master."""

from __future__ import annotations

from cli.founding import open_store
from cli.machine import Machine
from cli.process import Surroundings
from clusterd.bootstrap import check_master
from clusterd.certificates import MASTER_CANDIDATE
from clusterd.errors import NotMaster
from clusterd.master.compose import MasterDaemon


class CheckedMaster:
    """Fits ``cli.process.Service``."""

    def __init__(self, around: Surroundings) -> None:
        self._settings = around.settings
        self._daemon = MasterDaemon(around.settings, around.reactor, Machine(), around.end)

    async def start(self) -> None:
        """Raises NotMaster where this machine cannot be, having changed nothing."""
        if self._settings.node.role != MASTER_CANDIDATE:
            raise NotMaster(f"{self._settings.node.name} is no master candidate")
        if self._settings.store.engine == "sqlite":
            await self._check_store()
        await self._daemon.start()

    async def _check_store(self) -> None:
        path = self._settings.store_path
        if not path.exists():
            raise NotMaster(f"{self._settings.node.name} is not the master: there is no {path}")
        store = open_store(path)
        try:
            await check_master(store, self._settings)
        finally:
            await store.close()

    async def stop(self) -> None:
        """Orderly."""
        await self._daemon.stop()
