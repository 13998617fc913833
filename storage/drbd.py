"""Template ``drbd``: a mirror of two nodes by DRBD 8.4 or 9 on two logical volumes each.

Data and metadata are ``<uuid>.diskN_data`` and ``_meta`` as in Ganeti. Decisions are in
``drbd_plan``, what the loaded version takes and tells behind ``drbd_kernel``; this module looks,
asks there, and runs what it is told.
"""

from __future__ import annotations

import re
from typing import Literal

from storage.drbd_errors import not_attached, refusal_of
from storage.drbd_kernel import Kernel, find_kernel, load_kernel
from storage.drbd_options import DrbdParameters, described, mirror_of
from storage.drbd_plan import (
    Argv,
    data_name,
    device,
    exchange,
    meta_name,
    must_change_sharing,
    needs_generation,
    occupant,
    refuse_open,
    refuse_still,
    refuse_swap,
    resource_name,
)
from storage.drbd_state import Minor, Resource, role_of
from storage.errors import NotUpToDate, PoolMissing, VolumeBusy, VolumeMissing
from storage.interface import Backend, Commands, Threads
from storage.logical_volumes import LogicalVolumes, checked_own, checked_size, complete, device_path
from storage.lvm_report import size_fits, tags_for
from storage.plugin import Mirrored, Plugin, StorageSettings
from storage.stills import StilledByLvm
from storage.unsnapped import Unsnapped, fill_at
from storage.volume import (
    Capacity,
    Filled,
    Link,
    Mirror,
    Stored,
    Template,
    Volume,
    VolumeStatus,
)

META_SIZE_MIB = 128
NAME_SHAPE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.disk\d+_(data|meta)")


