"""Steps on the cluster object, and the ones that only say, wait or submit."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from clusterd.errors import CallFailed
from clusterd.model import Cluster
from clusterd.steps.instances import decoded_fields
from clusterd.verbs.errors import WrongInput
from clusterd.world import World
from jobqueue.errors import Refused
from jobqueue.opcode import Opcode
from jobqueue.step import NOTHING, Outcome, Patience, Step
from jobqueue.store.interface import Transaction


class RecordCluster(Step, frozen=True, kw_only=True, tag="cluster.record"):
    """Fields of the cluster have new values. Undone by the values that the plan saw."""

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
        found = world.configuration.cluster
        return world.configuration.changed(found, world.now(), **decoded_fields(Cluster, changes))


def record_cluster(cluster: Cluster, **changes: Any) -> RecordCluster:
    """The step that sets fields of the cluster and can set them back."""
    return RecordCluster(
        changes={k: msgspec.Raw(msgspec.json.encode(v)) for k, v in sorted(changes.items())},
        before={k: msgspec.Raw(msgspec.json.encode(getattr(cluster, k))) for k in sorted(changes)},
    )


class RequireAllocator(Step, frozen=True, kw_only=True, tag="cluster.require-allocator"):
    """An iallocator of the site is there where it would be run. Nothing is changed."""

    name: str
    node: str

    @property
    def patience(self) -> Patience:
        return Patience(for_s=10.0)

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        try:
            await world.node(self.node).find_iallocator(self.name)
        except CallFailed as error:
            if error.kind != WrongInput.code:
                raise
            raise Refused(
                f"It cannot be the default on node {self.node}: {error.message}", "wrong_input"
            ) from None
        return NOTHING


class Say(Step, frozen=True, kw_only=True, tag="job.say"):
    """A line in the job's log."""

    text: str

    @property
    def inward(self) -> bool:
        return True

    async def do(self, context: Any) -> Outcome:
        context.log(self.text)
        return NOTHING


class Note(Step, frozen=True, kw_only=True, tag="job.note"):
    """A value that the plan knew and the result needs."""

    value: Any

    async def do(self, context: Any) -> Outcome:
        return Outcome(output=self.value)


class Delay(Step, frozen=True, kw_only=True, tag="job.delay"):
    """Time passes on the master or on a node; begun again after a crash, never undone."""

    breakable: ClassVar[bool] = True
    duration_s: float
    node: str | None = None

    @property
    def patience(self) -> Patience:
        return Patience(for_s=10.0)

    @property
    def inward(self) -> bool:
        return self.node is None and not self.duration_s

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        if self.node is None:
            await world.pause(self.duration_s)
        else:
            await world.node(self.node).delay(self.duration_s)
        return NOTHING


class SubmitJobs(Step, frozen=True, kw_only=True, tag="job.submit"):
    """Further jobs are in the queue: stored in one transaction with this step's outcome."""

    jobs: tuple[tuple[msgspec.Raw, ...], ...]
    """Opcodes in their stored form."""

    @property
    def inward(self) -> bool:
        return True

    async def do(self, context: Any) -> Outcome:
        read = context.world.read_opcode
        return Outcome(jobs=tuple(tuple(read(raw) for raw in job) for job in self.jobs))


def submit(jobs: list[list[Opcode]]) -> SubmitJobs:
    """The step that submits ``jobs``."""
    return SubmitJobs(
        jobs=tuple(
            tuple(msgspec.Raw(msgspec.json.encode(opcode)) for opcode in job) for job in jobs
        )
    )
