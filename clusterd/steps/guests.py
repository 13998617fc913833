"""Steps on guests: start, stop, reboot, live migration, OS scripts.

A guest's disks are given to the hypervisor by links that are the same on each node, so that a guest
can move although the devices behind them have other numbers.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from clusterd.errors import CallFailed, NotReady
from clusterd.guests import guest_of, os_environment
from clusterd.model import Instance, Params
from clusterd.volumes import volume_on
from clusterd.world import OsRun, World
from hypervisors.guest import Guest, GuestStatus, MigrationStatus
from hypervisors.interface import Driver
from jobqueue.errors import Refused
from jobqueue.step import NOTHING, Outcome, Patience, Step

MIGRATION_TIME_LIMIT_S = 3600.0
"""A migration that does not converge in this time is aborted; the guest stays where it is."""

DESTROY_PATIENCE = Patience(for_s=120.0)


class _OnGuest(Step, frozen=True, kw_only=True):
    """What the steps below share: whose guest, where."""

    instance: str
    """uuid or name"""
    node: str
    """Host name."""

    def find(self, world: World) -> Instance | None:
        """The instance, or None when it is gone."""
        return world.configuration.find_instance(self.instance)

    def wanted(self, world: World) -> Instance:
        """The instance; raises Refused when it is gone."""
        instance = self.find(world)
        if instance is None:
            raise Refused(f"Instance '{self.instance}' not known", "unknown_entity")
        return instance

    def driver(self, world: World, instance: Instance) -> Driver:
        """The hypervisor on the node."""
        return world.node(self.node).hypervisor(instance.hypervisor)


async def linked_paths(world: World, instance: Instance, node: str) -> tuple[str, ...]:
    """The links to the instance's attached disks on a node, made if missing."""
    paths = []
    host = world.configuration.node(node)
    for index, disk in enumerate(instance.disks):
        volume = volume_on(world.view(), instance, disk, host)
        status = await world.node(node).storage(disk.template).look(volume)
        if status.path is None:
            raise CallFailed(
                f"Disk {index} of instance '{instance.name}' is not attached on node {node}",
                kind="volume_missing",
                node=node,
                subject=disk.uuid,
            )
        paths.append(status.path)
    if not paths:
        return ()
    return await world.node(node).link_disks(instance.name, tuple(paths))


async def described(
    world: World,
    instance: Instance,
    node: str,
    *,
    hvparams: Params | None = None,
    beparams: Params | None = None,
) -> Guest:
    """The instance's guest with the disks as they are linked on ``node``."""
    paths = await linked_paths(world, instance, node)
    return guest_of(world.view(), instance, paths, hvparams=hvparams, beparams=beparams)


class StartGuest(_OnGuest, frozen=True, kw_only=True, tag="guest.start"):
    """The guest runs on the node. Undone by destroying it there."""

    paused: bool = False
    hvparams: Params = {}
    beparams: Params = {}

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = self.wanted(world)
        guest = await described(
            world, instance, self.node, hvparams=self.hvparams, beparams=self.beparams
        )
        await self.driver(world, instance).start(guest, paused=self.paused)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        instance = self.find(context.world)
        if instance is not None:
            await self.driver(context.world, instance).destroy(instance.name)
        return NOTHING


class AskGuestToStop(_OnGuest, frozen=True, kw_only=True, tag="guest.ask-to-stop"):
    """The guest was asked to power off and did, or had ``timeout_s`` to do so.

    Undone, where ``restart`` says so, by starting it again.
    """

    timeout_s: float
    restart: bool = False

    @property
    def tolerated(self) -> bool:
        return True

    @property
    def undo_tolerated(self) -> bool:
        return True

    @property
    def patience(self) -> Patience:
        return Patience(for_s=self.timeout_s, first_pause_s=0.2, longest_pause_s=1.0)

    async def do(self, context: Any) -> Outcome:
        instance = self.find(context.world)
        if instance is not None and self.timeout_s > 0:
            await self.driver(context.world, instance).ask_to_stop(instance.name)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        instance = self.find(context.world)
        if instance is not None and self.restart:
            guest = await described(context.world, instance, self.node)
            await self.driver(context.world, instance).start(guest)
        return NOTHING


class DestroyGuest(_OnGuest, frozen=True, kw_only=True, tag="guest.destroy"):
    """The guest does not run on the node."""

    restart: bool = False
    optional: bool = False

    @property
    def undo_tolerated(self) -> bool:
        return True

    @property
    def tolerated(self) -> bool:
        return self.optional

    @property
    def patience(self) -> Patience:
        return Patience(for_s=5.0) if self.optional else DESTROY_PATIENCE

    async def do(self, context: Any) -> Outcome:
        instance = self.find(context.world)
        if instance is not None:
            await self.driver(context.world, instance).destroy(instance.name)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        instance = self.find(context.world)
        if instance is not None and self.restart:
            guest = await described(context.world, instance, self.node)
            await self.driver(context.world, instance).start(guest)
        return NOTHING


class RebootGuest(_OnGuest, frozen=True, kw_only=True, tag="guest.reboot"):
    """The guest was asked to restart, or was reset."""

    no_undo: ClassVar[str] = "a guest that has restarted has lost its memory"
    hard: bool = False

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = self.wanted(world)
        guest = await described(world, instance, self.node)
        await self.driver(world, instance).reboot(guest, hard=self.hard)
        return NOTHING


