"""Steps on configuration objects that have no steps of their own: node groups and networks.

They touch nothing but the store: their writes ride in the transaction of their outcome.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import msgspec

from clusterd.configuration import added
from clusterd.model import ANY, KINDS, Group, Network
from clusterd.steps.instances import decoded_fields
from clusterd.world import World
from jobqueue.errors import Refused
from jobqueue.step import NOTHING, Outcome, Step
from jobqueue.store.interface import Transaction

Kind = Literal["group", "network"]


class _ObjectStep(Step, frozen=True, kw_only=True):
    """A step that only writes."""

    kind: Kind

    @property
    def inward(self) -> bool:
        return True


class AddObject(_ObjectStep, frozen=True, kw_only=True, tag="object.add"):
    """The object is in the configuration. Its name is locked, so whoever has it is this job's."""

    draft: msgspec.Raw
    """Complete but for uuid and times."""

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        draft = self._draft()
        if world.configuration.find(self.kind, draft.name) is not None:
            raise Refused(f"There is already a {self.kind} '{draft.name}'", "already_exists")
        now = world.now()
        new = msgspec.structs.replace(draft, uuid=world.random.uuid(), ctime=now, mtime=now)
        return Outcome(output=new.uuid, writes=added(new))

    async def undo(self, context: Any) -> Outcome:
        found = context.world.configuration.find(self.kind, self._draft().name)
        if found is None:
            return NOTHING
        return Outcome(writes=context.world.configuration.removed(found))

    def _draft(self) -> ANY:
        return cast(ANY, msgspec.json.decode(self.draft, type=KINDS[self.kind]))


class RecordObject(_ObjectStep, frozen=True, kw_only=True, tag="object.record"):
    """Fields of the object have new values. Undone by the values that the plan saw."""

    uuid: str
    changes: dict[str, msgspec.Raw]
    before: dict[str, msgspec.Raw]

    async def do(self, context: Any) -> Outcome:
        return Outcome(writes=self._write(context.world, self.changes))

    async def undo(self, context: Any) -> Outcome:
        return Outcome(writes=self._write(context.world, self.before))

    def _write(self, world: World, changes: dict[str, msgspec.Raw]) -> Transaction:
        found = world.configuration.find(self.kind, self.uuid)
        if found is None:
            return Transaction()
        new = decoded_fields(KINDS[self.kind], changes)
        return world.configuration.changed(found, world.now(), **new)


class ForgetObject(_ObjectStep, frozen=True, kw_only=True, tag="object.forget"):
    """The object is not in the configuration. Undone by putting it back."""

    before: msgspec.Raw

    async def do(self, context: Any) -> Outcome:
        found = context.world.configuration.find(self.kind, self._object().uuid)
        if found is None:
            return NOTHING
        return Outcome(writes=context.world.configuration.removed(found))

    async def undo(self, context: Any) -> Outcome:
        before = self._object()
        if context.world.configuration.find(self.kind, before.uuid) is not None:
            return NOTHING
        return Outcome(writes=added(before))

    def _object(self) -> ANY:
        return cast(ANY, msgspec.json.decode(self.before, type=KINDS[self.kind]))


def add(draft: Group | Network) -> AddObject:
    """The step that adds an object."""
    return AddObject(kind=_kind(draft), draft=_raw(draft))


def record(found: Group | Network, **changes: Any) -> RecordObject:
    """The step that sets fields of an object and can set them back."""
    return RecordObject(
        kind=_kind(found),
        uuid=found.uuid,
        changes={key: _raw(value) for key, value in sorted(changes.items())},
        before={key: _raw(getattr(found, key)) for key in sorted(changes)},
    )


def forget(found: Group | Network) -> ForgetObject:
    """The step that removes an object."""
    return ForgetObject(kind=_kind(found), before=_raw(found))


def _kind(found: Group | Network) -> Kind:
    return "group" if isinstance(found, Group) else "network"


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
