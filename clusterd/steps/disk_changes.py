"""Steps that change which disks an instance has, or what they are.

A changed or new disk is first *drafted*: drawn and stored beside the instance's own, so that its
identities are taken and what is made of it is owned. Committing puts it in its place, in one write.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from clusterd.errors import CallFailed, NodeAway
from clusterd.model import Disk, Instance
from clusterd.steps.disks import SYNC_PATIENCE_S, OnVolume
from clusterd.steps.drawing import Drawing
from clusterd.steps.instances import decoded_fields
from clusterd.volumes import numbered, volume_on
from clusterd.world import World
from jobqueue.step import NOTHING, Outcome, Patience, Step
from storage.errors import NotUpToDate, VolumeMissing
from storage.interface import Backend
from storage.volume import Volume

AWAY_PATIENCE_S = 60.0


class DraftDisks(Step, frozen=True, kw_only=True, tag="disks.draft"):
    """The instance has these drafted disks, with identities. Undone by forgetting them."""

    instance: str
    disks: tuple[Disk, ...]
    """What is left empty is drawn; each has its number."""
    moving_to: str | None = None
    """Node (uuid) that gets them, where it is none of the instance's."""

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        found = world.configuration.instance(self.instance)
        if found.drafted:
            return NOTHING
        with Drawing(world, context.job_id) as drawing:
            disks = drawing.disks(self.disks)
        writes = world.configuration.changed(
            found, world.now(), drafted=disks, moving_to=self.moving_to
        )
        return Outcome(writes=writes)

    async def undo(self, context: Any) -> Outcome:
        world: World = context.world
        found = world.configuration.find_instance(self.instance)
        if found is None or not (found.drafted or found.moving_to):
            return NOTHING
        return Outcome(
            writes=world.configuration.changed(found, world.now(), drafted=(), moving_to=None)
        )


class CommitDisks(Step, frozen=True, kw_only=True, tag="disks.commit"):
    """The drafted disks are the instance's, and it has lost those that went."""

    seals: ClassVar[str] = "the instance has its new disks"
    instance: str
    places: tuple[int, ...] = ()
    """Where each drafted disk goes: in the place of the disk there."""
    inserts: bool = False
    """Drafted disks come before the disk in their place instead."""
    removes: tuple[int, ...] = ()
    """Places of disks that go, counted before anything is changed."""
    keeps: bool = True
    """What went is kept as drafted, until it has been removed from its nodes."""
    left: str | None = None
    """The node (uuid) where that is, if it is none of the instance's any more."""
    changes: dict[str, msgspec.Raw] = {}
    """Further fields of the instance."""

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        found = world.configuration.instance(self.instance)
        new = decoded_fields(Instance, self.changes)
        writes = world.configuration.changed(
            found,
            world.now(),
            **{
                "disks": self.arranged(found),
                "drafted": self.gone(found) if self.keeps else (),
                "moving_to": self.left if self.keeps else None,
                **new,
            },
        )
        return Outcome(writes=writes)

    def gone(self, instance: Instance) -> tuple[Disk, ...]:
        """The disks that the instance will no longer have."""
        places = {*self.removes, *(() if self.inserts else self.places)}
        disks = numbered(instance)
        return tuple(disks[place] for place in sorted(places))

    def arranged(self, instance: Instance) -> tuple[Disk, ...]:
        """The instance's disks as they will be."""
        disks: list[Disk | None] = list(numbered(instance))
        for place in self.removes:
            disks[place] = None
        fresh = [msgspec.structs.replace(disk, synced=True) for disk in instance.drafted]
        pairs = list(zip(self.places, fresh, strict=True))
        for place, disk in pairs if not self.inserts else ():
            disks[place] = disk
        for place, disk in sorted(pairs, key=lambda one: -one[0]) if self.inserts else ():
            disks.insert(place, disk)
        return tuple(disk for disk in disks if disk is not None)


class LetGo(Step, frozen=True, kw_only=True, tag="disks.let-go"):
    """The instance has no drafted disks: nothing is left of those that it lost."""

    seals: ClassVar[str] = "nothing is left of the old disks"
    instance: str

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        found = world.configuration.find_instance(self.instance)
        if found is None or not found.drafted:
            return NOTHING
        return Outcome(
            writes=world.configuration.changed(found, world.now(), drafted=(), moving_to=None)
        )


