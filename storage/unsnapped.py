"""What backends without snapshots answer when they are asked for them."""

from __future__ import annotations

from typing import Literal

from storage.copying import Target, copy_image
from storage.errors import Unsupported, VolumeMissing
from storage.interface import Backend, Commands
from storage.volume import Filled, Volume


class Unsnapped(Backend):
    """A backend that keeps no snapshots; it derives from this and lacks the other verbs."""

    async def snapshot(self, volume: Volume, name: str) -> None:
        """Raises Unsupported always."""
        raise _unsupported(volume)

    async def forget_snapshot(self, volume: Volume, name: str) -> None:
        """There are none."""

    async def revert(self, volume: Volume, name: str) -> None:
        """Raises Unsupported always."""
        raise _unsupported(volume)

    async def flatten(self, volume: Volume) -> None:
        """No volume depends on another."""

    async def fill(self, volume: Volume, path: str, format: Literal["raw", "qcow2"]) -> Filled:
        """Raises Unsupported always."""
        raise Unsupported(
            f"template {volume.template} takes no images; choose another", subject=volume.name
        )


def _unsupported(volume: Volume) -> Unsupported:
    return Unsupported(
        f"{volume.name}: template {volume.template} keeps no snapshots; use rbd, a thin pool of"
        " plain, or qcow2 files",
        subject=volume.name,
    )


async def fill_at(
    backend: Backend,
    commands: Commands,
    volume: Volume,
    path: str,
    format: Literal["raw", "qcow2"],
    *,
    zeroed: bool = False,
) -> Filled:
    """``Backend.fill`` for volumes that have a path while attached. ``zeroed``: it is known to read
    as zeros throughout."""
    status = await backend.look(volume)
    if status.path is None:
        raise VolumeMissing(f"{volume.name} is not attached here; attach it", subject=volume.name)
    where = status.source.uri if status.source else status.path
    target = Target(where=where, size_mib=status.size_mib or 0, format=status.format, zeroed=zeroed)
    await copy_image(commands, path, format, target)
    return Filled.COPIED
