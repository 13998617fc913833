"""What templates without a mirror of their own have in common. Decided here: what does not concern
them is success, and what makes no sense for them is refused."""

from __future__ import annotations

from storage.errors import BadParameter
from storage.interface import Backend
from storage.volume import Volume


class Unmirrored(Backend):
    """Answers the verbs that are about mirrors, and refuses what few templates can."""

    async def adopt(self, volume: Volume, name: str) -> None:
        """See ``Backend``. Refused unless a template says otherwise."""
        raise BadParameter(
            f"template {self.template} cannot take over data that are there", subject=volume.name
        )

    async def share(self, volume: Volume, *, allowed: bool) -> None:
        """No mirror: nothing to do."""

    async def reconnect(self, volume: Volume, *, discard_local: bool = False) -> None:
        """No mirror: nothing to do."""

    async def resize(self, volume: Volume) -> None:
        """No mirror: nothing to do."""

    async def swap(self, volume: Volume, old: Volume) -> None:
        """No mirror: refused."""
        raise BadParameter(
            f"template {self.template} has no mirror, so its data cannot be exchanged",
            subject=volume.name,
        )
