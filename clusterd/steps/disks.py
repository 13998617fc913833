"""Steps on volumes: each brings one disk of one instance on one node into one state.

A volume is described anew from the configuration at each attempt, so a step stores only names. When
the instance is not in the configuration there is nothing to undo.
"""

from __future__ import annotations

from typing import Any, ClassVar

from clusterd.errors import CallFailed, NotReady
from clusterd.model import Disk, Instance
from clusterd.volumes import is_held_by_node, is_shared, volume_on
from clusterd.world import World
from jobqueue.errors import Refused
from jobqueue.step import NOTHING, Outcome, Patience, Step
from storage.interface import Backend
from storage.volume import Health, Link, Volume, VolumeStatus

UNDO_PATIENCE_S = 900.0
STALLED = (
    "but it stands still: look at the network between the nodes and at their disks; canceling the"
    " job is possible"
)
UNANSWERED = {"command_timed_out": UNDO_PATIENCE_S, "storage_down": UNDO_PATIENCE_S}
"""How long to wait for storage that hangs or is away once the guest is elsewhere: given up before,
the disk would stay in use, and open, where its instance is not any more."""
SYNC_PATIENCE_S = 7 * 24 * 3600.0
"""A full synchronisation of a large disk takes days; the job can be canceled meanwhile."""


class OnVolume(Step, frozen=True, kw_only=True):
    """What the steps below share: whose disk, where."""

    instance: str
    """uuid or name"""
    disk: int
    """Index of the disk."""
    node: str
    """Host name."""
    drafted: bool = False
    """``disk`` counts the disks that the job drafted, not those that the instance has."""
    was: Disk | None = None
    """The disk itself, where the instance no longer has it."""

    @property
    def undo_patience(self) -> Patience:
        """A node that is away comes back, or is marked offline: until then the job waits and says
        so, rather than be stuck."""
        usual = self.patience
        return Patience(
            for_s=max(usual.for_s, UNDO_PATIENCE_S),
            of_any=usual.of_any,
            first_pause_s=usual.first_pause_s,
            longest_pause_s=max(usual.longest_pause_s, 15.0),
        )

    def target(self, world: World) -> tuple[Backend, Volume] | None:
        """The backend and the volume, or None when the instance or the disk is gone."""
        found = self.find(world)
        if found is None:
            return None
        instance, disk = found
        node = world.configuration.node(self.node)
        volume = volume_on(world.view(), instance, disk, node)
        return world.node(self.node).storage(disk.template), volume

    def target_for_removal(self, world: World) -> tuple[Backend, Volume] | None:
        """The same, for shared storage by way of another node where this one does not answer."""
        target = self.target(world)
        view = world.view()
        node = world.configuration.node(self.node)
        if target is None or view.reachable(node) or not is_shared(target[1].template):
            return target
        if is_held_by_node(target[1].template) and not node.offline:
            return target
        for other in world.configuration.nodes():
            if other.group == node.group and other.vm_capable and view.reachable(other):
                return world.node(other.name).storage(target[1].template), target[1]
        return target

    def wanted(self, world: World) -> tuple[Backend, Volume]:
        """The backend and the volume; raises Refused when the instance is gone."""
        target = self.target(world)
        if target is None:
            raise Refused(f"Instance '{self.instance}' not known", "unknown_entity")
        return target

    def find(self, world: World) -> tuple[Instance, Disk] | None:
        """The instance and the disk in the configuration."""
        instance = world.configuration.find_instance(self.instance)
        if instance is None:
            return None
        if self.was is not None:
            return instance, self.was
        disks = instance.drafted if self.drafted else instance.disks
        return (instance, disks[self.disk]) if self.disk < len(disks) else None


class EnsureVolume(OnVolume, frozen=True, kw_only=True, tag="disk.ensure"):
    """Storage for the disk exists on the node."""

    async def do(self, context: Any) -> Outcome:
        backend, volume = self.wanted(context.world)
        await backend.ensure(volume)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        target = self.target_for_removal(context.world)
        if target is not None:
            await target[0].forget(target[1])
        return NOTHING


