"""Steps on guests: start, stop, reboot, live migration, OS scripts.

A guest's disks are given to the hypervisor by links that are the same on each node, so that a guest
can move although the devices behind them have other numbers.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from clusterd.errors import CallFailed
from clusterd.guests import guest_of, os_environment
from clusterd.model import Instance, Params
from clusterd.seeds import seed_files
from clusterd.volumes import volume_on
from clusterd.world import OsRun, World
from hypervisors.guest import Guest
from hypervisors.interface import Driver
from jobqueue.errors import Refused
from jobqueue.step import NOTHING, Outcome, Patience, Step
from storage.volume import VolumeStatus

DESTROY_PATIENCE = Patience(for_s=120.0)


class OnGuest(Step, frozen=True, kw_only=True):
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
    """The links to the instance's attached disks on a node, made if missing.

    They bear the disks' numbers, which stay when a disk before them goes.
    """
    return (await linked_disks(world, instance, node))[0]


async def linked_disks(
    world: World, instance: Instance, node: str
) -> tuple[tuple[str, ...], tuple[VolumeStatus, ...]]:
    """The same, and what the node found of each disk."""
    paths: dict[int, str] = {}
    statuses = []
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
        paths[instance.number_of(disk)] = status.path
        statuses.append(status)
    if not paths:
        return (), ()
    wanted = tuple(paths.get(number, "") for number in range(max(paths) + 1))
    links = await world.node(node).link_disks(instance.name, wanted)
    return tuple(links[number] for number in paths), tuple(statuses)


async def described(
    world: World,
    instance: Instance,
    node: str,
    *,
    hvparams: Params | None = None,
    beparams: Params | None = None,
) -> Guest:
    """The instance's guest with the disks as they are linked on ``node``."""
    paths, statuses = await linked_disks(world, instance, node)
    # networks may be connected there in another way than where it is
    cards = world.view().rewired(instance, world.configuration.node(node))
    instance = msgspec.structs.replace(instance, nics=cards)
    return guest_of(
        world.view(),
        instance,
        paths,
        statuses=statuses,
        seed=await seeded(world, instance, node),
        hvparams=hvparams,
        beparams=beparams,
    )


async def seeded(world: World, instance: Instance, node: str) -> str:
    """The path of the instance's seed disk on a node, made anew from what the instance is told to
    be; empty if it has none."""
    files = seed_files(world.view(), instance)
    return await world.node(node).place_seed(instance.name, files) if files else ""


async def unseeded(world: World, instance: Instance, node: str) -> None:
    """Nothing of the instance's seed disk is left on a node."""
    if instance.cloud_init is not None:
        await world.node(node).place_seed(instance.name, {})


def outline(world: World, instance: Instance) -> Guest:
    """The instance's guest without its devices: for verbs that only ask which guest is meant."""
    return guest_of(world.view(), instance, [""] * len(instance.disks))


class StartGuest(OnGuest, frozen=True, kw_only=True, tag="guest.start"):
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


class StopGuest(OnGuest, frozen=True, kw_only=True):
    """What both ways of stopping share. Undone, where ``restart`` says so, by starting it again."""

    restart: bool = False

    @property
    def undo_tolerated(self) -> bool:
        return True

    async def undo(self, context: Any) -> Outcome:
        instance = self.find(context.world)
        if instance is not None and self.restart:
            guest = await described(context.world, instance, self.node)
            await self.driver(context.world, instance).start(guest)
        return NOTHING


class AskGuestToStop(StopGuest, frozen=True, kw_only=True, tag="guest.ask-to-stop"):
    """The guest was asked to power off and did, or had ``timeout_s`` to do so."""

    timeout_s: float

    @property
    def tolerated(self) -> bool:
        return True

    @property
    def patience(self) -> Patience:
        return Patience(for_s=self.timeout_s, first_pause_s=0.2, longest_pause_s=1.0)

    async def do(self, context: Any) -> Outcome:
        instance = self.find(context.world)
        if instance is not None and self.timeout_s > 0:
            await self.driver(context.world, instance).ask_to_stop(instance.name)
        return NOTHING


class DestroyGuest(StopGuest, frozen=True, kw_only=True, tag="guest.destroy"):
    """The guest does not run on the node."""

    optional: bool = False

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


class RebootGuest(OnGuest, frozen=True, kw_only=True, tag="guest.reboot"):
    """The guest was asked to restart, or was reset."""

    no_undo: ClassVar[str] = "a guest that has restarted has lost its memory"
    hard: bool = False

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = self.wanted(world)
        guest = await described(world, instance, self.node)
        await self.driver(world, instance).reboot(guest, hard=self.hard)
        return NOTHING


class DescribeConsole(OnGuest, frozen=True, kw_only=True, tag="guest.console"):
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


class UnlinkDisks(OnGuest, frozen=True, kw_only=True, tag="guest.unlink-disks"):
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
            await unseeded(context.world, instance, self.node)
        return NOTHING


class RunOs(OnGuest, frozen=True, kw_only=True, tag="guest.run-os"):
    """A script of the instance's OS definition has run on its disks."""

    action: Literal["create", "rename"] = "create"
    parameters: dict[str, str] = {}
    """Private and secret parameters beside the recorded ones."""
    old_name: str = ""
    """What the instance was called; scripts ``rename`` are told."""

    @property
    def tolerated(self) -> bool:
        # as in Ganeti: a guest that has its old name inside is better than none
        return self.action == "rename"

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = self.wanted(world)
        paths, statuses = await linked_disks(world, instance, self.node)
        foreign = [index for index, status in enumerate(statuses) if status.format != "raw"]
        if foreign:
            raise Refused(
                f"Disk {foreign[0]} of instance '{instance.name}' is a"
                f" {statuses[foreign[0]].format} file, into which scripts of OS definitions cannot"
                " write: begin with an image (option --image)",
                "wrong_state",
            )
        environment = os_environment(world.view(), instance, paths)
        environment |= {
            f"DISK_{index}_URI": status.source.uri
            for index, status in enumerate(statuses)
            if status.source is not None
        }
        environment |= {f"OSP_{key.upper()}": text for key, text in self.parameters.items()}
        if self.old_name:
            environment["OLD_INSTANCE_NAME"] = self.old_name
        run = OsRun(
            os=instance.os, action=self.action, instance=instance.name, environment=environment
        )
        await world.node(self.node).run_os(run)
        return NOTHING