class DescribeConsole(_OnGuest, frozen=True, kw_only=True, tag="guest.console"):
    """Says how to reach the console; changes nothing."""

    @property
    def patience(self) -> Patience:
        return Patience(for_s=5.0)

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = self.wanted(world)
        guest = await described(world, instance, self.node)
        console = await self.driver(world, instance).console(guest)
        base = {"instance": instance.name, "host": self.node, "user": "root"}
        return Outcome(output={**base, **console})


class UnlinkDisks(_OnGuest, frozen=True, kw_only=True, tag="guest.unlink-disks"):
    """No links to the instance's disks are left on the node. Undone where they are needed."""

    @property
    def tolerated(self) -> bool:
        return True

    @property
    def patience(self) -> Patience:
        return Patience(for_s=5.0)

    async def do(self, context: Any) -> Outcome:
        instance = self.find(context.world)
        if instance is not None:
            await context.world.node(self.node).link_disks(instance.name, ())
        return NOTHING


class RunOs(_OnGuest, frozen=True, kw_only=True, tag="guest.run-os"):
    """A script of the instance's OS definition has run on its disks."""

    action: Literal["create", "rename"] = "create"
    parameters: dict[str, str] = {}
    """Private and secret parameters beside the recorded ones."""

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = self.wanted(world)
        paths = await linked_paths(world, instance, self.node)
        environment = os_environment(world.view(), instance, paths)
        environment |= {f"OSP_{key.upper()}": text for key, text in self.parameters.items()}
        run = OsRun(
            os=instance.os, action=self.action, instance=instance.name, environment=environment
        )
        await world.node(self.node).run_os(run)
        return NOTHING


class _Migration(_OnGuest, frozen=True, kw_only=True):
    """``node`` is the source."""

    target: str

    async def where(self, world: World, instance: Instance) -> tuple[bool, bool]:
        """(runs on the source, runs on the target)"""
        source = await self.driver(world, instance).look(instance.name)
        target = await world.node(self.target).hypervisor(instance.hypervisor).look(instance.name)
        return _alive(source), _alive(target)


class BeginMigration(_Migration, frozen=True, kw_only=True, tag="guest.begin-migration"):
    """The guest's memory is on its way to the target. Undone by aborting and cleaning up there."""

    live: bool = True

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = self.wanted(world)
        source = self.driver(world, instance)
        here, there = await self.where(world, instance)
        running = (await source.migration(instance.name)).state == "running" if here else False
        if running or (there and not here):
            return NOTHING
        await linked_paths(world, instance, self.node)
        guest = await described(world, instance, self.target)
        token = await world.node(self.target).hypervisor(instance.hypervisor).accept(guest)
        await source.migrate(guest, self.target, token, live=self.live)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        world: World = context.world
        instance = self.find(world)
        if instance is None:
            return NOTHING
        await self.driver(world, instance).abort_migration(instance.name)
        guest = await described(world, instance, self.node)
        target = world.node(self.target).hypervisor(instance.hypervisor)
        await target.settle(guest, arrived=False)
        return NOTHING


class AwaitMigration(_Migration, frozen=True, kw_only=True, tag="guest.await-migration"):
    """The guest runs on the target and no longer on the source."""

    seals: ClassVar[str] = "the guest runs on its new node"

    @property
    def patience(self) -> Patience:
        return Patience(for_s=MIGRATION_TIME_LIMIT_S, first_pause_s=0.3, longest_pause_s=2.0)

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = self.wanted(world)
        status = await self.driver(world, instance).migration(instance.name)
        if status.state == "running":
            raise NotReady(_progress(status), subject=instance.name)
        here, there = await self.where(world, instance)
        if there and not here:
            context.log(_figures(status))
            return Outcome(output=None)
        raise CallFailed(
            f"Could not migrate instance {instance.name}: {status.message or status.state}",
            kind="migration_failed",
            node=self.node,
            subject=instance.name,
        )


class SettleGuest(_OnGuest, frozen=True, kw_only=True, tag="guest.settle"):
    """After a migration: the guest is as if started here, or nothing of it is left here."""

    arrived: bool

    @property
    def tolerated(self) -> bool:
        return True

    @property
    def patience(self) -> Patience:
        return Patience(for_s=15.0)

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = self.find(world)
        if instance is not None:
            where = world.view().primary(instance).name
            guest = await described(world, instance, where)
            await self.driver(world, instance).settle(guest, arrived=self.arrived)
        return NOTHING


def _alive(status: GuestStatus | None) -> bool:
    return status is not None and status.alive


def _progress(status: MigrationStatus) -> str:
    done = status.transferred_mib
    return (
        f"memory transfer: {done:.0f} MiB sent, {status.remaining_mib:.0f} MiB left of "
        f"{status.total_mib:.0f} MiB, iteration {status.iteration}"
    )


def _figures(status: MigrationStatus) -> str:
    downtime = f"{status.downtime_ms} ms" if status.downtime_ms is not None else "unknown"
    return (
        f"* migration done in {status.elapsed_ms / 1000:.1f} s, downtime {downtime}, "
        f"{status.transferred_mib:.0f} MiB in {max(status.iteration, 1)} iteration(s)"
    )
