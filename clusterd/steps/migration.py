"""Steps of live migration: begin, wait, settle both sides.

Where the guest's processors run is asked of both nodes, never remembered. A complete copy that
stands still on the target is let run only when the source says that the guest has left it. That
the source has none any more is not enough: where the link broke at the very end the guest went on
there, and ended later, and what the copy remembers of the disks is older than they are. So the copy
is thrown away otherwise: it never ran, so nothing was written that it alone knows of.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from clusterd.errors import CallFailed, NotReady
from clusterd.model import Instance
from clusterd.steps.disk_moves import arriving
from clusterd.steps.disks import SYNC_PATIENCE_S, waiting_for
from clusterd.steps.guests import OnGuest, described, linked_paths, outline, unseeded
from clusterd.volumes import has_mirror, volume_on
from clusterd.world import World
from hypervisors.errors import GuestMissing
from hypervisors.guest import Guest, GuestState, GuestStatus, MigrationStatus
from jobqueue.errors import NoWayBack
from jobqueue.step import NOTHING, Outcome, Patience

MIGRATION_TIME_LIMIT_S = 3600.0
"""A migration that does not converge in this time is aborted; the guest stays where it is."""
LOOK_S = 0.5
"""How long a look may wait for the end; both copies of mirrored disks are looked at before each."""


class _Migration(OnGuest, frozen=True, kw_only=True):
    """``node`` is the source."""

    target: str

    async def where(
        self, world: World, instance: Instance
    ) -> tuple[GuestStatus | None, GuestStatus | None]:
        """The guest as it is on the source and on the target, each None when not alive there."""
        source = await self.driver(world, instance).look(instance.name)
        target = await world.node(self.target).hypervisor(instance.hypervisor).look(instance.name)
        return _alive(source), _alive(target)

    async def _has_left(self, world: World, instance: Instance, there: GuestStatus) -> bool:
        """The source has no guest: is the one on the target it, or a copy that it has outlived?"""
        if not there.unreleased:
            return True
        return (await self.driver(world, instance).migration(instance.name)).state == "completed"

    async def _abort(self, world: World, instance: Instance) -> None:
        """No migration runs. That the guest has left is no failure: it is looked for then."""
        try:
            await self.driver(world, instance).abort_migration(instance.name)
        except CallFailed as error:
            if error.kind != GuestMissing.code:
                raise


async def check_mirrors(world: World, instance: Instance, node: str) -> None:
    """Both copies of each mirrored disk are complete and connected, seen from the source. Raises
    CallFailed otherwise.

    With the disks open on both nodes a lost connection lets the copies part: what the guest still
    writes at its source would be missing where it arrives.
    """
    host = world.configuration.node(node)
    for index, disk in enumerate(instance.disks):
        if not has_mirror(disk.template):
            continue
        volume = volume_on(world.view(), instance, disk, host)
        wrong = waiting_for(await world.node(node).storage(disk.template).look(volume), synced=True)
        if wrong:
            raise CallFailed(
                f"disk/{index} of instance '{instance.name}': {wrong}; the guest must not move now",
                kind="mirror_lost",
                node=node,
                subject=disk.uuid,
            )


class BeginMigration(_Migration, frozen=True, kw_only=True, tag="guest.begin-migration"):
    """The guest's memory is on its way to the target. Undone by aborting and cleaning up there."""

    live: bool = True
    travels: bool = False
    """Its disks are local: their contents go to the drafted ones on the target."""

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = self.wanted(world)
        source = self.driver(world, instance)
        here, there = await self.where(world, instance)
        if here is None and there is not None:
            return NOTHING
        if here is not None and (await source.migration(instance.name)).state == "running":
            return NOTHING
        await check_mirrors(world, instance, self.node)
        await linked_paths(world, instance, self.node)
        guest = await self._arriving(world, instance)
        token = await world.node(self.target).hypervisor(instance.hypervisor).accept(guest)
        await source.migrate(guest, self.target, token, live=self.live)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        world: World = context.world
        instance = self.find(world)
        if instance is None:
            return NOTHING
        await self._abort(world, instance)
        here, there = await self.where(world, instance)
        gone = here is None and there is None and self.travels
        if (
            gone
            and (await self.driver(world, instance).migration(instance.name)).state == "completed"
        ):
            raise NoWayBack(f"instance '{instance.name}' was on node {self.target}, and has ended")
        if there is not None and here is None and await self._has_left(world, instance, there):
            raise NoWayBack(f"instance '{instance.name}' has left for node {self.target}")
        target = world.node(self.target).hypervisor(instance.hypervisor)
        stands_still = there is not None and there.state is GuestState.PAUSED
        if stands_still and (here is None or _runs(here)):
            await target.destroy(instance.name)
        else:
            await target.settle(outline(world, instance), arrived=False)
        if self.travels:
            await world.node(self.target).link_disks(instance.name, ())
        await unseeded(world, instance, self.target)
        return NOTHING

    async def _arriving(self, world: World, instance: Instance) -> Guest:
        """The guest as it will be on the target."""
        if not self.travels:
            return await described(world, instance, self.target)
        there = arriving(instance, world.configuration.node(self.target).uuid)
        guest = await described(world, there, self.target)
        own = {disk.uuid for disk in there.disks}  # a seed is made there
        disks = tuple(
            msgspec.structs.replace(disk, travels=disk.uuid in own) for disk in guest.disks
        )
        return msgspec.structs.replace(guest, disks=disks)


