"""Template ``ext``: volumes of ext-storage providers, scripts of a site that Ganeti's interface
describes. ``pool`` is the provider's name, the volume's own name is ``<uuid>.ext.diskN``.

The scripts cannot say what exists. So: a ``create`` that fails is followed by a look whether the
volume is there already; a volume that is not attached is looked at by attaching it for a moment;
one whose ``remove`` fails is gone only if it cannot be attached and was never used on this node.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal
from weakref import WeakValueDictionary

import msgspec
from twisted.internet.defer import DeferredLock

from storage.block_devices import refuse_users, size_mib
from storage.commands import last_lines
from storage.copying import image_info
from storage.errors import (
    BadParameter,
    CommandFailed,
    PoolMissing,
    SizeDiffers,
    StorageError,
    VolumeMissing,
)
from storage.external_providers import Attached, parse_address, parse_attached
from storage.external_records import BOOT_ID, Record, Records
from storage.external_scripts import ExternalParameters, ProviderScripts, script_failed
from storage.interface import Backend, Commands, Threads
from storage.plugin import Mirrored, Plugin, StorageSettings, checked_parameters
from storage.stills import Unstilled
from storage.unmirrored import Unmirrored
from storage.unsnapped import Unsnapped, fill_at
from storage.volume import Capacity, Filled, Health, Stored, Template, Volume, VolumeStatus

ROUNDED_MIB = 8
"""So much larger than asked for may be what a provider made."""
HYPERVISOR = "kvm"
"""Whose addresses are taken for guests that reach the volume by themselves."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


