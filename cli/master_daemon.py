"""What clusterd-master serves, once it is certain that this machine is the master."""

from __future__ import annotations

import structlog

from cli.founding import open_store
from cli.machine import Machine
from cli.process import Surroundings
from clusterd.bootstrap import address_of, check_master
from clusterd.errors import NotMaster
from clusterd.master.compose import MasterDaemon
from clusterd.master_address import AddressFailed

log = structlog.get_logger()


class CheckedMaster:
    """Fits ``cli.process.Service``. Also sets up the cluster's address, lost at a reboot."""

    def __init__(self, around: Surroundings) -> None:
        self._settings = around.settings
        self._machine = Machine()
        self._daemon = MasterDaemon(around.settings, around.reactor, self._machine, around.end)

    async def start(self) -> None:
        """Raises NotMaster on any other machine, having changed nothing."""
        path = self._settings.store_path
        if not path.exists():
            raise NotMaster(f"{self._settings.node.name} is not the master: there is no {path}")
        store = open_store(path)
        try:
            cluster, _ = await check_master(store, self._settings)
        finally:
            await store.close()
        try:
            address_of(cluster).up(self._machine)
        except AddressFailed as error:
            # guests and jobs need no such address; a missing device must not stop them
            log.error("master_address", text=str(error))
        await self._daemon.start()

    async def stop(self) -> None:
        """Orderly."""
        await self._daemon.stop()
