"""What clusterd-node serves: this host's storage and hypervisors, for the master."""

from __future__ import annotations

from typing import Any

import structlog

import hypervisors.plugins
import storage.plugin
from cli.process import Surroundings
from clusterd import names
from clusterd.node.compose import build_node
from clusterd.node.machine import Machine
from clusterd.node.service import NodeService
from clusterd.settings import BadSettings, Settings
from hypervisors.interface import Driver
from hypervisors.plugins import HypervisorSettings
from storage.interface import Backend
from storage.plugin import StorageSettings


class NodeDaemon:
    """Fits ``cli.process.Service``."""

    def __init__(self, around: Surroundings) -> None:
        self._settings = around.settings
        self._machine = Machine(
            around.settings,
            around.reactor,
            structlog.get_logger(),
            lambda: around.end("this node left its cluster"),
        )
        self._node: NodeService | None = None
        self._begun = False

    async def start(self) -> None:
        """Make the plugins, then take links."""
        self._machine.start()
        self._begun = True
        self._node = build_node(
            self._machine.equipment(),
            backends(self._settings, self._machine),
            drivers(self._settings, self._machine),
        )
        await self._machine.listen(self._node)
        self._node.start()

    async def stop(self) -> None:
        """Let go of the links; guests and disks stay as they are."""
        if self._node is not None:
            self._node.stop()
        if self._begun:
            await self._machine.stop()


def backends(settings: Settings, machine: Any) -> dict[str, Backend]:
    """One for each disk template, whether this host offers it or not."""
    offered = StorageSettings(
        volume_groups=settings.storage.volume_groups,
        file_directories=settings.storage.file_directories,
        shared_file_directories=settings.storage.shared_file_directories,
        ceph_config=settings.storage.ceph_config,
        ceph_user=settings.storage.ceph_user,
        ceph_pools=settings.storage.ceph_pools,
        provider_directories=names.EXTSTORAGE_SEARCH_PATH,
        provider_records=str(settings.state_directory / "extstorage"),
        provider_logs=str(settings.log_directory / "extstorage"),
        gluster_directory=str(settings.run_directory / "gluster"),
    )
    return {
        str(template): plugin.make(machine.commands, machine.threads, offered)
        for template, plugin in storage.plugin.built_in().items()
    }


def drivers(settings: Settings, machine: Any) -> dict[str, Driver]:
    """One for each hypervisor that this machine offers; making one touches nothing."""
    plugins = hypervisors.plugins.built_in()
    offered = settings.hypervisors.offered or tuple(plugins)
    unknown = sorted(set(offered) - set(plugins))
    if unknown:
        raise BadSettings(
            f"hypervisors.offered: no such drivers: {', '.join(unknown)}; known are "
            f"{', '.join(plugins)}"
        )
    around = hypervisors.plugins.Surroundings(
        threads=machine.threads,
        clock=machine.reactor,
        peers=machine.peer_sockets,
        settings=HypervisorSettings(console_directory=str(settings.log_directory / "console")),
    )
    return {name: plugins[name].make(around) for name in sorted(offered)}
