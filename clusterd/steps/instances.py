"""Steps on the configuration of instances: draw identities, commit, record, forget.

They touch nothing but the store: their writes ride in the transaction of their outcome, so they
have happened exactly when the journal says so.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from clusterd.configuration import added
from clusterd.model import AdminState, Disk, Instance, Nic
from clusterd.steps.drawing import Drawing, drawn_from
from clusterd.volumes import clones_depend, params_of
from clusterd.world import World
from jobqueue.errors import Refused
from jobqueue.live import Job
from jobqueue.step import NOTHING, Outcome, Step
from jobqueue.store.interface import Transaction


class DrawInstance(Step, frozen=True, kw_only=True, tag="instance.draw"):
    """The instance is in the configuration, still hidden, with all its identities drawn.

    Repeating finds the instance that this job drew and draws nothing. Undone by forgetting it.
    """

    draft: Instance
    """Complete but for identities: uuid, label, ports, minors, secrets, MAC addresses."""
    network_port: bool = False
    """Draw a TCP port for a graphical console."""

    @property
    def inward(self) -> bool:
        return True

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        found = world.configuration.find_instance(self.draft.name)
        if found is not None:
            if found.made_by == context.job_id:
                return Outcome(output=found.uuid)
            raise Refused(
                f"Instance '{self.draft.name}' is already in the cluster", "already_exists"
            )
        with Drawing(world, context.job_id) as drawing:
            instance = self._drawn(drawing)
        return Outcome(output=instance.uuid, writes=added(instance))

    async def undo(self, context: Any) -> Outcome:
        found = context.world.configuration.find_instance(self.draft.name)
        if found is None or found.made_by != context.job_id:
            return NOTHING
        return Outcome(writes=context.world.configuration.removed(found))

    def _drawn(self, drawing: Drawing) -> Instance:
        disks = drawing.disks(self.draft.disks)
        now = drawing.world.now()
        uuid = drawing.world.random.uuid()
        return msgspec.structs.replace(
            self.draft,
            uuid=uuid,
            ctime=now,
            mtime=now,
            disks=disks,
            nics=drawing.cards(self.draft.nics, uuid),
            network_port=drawing.port() if self.network_port else None,
            made_by=drawing.job_id,
        )


def promised(jobs: Iterable[Job]) -> list[Instance]:
    """The instances that the stored plans of unfinished ``jobs`` draw, as being made."""
    drafts = []
    for job in jobs:
        index = job.current
        plan = job.known[index].plan if index is not None else ()
        # a plan that draws an instance begins with that
        if plan and _DRAWS in bytes(plan[0])[: len(_DRAWS)]:
            step = msgspec.json.decode(plan[0], type=DrawInstance)
            drafts.append(msgspec.structs.replace(step.draft, made_by=job.id))
    return drafts


_DRAWS = b'{"step":"instance.draw"'


class CommitInstance(Step, frozen=True, kw_only=True, tag="instance.commit"):
    """The instance is finished and everybody sees it."""

    seals: ClassVar[str] = "the instance exists"
    instance: str
    admin_state: AdminState
    disks_active: bool

    @property
    def inward(self) -> bool:
        return True

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        found = world.configuration.instance(self.instance)
        disks = tuple(_finished(world, found, disk) for disk in found.disks)
        writes = world.configuration.changed(
            found,
            world.now(),
            made_by=None,
            admin_state=self.admin_state,
            disks_active=self.disks_active,
            disks=disks,
        )
        return Outcome(writes=writes)


def _finished(world: World, instance: Instance, disk: Disk) -> Disk:
    """The disk as it is from now on: one that needs its origin no more forgets it."""
    group = world.view().primary(instance).group
    params = params_of(world.view(), disk.template, disk.params, group)
    origin = disk.origin if clones_depend(disk.template, params) else None
    return msgspec.structs.replace(disk, synced=True, origin=origin)


class RecordInstance(Step, frozen=True, kw_only=True, tag="instance.record"):
    """Fields of the instance have new values. Undone by the values that the plan saw."""

    instance: str
    changes: dict[str, msgspec.Raw]
    before: dict[str, msgspec.Raw]

    @property
    def inward(self) -> bool:
        return True

    async def do(self, context: Any) -> Outcome:
        return Outcome(writes=self._write(context.world, self.changes))

    async def undo(self, context: Any) -> Outcome:
        return Outcome(writes=self._write(context.world, self.before))

    def _write(self, world: World, changes: dict[str, msgspec.Raw]) -> Transaction:
        found = world.configuration.find_instance(self.instance)
        if found is None:
            return Transaction()
        new = decoded_fields(Instance, changes)
        return world.configuration.changed(found, world.now(), **new)


class SetNics(Step, frozen=True, kw_only=True, tag="instance.set-nics"):
    """The instance has these network cards; new ones get their identities here."""

    instance: str
    nics: tuple[Nic, ...]
    before: tuple[Nic, ...]

    @property
    def inward(self) -> bool:
        return True

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        found = world.configuration.instance(self.instance)
        if len(found.nics) == len(self.nics) and all(nic.uuid for nic in found.nics):
            pairs = zip(self.nics, found.nics, strict=True)
            if found.nics != self.before and all(drawn_from(*pair) for pair in pairs):
                return NOTHING
        with Drawing(world, context.job_id) as drawing:
            cards = drawing.cards(self.nics, found.uuid)
            drawing.hold(found.nics, cards)
        return Outcome(writes=world.configuration.changed(found, world.now(), nics=cards))

    async def undo(self, context: Any) -> Outcome:
        world: World = context.world
        found = world.configuration.find_instance(self.instance)
        if found is None:
            return NOTHING
        return Outcome(writes=world.configuration.changed(found, world.now(), nics=self.before))


class DecideInstance(RecordInstance, frozen=True, kw_only=True, tag="instance.decide"):
    """As RecordInstance, and there is no way back: what follows is carrying it out."""

    seals: ClassVar[str] = "the operator's wish is recorded"


class MoveInstance(Step, frozen=True, kw_only=True, tag="instance.move"):
    """The instance's primary node is ``primary``; a mirrored one's secondary becomes the other."""

    seals: ClassVar[str] = "the instance belongs to its new node"
    instance: str
    primary: str
    secondary: str | None

    @property
    def inward(self) -> bool:
        return True

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        found = world.configuration.instance(self.instance)
        writes = world.configuration.changed(
            found,
            world.now(),
            primary_node=self.primary,
            secondary_node=self.secondary,
            moving_to=None,
            nics=world.view().rewired(found, world.configuration.node(self.primary)),
        )
        return Outcome(writes=writes)


class ForgetInstance(Step, frozen=True, kw_only=True, tag="instance.forget"):
    """The instance is not in the configuration."""

    no_undo: ClassVar[str] = "its disks are gone"
    instance: str

    @property
    def inward(self) -> bool:
        return True

    async def do(self, context: Any) -> Outcome:
        found = context.world.configuration.find_instance(self.instance)
        if found is None:
            return NOTHING
        return Outcome(writes=context.world.configuration.removed(found))


def record(instance: Instance, **changes: Any) -> RecordInstance:
    """The step that sets fields of ``instance`` and can set them back."""
    return RecordInstance(instance=instance.uuid, **_fields(instance, changes))


def decide(instance: Instance, **changes: Any) -> DecideInstance:
    """The step that sets fields of ``instance`` for good."""
    return DecideInstance(instance=instance.uuid, **_fields(instance, changes))


def _fields(instance: Instance, changes: dict[str, Any]) -> dict[str, dict[str, msgspec.Raw]]:
    return {
        "changes": {key: _raw(value) for key, value in sorted(changes.items())},
        "before": {key: _raw(getattr(instance, key)) for key in sorted(changes)},
    }


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def decoded_fields(kind: type[Any], raw: dict[str, msgspec.Raw]) -> dict[str, Any]:
    """Stored field values as the types that ``kind`` declares."""
    types = _types(kind)  # type: ignore[arg-type]
    return {key: msgspec.json.decode(value, type=types[key]) for key, value in raw.items()}


@functools.cache
def _types(kind: type[Any]) -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(kind)}