class SwapVolume(OnVolume, frozen=True, kw_only=True, tag="disk.swap"):
    """The drafted data serve under the mirror of ``disk`` instead of its own. Undone by changing
    back."""

    draft: int
    """Place among the drafted disks."""
    primary: bool
    """The node has the disk open."""

    @property
    def patience(self) -> Patience:
        # the peer has the only whole copy meanwhile: nothing can be done before it is back
        return Patience(
            for_s=SYNC_PATIENCE_S,
            limits={NodeAway.code: AWAY_PATIENCE_S},
            first_pause_s=0.5,
            longest_pause_s=10.0,
        )

    async def do(self, context: Any) -> Outcome:
        backend, old = self.wanted(context.world)
        new = self._draft(context.world)
        if new is not None:
            try:
                await backend.swap(new, old)
            except CallFailed as error:
                self._refuse_without_peer(context.world, error)
                raise
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        target, new = self.target(context.world), self._draft(context.world)
        if target is None or new is None:
            return NOTHING
        backend, old = target
        if not self.primary:
            await backend.detach(new)
            await backend.attach(old)
            return NOTHING
        try:
            await backend.swap(old, new)
        except CallFailed as error:
            self._refuse_without_peer(context.world, error)
            if error.kind != VolumeMissing.code:
                raise
            await backend.attach(old)  # the node was down meanwhile
        return NOTHING

    def _refuse_without_peer(self, world: World, error: CallFailed) -> None:
        """Whom the operator has marked offline is not waited for."""
        instance = world.configuration.find_instance(self.instance)
        if instance is None or error.kind != NotUpToDate.code:
            return
        for node in world.view().nodes_of(instance):
            if node.name != self.node and node.offline:
                raise CallFailed(
                    f"{error.message}; its node {node.name} is marked offline: bring it back"
                    f" ('gnt-node modify --offline no {node.name}'), or give up what was written"
                    " since the disk was replaced",
                    kind=error.kind,
                    node=self.node,
                    subject=error.subject,
                )

    def _draft(self, world: World) -> Volume | None:
        instance = world.configuration.find_instance(self.instance)
        if instance is None or self.draft >= len(instance.drafted):
            return None
        node = world.configuration.node(self.node)
        return volume_on(world.view(), instance, instance.drafted[self.draft], node)


class AdoptVolume(OnVolume, frozen=True, kw_only=True, tag="disk.adopt"):
    """The data of ``disk`` are the drafted disk's, by its name. Undone by giving them back."""

    draft: int

    async def do(self, context: Any) -> Outcome:
        draft = self._draft(context.world)
        if draft is not None:
            _, old = self.wanted(context.world)
            await draft[0].adopt(draft[1], old.name)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        target, draft = self.target(context.world), self._draft(context.world)
        if target is not None and draft is not None:
            await target[0].adopt(target[1], draft[1].name)
            await draft[0].forget(draft[1])  # what was made beside them
        return NOTHING

    def _draft(self, world: World) -> tuple[Backend, Volume] | None:
        instance = world.configuration.find_instance(self.instance)
        if instance is None or self.draft >= len(instance.drafted):
            return None
        disk = instance.drafted[self.draft]
        volume = volume_on(world.view(), instance, disk, world.configuration.node(self.node))
        return world.node(self.node).storage(disk.template), volume


class TurnMirror(OnVolume, frozen=True, kw_only=True, tag="disk.turn-mirror"):
    """The copy on the node mirrors to the drafted peer. Undone by turning to the old one."""

    draft: int

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = world.configuration.instance(self.instance)
        backend, _old = self.wanted(world)
        node = world.configuration.node(self.node)
        new = volume_on(world.view(), instance, instance.drafted[self.draft], node)
        await backend.attach(new)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        target = self.target(context.world)
        if target is not None:
            await target[0].attach(target[1])
        return NOTHING