class ForgetVolume(OnVolume, frozen=True, kw_only=True, tag="disk.forget"):
    """Nothing of the disk is left on the node."""

    no_undo: ClassVar[str] = "the disk's data are gone"
    optional: bool = False

    @property
    def tolerated(self) -> bool:
        return self.optional

    async def do(self, context: Any) -> Outcome:
        target = self.target_for_removal(context.world)
        if target is not None:
            await target[0].forget(target[1])
        return NOTHING


class AttachVolume(OnVolume, frozen=True, kw_only=True, tag="disk.attach"):
    """The disk is usable on the node, not yet writable if it is a mirror."""

    clean: bool = False
    optional: bool = False
    keep: bool = False
    """Not detached on the way back: it should be attached whatever becomes of the job."""

    @property
    def tolerated(self) -> bool:
        return self.optional

    @property
    def patience(self) -> Patience:
        return Patience(for_s=5.0 if self.optional else 60.0)

    async def do(self, context: Any) -> Outcome:
        backend, volume = self.wanted(context.world)
        path = await backend.attach(volume, clean=self.clean)
        return Outcome(output=path)

    async def undo(self, context: Any) -> Outcome:
        target = self.target(context.world)
        if target is not None and not self.keep:
            await target[0].detach(target[1])
        return NOTHING


class DetachVolume(OnVolume, frozen=True, kw_only=True, tag="disk.detach"):
    """The disk is not usable on the node. Undone by attaching, and opening where it was open."""

    was_open: bool = False
    optional: bool = False
    insists: bool = False
    """Storage that hangs or is away is waited for, see ``UNANSWERED``."""
    patience_s: float | None = None
    """How long to try; None: long, or shortly if it is optional."""

    @property
    def undo_tolerated(self) -> bool:
        return True

    @property
    def tolerated(self) -> bool:
        return self.optional

    @property
    def patience(self) -> Patience:
        usual_s = 10.0 if self.optional else 60.0
        for_s = usual_s if self.patience_s is None else self.patience_s
        longer = UNANSWERED if self.insists else {}
        return Patience(for_s=for_s, of_any=self.optional, longer=longer)

    async def do(self, context: Any) -> Outcome:
        target = self.target(context.world)
        if target is not None:
            await target[0].detach(target[1])
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        target = self.target(context.world)
        if target is not None:
            await target[0].attach(target[1])
            if self.was_open:
                await target[0].open(target[1])
        return NOTHING


class OpenVolume(OnVolume, frozen=True, kw_only=True, tag="disk.open"):
    """The disk may be written on the node."""

    force: bool = False

    async def do(self, context: Any) -> Outcome:
        backend, volume = self.wanted(context.world)
        await backend.open(volume, force=self.force)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        target = self.target(context.world)
        if target is not None:
            await target[0].close(target[1])
        return NOTHING


class CloseVolume(OnVolume, frozen=True, kw_only=True, tag="disk.close"):
    """The disk may not be written on the node. Not opened on the way back: nobody uses what could
    be closed, and whether it was open is not known."""

    optional: bool = False
    insists: bool = False
    """Storage that hangs or is away is waited for, see ``UNANSWERED``."""
    patience_s: float = 60.0

    @property
    def tolerated(self) -> bool:
        return self.optional

    @property
    def patience(self) -> Patience:
        # left open where its instance does not live, it might be written on two nodes
        longer = UNANSWERED if self.insists else {}
        return Patience(for_s=self.patience_s, of_any=self.optional, longer=longer)

    async def do(self, context: Any) -> Outcome:
        target = self.target(context.world)
        if target is not None:
            await target[0].close(target[1])
        return NOTHING


class ShareVolume(OnVolume, frozen=True, kw_only=True, tag="disk.share"):
    """Two nodes may write the disk: the window of a live migration. Undone by closing it."""

    async def do(self, context: Any) -> Outcome:
        backend, volume = self.wanted(context.world)
        await backend.share(volume, allowed=True)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        target = self.target(context.world)
        if target is not None:
            await target[0].share(target[1], allowed=False)
        return NOTHING


class UnshareVolume(OnVolume, frozen=True, kw_only=True, tag="disk.unshare"):
    """Only one node may write the disk again."""

    optional: bool = False
    insists: bool = False
    """Storage that hangs or is away is waited for, see ``UNANSWERED``."""
    closes: bool = False
    """It is closed here before, as while both sides are open none can be refused: what could not be
    closed by the step before may be possible by now."""

    @property
    def tolerated(self) -> bool:
        return self.optional

    @property
    def patience(self) -> Patience:
        return Patience(of_any=self.optional, longer=UNANSWERED if self.insists else {})

    async def do(self, context: Any) -> Outcome:
        target = self.target(context.world)
        if target is not None:
            if self.closes:
                await target[0].close(target[1])
            await target[0].share(target[1], allowed=False)
        return NOTHING


