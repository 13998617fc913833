"""Pictures of a volume that are read while it is written: LVM's own, or none.

A still of a logical volume is a snapshot beside it, ``<name>.still``, with room for every change.
"""

from __future__ import annotations

from storage.errors import Unsupported
from storage.interface import Backend
from storage.logical_volumes import LogicalVolumes
from storage.lvm_report import tags_for
from storage.volume import Volume


class Unstilled(Backend):
    """A backend without stills."""

    async def still(self, volume: Volume) -> str:
        """Raises Unsupported always."""
        raise Unsupported(
            f"{volume.name}: template {volume.template} cannot be read while it is written",
            subject=volume.name,
        )

    async def forget_still(self, volume: Volume) -> None:
        """There is none."""


class StilledByLvm(Backend):
    """The contents are a logical volume called as the volume is."""

    _lvm: LogicalVolumes

    async def still(self, volume: Volume) -> str:
        """See ``Backend``."""
        await self._check_whole(volume)
        tags = tags_for(volume.owner, volume.label)
        return await self._lvm.still(volume.pool, volume.name, tags)

    async def forget_still(self, volume: Volume) -> None:
        """See ``Backend``."""
        await self._lvm.forget_still(volume.pool, volume.name, volume.owner)

    async def _check_whole(self, volume: Volume) -> None:
        """Raises unless all contents are in the logical volume."""