class ExternalBackend(Unmirrored, Unsnapped, Unstilled):
    """Volumes of all providers as one node reaches them. What it knows is in its records; the locks
    keep a look at a volume from coming between two scripts on it."""

    template = Template.EXT

    def __init__(self, commands: Commands, threads: Threads, settings: StorageSettings) -> None:
        self._commands = commands
        self._threads = threads
        self._scripts = ProviderScripts(commands, threads, settings)
        self._records = Records(Path(settings.provider_records))
        self._locks: WeakValueDictionary[str, DeferredLock] = WeakValueDictionary()

    # -- data ----------------------------------------------------------------------------------

    async def ensure(self, volume: Volume) -> None:
        """See ``Backend``. What has the name already is taken for an earlier try."""
        async with self._alone(volume):
            found = await self._find(volume)
            if found.attached is None:
                output = await self._scripts.attempt(
                    volume, "create", VOL_SIZE=str(volume.size_mib)
                )
                if output.code != 0:
                    measured = await self._probe(volume)
                    if measured is None:
                        raise script_failed(volume, "create", output)
                    found = msgspec.structs.replace(found, size_mib=measured)
            size = found.size_mib or volume.size_mib
            if not volume.size_mib <= size < volume.size_mib + ROUNDED_MIB:
                raise SizeDiffers(
                    f"volume {volume.name} of provider {volume.pool} has {size} MiB but"
                    f" {volume.size_mib} MiB are wanted; grow or remove it first",
                    subject=volume.name,
                )
            await self._write(msgspec.structs.replace(found, size_mib=size))
            await self._scripts.run(volume, "setinfo", VOL_METADATA=f"originstname+{volume.label}")

    async def forget(self, volume: Volume) -> None:
        """See ``Backend``."""
        async with self._alone(volume):
            known = await self._threads.run(self._records.read, volume.name) is not None
            try:
                await self._scripts.provider(volume)
            except PoolMissing:
                if known:
                    raise
                return
            await self._detach(volume)
            output = await self._scripts.attempt(volume, "remove")
            if output.code != 0 and (await self._probe(volume) is not None or known):
                raise script_failed(volume, "remove", output)
            await self._threads.run(self._records.forget, volume.name)

    async def grow(self, volume: Volume) -> None:
        """See ``Backend``."""
        async with self._alone(volume):
            found = await self._find(volume)
            if found.attached is None:
                size = await self._probe(volume)
            else:
                size = await self._measure(found)
            if size is None:
                raise _missing(volume)
            if size < volume.size_mib:
                sizes = {"VOL_SIZE": str(size), "VOL_NEW_SIZE": str(volume.size_mib)}
                await self._scripts.run(volume, "grow", **sizes)
                await self._write(msgspec.structs.replace(found, size_mib=volume.size_mib))

    # -- attachment ----------------------------------------------------------------------------

    async def attach(self, volume: Volume, *, clean: bool = False) -> str:
        """See ``Backend``."""
        async with self._alone(volume):
            found = await self._find(volume)
            if found.attached is None or await self._measure(found) is None:
                found = await self._attach(volume, found)
            status = self._status(volume, found, found.size_mib)
            assert status.path is not None
            return status.path

    async def detach(self, volume: Volume) -> None:
        """See ``Backend``."""
        async with self._alone(volume):
            await self._detach(volume)

    async def open(self, volume: Volume, *, force: bool = False) -> None:
        """See ``Backend``. A provider with a script of that name is told whether this node alone
        has the volume open; it decides what becomes of others."""
        async with self._alone(volume):
            found = await self._find(volume)
            if found.attached is None:
                raise VolumeMissing(f"volume {volume.name} is not attached", subject=volume.name)
            if not found.opened or force:
                await self._open(volume, found)

    async def close(self, volume: Volume) -> None:
        """See ``Backend``."""
        async with self._alone(volume):
            await self._close(volume, await self._find(volume))

    async def share(self, volume: Volume, *, allowed: bool) -> None:
        """See ``Backend``. Where it is open it is opened again, by this node alone or not."""
        async with self._alone(volume):
            found = await self._find(volume)
            if found.attached is None or found.shared is allowed:
                return
            found = msgspec.structs.replace(found, shared=allowed)
            if found.opened:
                await self._open(volume, found)
            else:
                await self._write(found)

    # -- snapshots and contents ----------------------------------------------------------------

    async def snapshot(self, volume: Volume, name: str) -> None:
        """See ``Backend``. It is a volume of its own, ``snapshot_name``: nothing can go back to it.
        Raises Unsupported where the provider has no such script."""
        if "snapshot" not in (await self._scripts.provider(volume)).optional:
            await super().snapshot(volume, name)
        async with self._alone(volume):
            taken = snapshot_of(volume, name)
            sizes = {"VOL_SNAPSHOT_SIZE": str(volume.size_mib)}
            output = await self._scripts.attempt(
                volume, "snapshot", VOL_SNAPSHOT_NAME=taken.name, **sizes
            )
            if output.code != 0 and await self._probe(taken) is None:
                gone = await self._probe(volume) is None
                raise _missing(volume) if gone else script_failed(volume, "snapshot", output)

    async def forget_snapshot(self, volume: Volume, name: str) -> None:
        """See ``Backend``."""
        if "snapshot" in (await self._scripts.provider(volume)).optional:
            await self.forget(snapshot_of(volume, name))

    async def fill(self, volume: Volume, path: str, format: Literal["raw", "qcow2"]) -> Filled:
        """See ``Backend``."""
        return await fill_at(self, self._commands, volume, path, format)

    # -- reading -------------------------------------------------------------------------------

    async def look(self, volume: Volume) -> VolumeStatus:
        """See ``Backend``. No script runs for one that is attached."""
        async with self._alone(volume):
            found = await self._find(volume)
            size = None if found.attached is None else await self._measure(found)
            if size is not None:
                return self._status(volume, found, size)
            try:
                size = await self._probe(volume)
            except PoolMissing:
                size = None
            if size is None:
                await self._threads.run(self._records.forget, volume.name)
                return VolumeStatus(uuid=volume.uuid, present=False)
            return self._status(volume, found.detached(), size)

    async def list(self) -> tuple[Stored, ...]:
        """See ``Backend``. Those that were made or used here; one that another node removed
        meanwhile is still told of."""
        boot_id = await self._boot_id()
        return tuple(
            Stored(
                template=self.template,
                pool=record.provider,
                name=record.name,
                size_mib=record.size_mib,
                owner=record.owner,
                attached=attached,
                held=attached,
            )
            for record in await self._threads.run(self._records.all)
            for attached in [record.living(boot_id).attached is not None]
        )

    async def capacity(self) -> tuple[Capacity, ...]:
        """See ``Backend``. Providers do not tell."""
        return ()

    # -- attaching -------------------------------------------------------------------------------

    async def _probe(self, volume: Volume) -> int | None:
        """Size in MiB of a volume that is not attached, None where there is none."""
        output = await self._scripts.attempt(volume, "attach")
        if output.code != 0:
            return None
        answer = Record(
            provider=volume.pool,
            name=volume.name,
            owner=volume.owner,
            size_mib=volume.size_mib,
            attached=parse_attached(output.stdout),
        )
        try:
            return await self._measure(answer)
        finally:
            await self._scripts.run(volume, "detach")

    async def _attach(self, volume: Volume, found: Record) -> Record:
        await self._write(msgspec.structs.replace(found, attaching=True))
        output = await self._scripts.attempt(volume, "attach")
        if output.code != 0:
            if not found.size_mib:
                await self._threads.run(self._records.forget, volume.name)
            raise _missing(volume, last_lines(output))
        answer = parse_attached(output.stdout)
        self._usable(volume, answer)
        found = msgspec.structs.replace(found, attaching=True, attached=answer)
        size = await self._measure(found)
        if size is None:
            raise CommandFailed(
                f"provider {volume.pool} attached {volume.name} as '{answer.device}', which is no"
                " block device",
                subject=volume.name,
            )
        found = msgspec.structs.replace(found, size_mib=size)
        await self._write(found)
        return found

    def _usable(self, volume: Volume, answer: Attached) -> None:
        """Raises BadParameter where the volume cannot be reached the way that is asked for."""
        userspace = checked_parameters(volume, ExternalParameters).access == "userspace"
        if userspace and HYPERVISOR not in answer.addresses:
            raise BadParameter(
                f"provider {volume.pool} has no address of {volume.name} for {HYPERVISOR}: use"
                " access=kernelspace",
                subject=volume.name,
            )
        if not userspace and not answer.device:
            raise BadParameter(
                f"provider {volume.pool} attaches {volume.name} without a device: use"
                " access=userspace",
                subject=volume.name,
            )

    async def _detach(self, volume: Volume) -> None:
        found = await self._find(volume)
        if not found.attaching:
            return
        await self._close(volume, found)
        output = await self._scripts.attempt(volume, "detach")
        if output.code != 0 and found.attached is not None:
            raise script_failed(volume, "detach", output)
        await self._write(found.detached())

    async def _open(self, volume: Volume, found: Record) -> None:
        if "open" in (await self._scripts.provider(volume)).optional:
            await self._scripts.run(volume, "open", VOL_OPEN_EXCLUSIVE=str(not found.shared))
        await self._write(msgspec.structs.replace(found, opened=True))

    async def _close(self, volume: Volume, found: Record) -> None:
        if found.attached is None:
            return
        if found.attached.device:
            await refuse_users(self._threads, found.attached.device, volume.name)
        if not found.opened:
            return
        if "close" in (await self._scripts.provider(volume)).optional:
            await self._scripts.run(volume, "close")
        await self._write(msgspec.structs.replace(found, opened=False, shared=False))

    # -- what is known -------------------------------------------------------------------------

    @asynccontextmanager
    async def _alone(self, volume: Volume) -> AsyncIterator[None]:
        """Nothing else of this node daemon works on the volume."""
        if not NAME.match(volume.name):
            raise BadParameter(f"'{volume.name}' is no name for a volume", subject=volume.name)
        lock = self._locks.get(volume.name)
        if lock is None:
            lock = self._locks[volume.name] = DeferredLock()
        await lock.acquire()
        try:
            yield
        finally:
            lock.release()

    async def _find(self, volume: Volume) -> Record:
        """The volume's record as it counts now, a new one without any."""
        boot_id = await self._boot_id()
        found = await self._threads.run(self._records.read, volume.name)
        if found is None or found.provider != volume.pool:
            found = Record(provider=volume.pool, name=volume.name, owner=volume.owner)
        return found.living(boot_id)

    async def _write(self, record: Record) -> None:
        await self._threads.run(self._records.write, record)

    async def _boot_id(self) -> str:
        return (await self._commands.read(BOOT_ID)).strip()

    async def _measure(self, found: Record) -> int | None:
        """Size in MiB of what is attached, None where its device is no more. Where there is none,
        and QEMU cannot tell, what is known."""
        answer = found.attached
        if answer is None:
            return None
        if answer.device:
            return await size_mib(self._commands, answer.device)
        address = parse_address(answer.addresses.get(HYPERVISOR, "")).uri
        try:
            return (await image_info(self._commands, address, "raw")).size_mib
        except StorageError:
            return found.size_mib or None

    def _status(self, volume: Volume, found: Record, size: int) -> VolumeStatus:
        answer = found.attached
        path, source = None, None
        if answer is not None:
            path = answer.device or f"ext:{volume.pool}/{volume.name}"
            if checked_parameters(volume, ExternalParameters).access == "userspace":
                source = parse_address(answer.addresses.get(HYPERVISOR, ""))
        return VolumeStatus(
            uuid=volume.uuid,
            present=True,
            path=path,
            source=source,
            size_mib=size,
            health=Health.OK,
        )


def snapshot_of(volume: Volume, name: str) -> Volume:
    """The volume that a snapshot is."""
    return msgspec.structs.replace(volume, name=f"{volume.name}.{name}")


def _missing(volume: Volume, reason: str = "") -> VolumeMissing:
    said = f": {reason}" if reason else "; bring it back, or recreate the disk"
    return VolumeMissing(
        f"volume {volume.name} of provider {volume.pool} cannot be attached{said}",
        subject=volume.name,
    )


def _make(commands: Commands, threads: Threads, settings: StorageSettings) -> Backend:
    return ExternalBackend(commands, threads, settings)


PLUGINS = (
    Plugin(
        template=Template.EXT,
        make=_make,
        parameters=ExternalParameters,
        open_parameters=True,
        mirrored=Mirrored.EXTERNAL,
        any_pool=True,
        lists_all=False,
        opens_alone=True,
        held_by_node=True,
    ),
)