class AwaitMirror(OnVolume, frozen=True, kw_only=True, tag="disk.await-mirror"):
    """The mirror is connected, or complete (``synced``). Seen from ``node``."""

    waits: ClassVar[bool] = True
    synced: bool = False
    optional: bool = False

    @property
    def tolerated(self) -> bool:
        return self.optional

    @property
    def patience(self) -> Patience:
        for_s = SYNC_PATIENCE_S if self.synced else 45.0
        return Patience(for_s=for_s, first_pause_s=0.3, longest_pause_s=3.0)

    async def do(self, context: Any) -> Outcome:
        backend, volume = self.wanted(context.world)
        status = await backend.look(volume)
        if status.link is Link.STANDALONE:
            await backend.reconnect(volume)
        reason = waiting_for(status, synced=self.synced)
        if reason and status.link is Link.CONNECTING:
            reason += await self._peer_back(context)
        if reason:
            raise NotReady(f"disk/{self.disk} on {self.node}: {reason}", subject=volume.uuid)
        return NOTHING

    async def _peer_back(self, context: Any) -> str:
        """The other copy is usable again where its node was started anew; else why not."""
        world: World = context.world
        found = self.find(world)
        pair = found[1].drbd if found is not None else None
        if found is None or pair is None:
            return ""
        own = world.configuration.node(self.node).uuid
        peer = world.configuration.node(pair.nodes[pair.nodes[0] == own])
        if not world.view().reachable(peer):
            return f", node {peer.name} does not answer"
        backend = world.node(peer.name).storage(found[1].template)
        volume = volume_on(world.view(), *found, peer)
        seen = await backend.look(volume)
        if seen.present and seen.path is None:
            context.log(f"   disk/{self.disk} is not in use on {peer.name} any more: attaching it")
            await backend.attach(volume)
        return ""


def waiting_for(status: VolumeStatus, *, synced: bool) -> str:
    """What a mirror still lacks; empty when it is as wanted or no mirror at all."""
    if status.link is Link.NONE and status.path is not None:
        return ""
    if status.link not in (Link.CONNECTED, Link.SYNCING):
        return f"mirror is {status.link}"
    if not synced:
        return ""
    if status.link is Link.SYNCING or status.health is Health.SYNC:
        return _synchronising(status)
    return _incomplete(status)


def _incomplete(status: VolumeStatus) -> str:
    """Which connected copy lacks data. Before its synchronisation begins, a new one is connected
    and incomplete for a moment; two that never had any are left to whoever opens one."""
    copies = (status.health, status.peer_health)
    if Health.UNKNOWN in copies:
        return "it is not known yet which copy is up to date"
    if Health.OK in copies and copies != (Health.OK, Health.OK):
        whose = "the peer's" if status.health is Health.OK else "this node's"
        return f"{whose} copy is not up to date"
    return ""


def _synchronising(status: VolumeStatus) -> str:
    """How far it is. In whole minutes where it takes long: each new sentence is a line of a log."""
    done = f"{status.sync_percent:.0f} %" if status.sync_percent is not None else "some"
    text = f"synchronising, {done} done"
    if status.sync_stalled:
        return f"{text}, {STALLED}"
    left = status.sync_seconds_left
    if left is None:
        return text
    if left >= 2 * 60:
        left = round(left / 60) * 60
    return f"{text}, about {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"


class CheckMirror(OnVolume, frozen=True, kw_only=True, tag="disk.check"):
    """The node's copy is good enough to become the only one."""

    async def do(self, context: Any) -> Outcome:
        backend, volume = self.wanted(context.world)
        status = await backend.look(volume)
        if status.path is not None and status.health is not Health.OK:
            raise CallFailed(
                f"Disk {self.disk} is degraded on target node {self.node}, aborting failover",
                kind="not_up_to_date",
                node=self.node,
                subject=volume.uuid,
            )
        return NOTHING