class DrbdBackend(StilledByLvm, Unsnapped):
    """One node's side of its mirrors. Holds no state of its own."""

    template = Template.DRBD

    def __init__(self, commands: Commands, volume_groups: tuple[str, ...]) -> None:
        self._commands = commands
        self._lvm = LogicalVolumes(commands)
        self._volume_groups = volume_groups

    # -- data ----------------------------------------------------------------------------------

    async def ensure(self, volume: Volume) -> None:
        """See ``Backend``. Existing data are left alone; new data always get new metadata, as old
        ones would vouch for them.
        """
        mirror, parameters = described(volume)
        data, meta = data_name(volume), meta_name(mirror)
        found = await self._lvm.find(data, meta)
        wanted = {data: volume.size_mib, meta: mirror.meta_size_mib}
        for name, size_mib in wanted.items():
            if name in found and not found[name].unfinished:
                checked_own(found[name], volume.owner)
                checked_size(found[name], size_mib)
        half_made = [name for name in wanted if name in found and found[name].unfinished]
        missing = [name for name in wanted if name in half_made or name not in found]
        if not missing:
            return
        if half_made:
            await self._lvm.remove(*half_made)
        if meta not in missing:
            await self._lvm.activate(meta)
        for name in missing:
            await self._lvm.create(
                name,
                wanted[name],
                tags=tags_for(volume.owner, volume.label),
                stripes=parameters.data_stripes if name == data else parameters.meta_stripes,
                wipe=parameters.wipe and name == data,
            )
        await self._create_metadata(volume, mirror)
        await self._lvm.finish(*missing, activate=True)

    async def forget(self, volume: Volume) -> None:
        """See ``Backend``."""
        await self.detach(volume)
        data, meta = data_name(volume), meta_name(mirror_of(volume))
        await self._lvm.remove_of(volume.owner, data, meta, stilled=True)

    async def grow(self, volume: Volume) -> None:
        """See ``Backend``. The metadata are large enough for any size."""
        name = data_name(volume)
        await self._lvm.extend(complete(await self._lvm.find(name), name), volume.size_mib)

    async def adopt(self, volume: Volume, name: str) -> None:
        """See ``Backend``. Metadata first: data that bear the final name are complete."""
        mirror, parameters = described(volume)
        data, meta = data_name(volume), meta_name(mirror)
        tags = tags_for(volume.owner, volume.label)
        found = await self._lvm.find(data, meta)
        if meta not in found or found[meta].unfinished:
            await self._lvm.remove_of(volume.owner, meta)
            await self._lvm.create(
                meta,
                mirror.meta_size_mib,
                tags=tags,
                stripes=parameters.meta_stripes,
                wipe=False,
            )
            await self._create_metadata(volume, mirror)
            await self._lvm.finish(meta, activate=True)
        await self._lvm.rename(volume.pool, name, volume.name, tags)

    # -- attachment ------------------------------------------------------------------------------

    async def attach(self, volume: Volume, *, clean: bool = False) -> str:
        """See ``Backend``. ``clean`` has an effect on metadata that were never used only."""
        mirror, parameters = described(volume)
        kernel = await load_kernel(self._commands)
        found = await self._resource(kernel, volume)
        if found is None or found.data is None:
            data, meta = data_name(volume), meta_name(mirror)
            stored = await self._lvm.find(data, meta)
            volumes = (complete(stored, data), complete(stored, meta))
            if not all(lv.active for lv in volumes):
                await self._lvm.activate(data, meta)
            if clean:
                await self._start_clean(kernel, volume, mirror)
        await self._run(volume, kernel.plan.bring_up(volume, mirror, parameters, found))
        return device(mirror)

    async def detach(self, volume: Volume) -> None:
        """See ``Backend``. The logical volumes stay active; they are in nobody's way."""
        kernel = await find_kernel(self._commands)
        if kernel is None:
            return
        try:
            found = await self._resource(kernel, volume)
        except VolumeBusy:
            return  # the minor serves another volume, so this one is not attached
        name = found.name if found else resource_name(mirror_of(volume))
        await self._run(volume, (("drbdsetup", "down", name),))

    async def open(self, volume: Volume, *, force: bool = False) -> None:
        """See ``Backend``. A lonely copy is opened by ``force`` only: its peer may be newer."""
        kernel, found, state = await self._attached(volume)
        if state.role == "Primary":
            return
        mirror, generation = mirror_of(volume), None
        if needs_generation(state, force=force):
            generation = await kernel.live_generation(mirror)
        refusal = refuse_open(volume, state, found, generation, force=force)
        if refusal is not None:
            raise refusal
        overwrite = state.disk == "Inconsistent"
        await self._run(volume, (kernel.plan.primary(mirror, found, overwrite=overwrite),))

    async def close(self, volume: Volume) -> None:
        """See ``Backend``."""
        kernel, found, state = await self._found(volume)
        if kernel is not None and found is not None and state.role == "Primary":
            await self._run(volume, (kernel.plan.secondary(mirror_of(volume), found),))

    async def share(self, volume: Volume, *, allowed: bool) -> None:
        """See ``Backend``. Raises NotUpToDate without a connection. The window has protocol C."""
        mirror, parameters = described(volume)
        kernel, found, state = await self._found(volume)
        change = must_change_sharing(volume, state, found, allowed=allowed)
        if kernel is None or found is None or not change:
            return
        allow = kernel.plan.allow_two_primaries
        await self._run(volume, (allow(mirror, found, parameters.protocol, allowed=allowed),))

    async def reconnect(self, volume: Volume, *, discard_local: bool = False) -> None:
        """See ``Backend``. Raises VolumeBusy when a primary is to give up its changes."""
        mirror, parameters = described(volume)
        kernel, found, state = await self._attached(volume)
        if state.link in (Link.CONNECTED, Link.SYNCING):
            return
        if discard_local and state.role == "Primary":
            raise VolumeBusy(
                f"{volume.name}: it is open here; close it before giving up its changes",
                subject=volume.name,
            )
        connect = kernel.plan.connect
        await self._run(volume, connect(mirror, parameters, found, discard_local=discard_local))

    async def resize(self, volume: Volume) -> None:
        """See ``Backend``."""
        _, found, state = await self._attached(volume)
        if found.size_mib is not None and found.size_mib >= volume.size_mib:
            return
        if state.link not in (Link.CONNECTED, Link.SYNCING):
            raise NotUpToDate(
                f"{volume.name}: the peer is not connected, so it cannot grow; wait for it",
                subject=volume.name,
            )
        minor = str(mirror_of(volume).minor)
        argv = ("drbdsetup", "resize", minor, f"--size={volume.size_mib}M")
        await self._run(volume, (argv,))

    async def swap(self, volume: Volume, old: Volume) -> None:
        """See ``Backend``."""
        mirror, parameters = described(volume)
        kernel = await find_kernel(self._commands)
        state = await kernel.state(mirror) if kernel is not None else None
        if kernel is None or state is None:
            raise not_attached(volume)
        found = await kernel.shown(mirror)
        if found is None or found.bare:
            raise not_attached(volume)
        if found.data == device_path(volume.pool, volume.name):
            return
        if found.data is None and state.disk in ("Attaching", "Negotiating"):
            raise VolumeBusy(  # whose data these are is not told before
                f"{volume.name}: the copy here is being attached; wait for it", subject=volume.name
            )
        refusal = occupant(old, found) or refuse_swap(volume, state)
        if refusal is not None:
            raise refusal
        stored = await self._lvm.find(data_name(volume), meta_name(mirror))
        for name in (data_name(volume), meta_name(mirror)):
            complete(stored, name)
        await self._lvm.activate(data_name(volume), meta_name(mirror))
        await self._run(volume, exchange(kernel.plan, volume, mirror, parameters, found))

    # -- reading ---------------------------------------------------------------------------------

    async def fill(self, volume: Volume, path: str, format: Literal["raw", "qcow2"]) -> Filled:
        """See ``Backend``."""
        return await fill_at(self, self._commands, volume, path, format)

    async def look(self, volume: Volume) -> VolumeStatus:
        """See ``Backend``. One command with DRBD 8.4, two with 9."""
        try:
            _, found, state = await self._found(volume)
        except VolumeBusy:
            found, state = None, Minor()
        if found is None or found.bare:
            return await self._look_at_data(volume)
        stored = found.data is not None or (await self._look_at_data(volume)).present
        return VolumeStatus(
            uuid=volume.uuid,
            present=stored,
            path=device(mirror_of(volume)),
            size_mib=found.size_mib or volume.size_mib,
            role=role_of(state.role),
            peer_role=role_of(state.peer_role),
            link=state.link,
            health=state.health,
            peer_health=state.peer_health,
            two_primaries_allowed=found.two_primaries,
            sync_percent=state.sync_percent,
            sync_seconds_left=state.sync_seconds_left,
            sync_stalled=state.stalled,
        )

    async def list(self) -> tuple[Stored, ...]:
        """See ``Backend``. Data and metadata are pieces of their own."""
        return await self._lvm.stored(self.template, NAME_SHAPE, lambda lv: lv.opened)

    async def capacity(self) -> tuple[Capacity, ...]:
        """See ``Backend``."""
        room, _ = await self._lvm.room(self.template, self._volume_groups)
        return room

    # -- what is there ---------------------------------------------------------------------------

    async def _look_at_data(self, volume: Volume) -> VolumeStatus:
        """The status while not attached; data without metadata are not present yet."""
        absent = VolumeStatus(uuid=volume.uuid, present=False)
        data, meta = data_name(volume), meta_name(mirror_of(volume))
        try:
            stored = await self._lvm.find(data, meta)
            found = complete(stored, data)
            complete(stored, meta)
        except (PoolMissing, VolumeMissing):
            return absent
        size_mib = volume.size_mib if size_fits(found, volume.size_mib) else found.size_mib
        return VolumeStatus(uuid=volume.uuid, present=True, size_mib=size_mib)

    async def _found(self, volume: Volume) -> tuple[Kernel | None, Resource | None, Minor]:
        """The DRBD that runs, what is configured under the volume's minor, and its state. Raises
        VolumeBusy."""
        kernel = await find_kernel(self._commands)
        state = await kernel.state(mirror_of(volume)) if kernel is not None else None
        if kernel is None or state is None:
            return kernel, None, Minor()
        return kernel, await self._resource(kernel, volume), state

    async def _attached(self, volume: Volume) -> tuple[Kernel, Resource, Minor]:
        """As ``_found``; raises VolumeMissing when the volume is not attached."""
        kernel, found, state = await self._found(volume)
        if kernel is None or found is None or found.bare:
            raise not_attached(volume)
        return kernel, found, state

    async def _check_whole(self, volume: Volume) -> None:
        _, _, state = await self._attached(volume)
        refusal = refuse_still(volume, state)
        if refusal is not None:
            raise refusal

    async def _resource(self, kernel: Kernel, volume: Volume) -> Resource | None:
        """What is configured under the volume's minor. Raises VolumeBusy if it is another's."""
        found = await kernel.shown(mirror_of(volume))
        refusal = occupant(volume, found)
        if refusal is not None:
            raise refusal
        return found

    # -- acting ----------------------------------------------------------------------------------

    async def _create_metadata(self, volume: Volume, mirror: Mirror) -> None:
        """Metadata of the version that is loaded: the other's could not be attached."""
        kernel = await load_kernel(self._commands)
        await self._run(volume, (kernel.plan.create_metadata(mirror),))

    async def _start_clean(self, kernel: Kernel, volume: Volume, mirror: Mirror) -> None:
        """Metadata that never were used say that the copy is good. Used ones stay as they are."""
        generation = await kernel.stored_generation(mirror)
        if generation is not None and generation.fresh:
            argv, text = kernel.plan.start_clean(volume, mirror)
            await self._commands.run(*argv, stdin=text)

    async def _run(self, volume: Volume, commands: tuple[Argv, ...]) -> None:
        for argv in commands:
            output = await self._commands.run(*argv, check=False)
            if output.code != 0:
                raise refusal_of(argv, output, volume.name)


def _make(commands: Commands, threads: Threads, settings: StorageSettings) -> Backend:
    return DrbdBackend(commands, settings.volume_groups)


PLUGINS = (
    Plugin(
        template=Template.DRBD,
        naming="{label}.disk{index}_data",
        make=_make,
        parameters=DrbdParameters,
        mirrored=Mirrored.INTERNAL,
        overhead_mib=META_SIZE_MIB,
        uses_volume_groups=True,
        stills=True,
    ),
)
