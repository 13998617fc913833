"""Steps on directories of exports. What is unfinished bears the number of its job."""

from __future__ import annotations

import contextlib
from typing import Any, ClassVar

from clusterd import export_file
from clusterd.errors import CallFailed
from clusterd.world import World
from jobqueue.step import NOTHING, Outcome, Patience, Step


class OnExport(Step, frozen=True, kw_only=True):
    """What the steps below share."""

    name: str
    """Of the instance."""
    node: str
    """Host name of the node that keeps it."""

    def identity(self, context: Any) -> str:
        """Whose the unfinished export is."""
        return f"{context.world.configuration.cluster.uuid}/{context.job_id}"

    async def show(self, world: World) -> None:
        """Who asks after this job sees what it did."""
        with contextlib.suppress(CallFailed):
            await world.node(self.node).observe()


class BeginExport(OnExport, frozen=True, kw_only=True, tag="export.begin"):
    """There is an unfinished export of this job. Undone by removing it."""

    async def do(self, context: Any) -> Outcome:
        await context.world.node(self.node).begin_export(self.name, self.identity(context))
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        await context.world.node(self.node).forget_export(self.name, self.identity(context))
        return NOTHING


class CommitExport(OnExport, frozen=True, kw_only=True, tag="export.commit"):
    """The export is complete, and has taken the place of an earlier one."""

    seals: ClassVar[str] = "the export is complete"

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = world.configuration.instance(self.name)
        identity = self.identity(context)
        text = export_file.written(world.view(), instance, now=world.now(), identity=identity)
        await world.node(self.node).commit_export(self.name, identity, text)
        await self.show(world)
        return NOTHING


class RemoveExport(OnExport, frozen=True, kw_only=True, tag="export.remove"):
    """The node keeps no export of this name."""

    no_undo: ClassVar[str] = "the export is gone"
    optional: bool = False

    @property
    def tolerated(self) -> bool:
        return self.optional

    @property
    def patience(self) -> Patience:
        return Patience(for_s=5.0 if self.optional else 60.0)

    async def do(self, context: Any) -> Outcome:
        await context.world.node(self.node).forget_export(self.name, "")
        await self.show(context.world)
        return NOTHING
