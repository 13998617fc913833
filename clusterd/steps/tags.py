"""The step that changes the tags of an object."""

from __future__ import annotations

from typing import Any

from clusterd import tags
from clusterd.world import World
from jobqueue.errors import Refused
from jobqueue.step import NOTHING, Outcome, Step


class ChangeTags(Step, frozen=True, kw_only=True, tag="tags.change"):
    """The object has the tags ``add`` and not those of ``remove``.

    Both name only what differed when it was planned, so undoing is the same the other way round.
    """

    kind: tags.Kind
    owner: str | None
    """uuid; None for the cluster."""
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    @property
    def inward(self) -> bool:
        return True

    async def do(self, context: Any) -> Outcome:
        return self._changed(context.world, self.add, self.remove)

    async def undo(self, context: Any) -> Outcome:
        try:
            return self._changed(context.world, self.remove, self.add)
        except Refused:
            return NOTHING

    def _changed(self, world: World, add: tuple[str, ...], remove: tuple[str, ...]) -> Outcome:
        found = tags.owner(world.configuration, self.kind, self.owner)
        after = tuple(sorted({*found.tags, *add} - {*remove}))
        if after == found.tags:
            return NOTHING
        return Outcome(writes=world.configuration.changed(found, world.now(), tags=after))
