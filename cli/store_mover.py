"""``clusterd-master --move-store-to ENGINE``: copy the cluster's state into a store of another
engine and make that one count. It holds the master daemon's lock meanwhile, so no master runs.

Part of ``gnt-cluster store migrate`` (see ``clusterd.moving``), which prepares and follows up.
"""

from __future__ import annotations

from typing import Any

import msgspec
import structlog

from cli.founding import open_store
from cli.machine import Machine
from cli.process import Surroundings
from clusterd.durable import sync_directory, write_durable
from clusterd.errors import NotReady
from clusterd.master.origins import store_identity
from clusterd.settings import Settings
from clusterd.store_members import read_members
from clusterd.store_move import Engine, move
from clusterd.stores import EtcdLink
from jobqueue.store.copying import Copied
from jobqueue.store.etcd_gateway import Patience
from jobqueue.store.interface import Store

MAKING = ".copying"
"""Behind the name of an embedded store that is not whole yet."""

PATIENCE = Patience(member_s=5.0, all_s=30.0)
LOG = structlog.get_logger("master")


class StoreMover:
    """Fits ``cli.process.Service``: does its work in ``start`` and ends."""

    def __init__(self, around: Surroundings, to: Engine) -> None:
        self._around = around
        self._settings = around.settings
        self._to = to
        self._reactor: Any = around.reactor

    async def start(self) -> None:
        """Returns when the new store is the cluster's; raises with the old one untouched."""
        settings = self._settings
        if settings.store.engine != self._to:
            copied = await (self._to_etcd() if self._to == "etcd" else self._to_sqlite())
            LOG.info("store moved", to=self._to, keys=copied.keys, digest=copied.digest)
            moved = msgspec.structs.replace(
                settings, store=msgspec.structs.replace(settings.store, engine=self._to)
            )
            write_durable(moved.path, moved.to_toml().encode(), 0o644)
            print(
                f"{copied.keys} keys, {copied.size_bytes} bytes, SHA-256 {copied.digest}:"
                " copied, read back and equal"
            )
        self._reactor.callLater(0, self._reactor.stop)

    async def stop(self) -> None:
        """Nothing is left open."""

    async def _to_etcd(self) -> Copied:
        source = open_store(self._settings.store_path)
        try:
            async with _Etcd(self._settings, self._reactor) as target:
                return await move(source, target, self._to, self._settings.node.name)
        finally:
            await source.close()

    async def _to_sqlite(self) -> Copied:
        path = self._settings.store_path
        making = path.with_name(path.name + MAKING)
        for rest in ("", "-wal", "-shm", ".lock"):
            path.with_name(making.name + rest).unlink(missing_ok=True)
        target = open_store(making)
        try:
            async with _Etcd(self._settings, self._reactor) as source:
                copied = await move(source, target, self._to, self._settings.node.name)
        finally:
            await target.close()
        for rest in ("-wal", "-shm", ".lock"):
            path.with_name(path.name + rest).unlink(missing_ok=True)
        making.rename(path)
        sync_directory(path.parent)
        return copied


class _Etcd:
    """The cluster's etcd, for the length of a block."""

    def __init__(self, settings: Settings, reactor: Any) -> None:
        members = read_members(settings.members_path)
        if not members:
            raise NotReady(f"{settings.members_path} names no member of an etcd")
        state = settings.state_directory
        endpoints = [member.client_url for member in members]
        self._link = EtcdLink(reactor, lambda: store_identity(state), endpoints, PATIENCE)
        self._store: Store = self._link.store(Machine().uuid())

    async def __aenter__(self) -> Store:
        return self._store

    async def __aexit__(self, *error: object) -> None:
        await self._store.close()
        await self._link.close()