class DropCopy(_Migration, frozen=True, kw_only=True, tag="guest.drop-copy"):
    """No copy that has never run stands still on the target."""

    no_undo: ClassVar[str] = "such a copy is of no use"

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = self.find(world)
        if instance is not None:
            await self._abort(world, instance)
            target = world.node(self.target).hypervisor(instance.hypervisor)
            there = await target.look(instance.name)
            if there is not None and there.unreleased:
                await target.destroy(instance.name)
        return NOTHING


class AwaitMigration(_Migration, frozen=True, kw_only=True, tag="guest.await-migration"):
    """The guest runs on the target and no longer on the source."""

    seals: ClassVar[str] = "the guest runs on its new node"
    travels: bool = False

    @property
    def patience(self) -> Patience:
        for_s = SYNC_PATIENCE_S if self.travels else MIGRATION_TIME_LIMIT_S
        # the look itself waits for the end
        return Patience(for_s=for_s, first_pause_s=0.02, longest_pause_s=0.02)

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = self.wanted(world)
        driver = self.driver(world, instance)
        if _alive(await driver.look(instance.name)) is not None:
            await check_mirrors(world, instance, self.node)
        status = await driver.migration(instance.name, patience_s=LOOK_S)
        if status.state == "running":
            raise NotReady(_progress(status), subject=instance.name)
        if await self._arrived(world, instance, status):
            context.log(_figures(status))
            return Outcome(output=None)
        raise CallFailed(
            f"Could not migrate instance {instance.name}: {status.message or status.state}",
            kind="migration_failed",
            node=self.node,
            subject=instance.name,
        )

    async def _arrived(self, world: World, instance: Instance, status: MigrationStatus) -> bool:
        # a target that has died need not be waited for while the source has its guest
        if _alive(await self.driver(world, instance).look(instance.name)) is not None:
            return False
        here, there = await self.where(world, instance)
        if (
            here is None
            and there is not None
            and (status.state == "completed" or not there.unreleased)
        ):
            return True
        # with the disks its newest data have left, even if it has broken down there meanwhile
        return self.travels and here is None and status.state == "completed"


class SettleGuest(OnGuest, frozen=True, kw_only=True, tag="guest.settle"):
    """After a migration: the guest runs here as if started here, or nothing of it is left here.

    A failure stops nothing: the guest has moved, and the disks must be closed behind it.
    """

    arrived: bool

    @property
    def tolerated(self) -> bool:
        return True

    @property
    def patience(self) -> Patience:
        return Patience(for_s=60.0 if self.arrived else 15.0)

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = self.find(world)
        if instance is not None:
            guest = outline(world, instance)
            await self.driver(world, instance).settle(guest, arrived=self.arrived)
            if not self.arrived:
                await unseeded(world, instance, self.node)
        return NOTHING


def _alive(status: GuestStatus | None) -> GuestStatus | None:
    return status if status is not None and status.alive else None


def _runs(status: GuestStatus | None) -> bool:
    return status is not None and status.state is GuestState.RUNNING


def _progress(status: MigrationStatus) -> str:
    if status.disks_remaining_mib > 0:
        return _disks_progress(status)
    # in tenths, as each new sentence is a line of the log and it is looked at often
    done = 1.0 - status.remaining_mib / status.total_mib if status.total_mib else 0.0
    return (
        f"memory transfer: {int(done * 10) * 10} % of {status.total_mib:.0f} MiB, iteration"
        f" {status.iteration}"
    )


def _disks_progress(status: MigrationStatus) -> str:
    done = status.disks_total_mib - status.disks_remaining_mib
    percent = int(100 * done / status.disks_total_mib)
    text = f"disks: {percent} % of {status.disks_total_mib:.0f} MiB copied"
    if done > 0:
        # whole minutes: it must not change at each look
        left = round(status.elapsed_ms / 60000 * status.disks_remaining_mib / done)
        text += f", about {left} min left" if left else ", less than a minute left"
    return text


def _figures(status: MigrationStatus) -> str:
    downtime = f"{status.downtime_ms} ms" if status.downtime_ms is not None else "unknown"
    return (
        f"* migration done in {status.elapsed_ms / 1000:.2f} s, downtime {downtime}, "
        f"{status.transferred_mib:.0f} MiB in {max(status.iteration, 1)} iteration(s)"
    )
