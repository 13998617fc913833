"""Steps on the devices of a running guest."""

from __future__ import annotations

from typing import Any

import msgspec

from clusterd.errors import CallFailed
from clusterd.steps.guests import OnGuest, described
from clusterd.world import World
from hypervisors.errors import GuestMissing
from jobqueue.step import NOTHING, Outcome, Patience

UNPLUG_PATIENCE_S = 60.0
"""How long a guest may take to let go of a device that it was asked for."""


class ReshapeGuest(OnGuest, frozen=True, kw_only=True, tag="guest.reshape"):
    """The running guest has the devices that its instance has. One that does not run has none."""

    without: tuple[str, ...] = ()
    """Disks (uuid) that it is to let go of. Undone by giving them back."""
    sizes: dict[str, int] = {}
    """Disks (uuid) that are to be so many MiB, where only the guest that uses one can do that."""
    optional: bool = False

    @property
    def tolerated(self) -> bool:
        return self.optional

    @property
    def undo_tolerated(self) -> bool:
        return True

    @property
    def patience(self) -> Patience:
        return Patience(for_s=UNPLUG_PATIENCE_S, first_pause_s=0.3, longest_pause_s=2.0)

    async def do(self, context: Any) -> Outcome:
        await self._reshape(context.world, self.without)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        if self.without:
            await self._reshape(context.world, ())
        return NOTHING

    async def _reshape(self, world: World, without: tuple[str, ...]) -> None:
        instance = self.find(world)
        if instance is None:
            return
        guest = await described(world, instance, self.node)
        kept = tuple(
            msgspec.structs.replace(disk, size_mib=self.sizes.get(disk.uuid, disk.size_mib))
            for disk in guest.disks
            if disk.uuid not in without
        )
        try:
            await self.driver(world, instance).reshape(msgspec.structs.replace(guest, disks=kept))
        except CallFailed as error:
            if error.kind != GuestMissing.code:
                raise