class GiveUpCopy(OnVolume, frozen=True, kw_only=True, tag="disk.give-up-copy"):
    """The copy on the node takes its peer's data instead of what was written to it alone."""

    no_undo: ClassVar[str] = "what was written to this copy alone is given up"

    async def do(self, context: Any) -> Outcome:
        backend, volume = self.wanted(context.world)
        await backend.reconnect(volume, discard_local=True)
        return NOTHING


class JoinCopy(OnVolume, frozen=True, kw_only=True, tag="disk.join-copy"):
    """The copy on the node tries its peer again."""

    async def do(self, context: Any) -> Outcome:
        backend, volume = self.wanted(context.world)
        await backend.reconnect(volume)
        return NOTHING


class GrowVolume(OnVolume, frozen=True, kw_only=True, tag="disk.grow"):
    """The data on the node have room for ``size_mib``. Undone by nothing: what is larger than it
    must be serves as well, and growing again finds it."""

    size_mib: int

    async def do(self, context: Any) -> Outcome:
        backend, volume = self.wanted(context.world)
        await backend.grow(msgspec.structs.replace(volume, size_mib=self.size_mib))
        return NOTHING


class ResizeVolume(OnVolume, frozen=True, kw_only=True, tag="disk.resize"):
    """The attached device has ``size_mib``; see ``GrowVolume``."""

    size_mib: int

    async def do(self, context: Any) -> Outcome:
        backend, volume = self.wanted(context.world)
        await backend.resize(msgspec.structs.replace(volume, size_mib=self.size_mib))
        return NOTHING


class SetDisk(Step, frozen=True, kw_only=True, tag="disks.set"):
    """Fields of one disk have new values. Undone by those that the plan saw."""

    instance: str
    disk: int
    changes: dict[str, msgspec.Raw]
    before: dict[str, msgspec.Raw]

    async def do(self, context: Any) -> Outcome:
        return self._write(context.world, self.changes)

    async def undo(self, context: Any) -> Outcome:
        return self._write(context.world, self.before)

    def _write(self, world: World, changes: dict[str, msgspec.Raw]) -> Outcome:
        found = world.configuration.find_instance(self.instance)
        if found is None or self.disk >= len(found.disks):
            return NOTHING
        disks = list(found.disks)
        new = decoded_fields(Disk, changes)
        disks[self.disk] = msgspec.structs.replace(disks[self.disk], **new)
        return Outcome(writes=world.configuration.changed(found, world.now(), disks=tuple(disks)))


class DecideDisk(SetDisk, frozen=True, kw_only=True, tag="disks.decide"):
    """As SetDisk, and there is no way back: it is so already where the disk is."""

    seals: ClassVar[str] = "the disk is as it is recorded"


class RepairSizes(Step, frozen=True, kw_only=True, tag="disks.repair-sizes"):
    """The recorded sizes of an instance's disks are those that its primary node finds."""

    instance: str
    node: str

    @property
    def tolerated(self) -> bool:
        return True

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = world.configuration.instance(self.instance)
        node = world.configuration.node(self.node)
        disks, rows = list(instance.disks), []
        for index, disk in enumerate(instance.disks):
            volume = volume_on(world.view(), instance, disk, node)
            found = await world.node(self.node).storage(disk.template).look(volume)
            if found.present and found.size_mib and found.size_mib != disk.size_mib:
                disks[index] = msgspec.structs.replace(disk, size_mib=found.size_mib)
                rows.append([instance.name, index, "size", found.size_mib])
        if not rows:
            return Outcome(output=[])
        writes = world.configuration.changed(instance, world.now(), disks=tuple(disks))
        return Outcome(output=rows, writes=writes)


def disk_fields(disk: Disk, **changes: Any) -> dict[str, dict[str, msgspec.Raw]]:
    """``changes`` and ``before`` of a step that sets fields of a disk."""
    return {
        "changes": {key: _raw(value) for key, value in sorted(changes.items())},
        "before": {key: _raw(getattr(disk, key)) for key in sorted(changes)},
    }


def raw_fields(**changes: Any) -> dict[str, msgspec.Raw]:
    """Field values as a step stores them."""
    return {key: _raw(value) for key, value in sorted(changes.items())}


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
