"""A toy application of the job queue: a shelf of things, steps that put and take them, and a master
that can die at any write. For tests of the queue, executor and scheduler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec
from twisted.internet.defer import Deferred, succeed

from clusterd.simulation.clock import Clock, ProcessClock
from jobqueue.errors import Refused, Vetoed
from jobqueue.executor import Executor
from jobqueue.lock import Level, Lock
from jobqueue.opcode import Opcode, OpcodeKind, Registry
from jobqueue.queue import JobQueue
from jobqueue.scheduler import Scheduler
from jobqueue.step import NOTHING, Outcome, Patience, Step, Steps
from jobqueue.store.interface import Transaction
from jobqueue.store.memory import Died, MemoryDisk, MemoryStore
from jobqueue.surroundings import Chosen, Occupied


class Broken(Exception):
    """A thing cannot be put."""

    retryable = False


class NotYet(Exception):
    """Wait."""

    retryable = True


class Toys:
    """What survives a master: the things, and which names are broken."""

    def __init__(self) -> None:
        self.things: set[str] = set()
        self.broken: set[str] = set()
        self.unremovable: set[str] = set()
        self.busy: dict[str, int] = {}
        self.acts: list[str] = []
        self.veto = False
        self.thinking: Deferred[None] = succeed(None)
        """What a choice waits for."""


class Put(Step, frozen=True, kw_only=True, tag="toy.put"):
    name: str

    async def do(self, context: Any) -> Outcome:
        toys: Toys = context.world
        toys.acts.append(f"put {self.name}")
        if toys.busy.get(self.name, 0) > 0:
            toys.busy[self.name] -= 1
            raise NotYet(f"{self.name} is busy")
        toys.things.add(self.name)
        if self.name in toys.broken:
            raise Broken(f"{self.name} is broken")
        return Outcome(
            output=self.name,
            writes=Transaction(puts=((f"toys/{self.name}", b"1"),)),
        )

    async def undo(self, context: Any) -> Outcome:
        toys: Toys = context.world
        toys.acts.append(f"take {self.name}")
        if self.name in toys.unremovable:
            raise Broken(f"{self.name} cannot be taken")
        toys.things.discard(self.name)
        return Outcome(writes=Transaction(deletes=(f"toys/{self.name}",)))


class Seal(Step, frozen=True, kw_only=True, tag="toy.seal"):
    seals: ClassVar[str] = "sealed"

    async def do(self, context: Any) -> Outcome:
        context.world.acts.append("seal")
        return NOTHING


class Tolerated(Put, frozen=True, kw_only=True, tag="toy.tolerated"):
    @property
    def tolerated(self) -> bool:
        return True

    @property
    def patience(self) -> Patience:
        return Patience(for_s=1.0)


class Spawn(Step, frozen=True, kw_only=True, tag="toy.spawn"):
    names: tuple[str, ...]

    async def do(self, context: Any) -> Outcome:
        return Outcome(jobs=tuple((PutAll(names=(name,)),) for name in self.names))


class PutAll(Opcode, frozen=True, kw_only=True, tag="OP_PUT_ALL"):
    names: tuple[str, ...]
    seal_after: int = -1
    lock: str = ""
    locks: tuple[str, ...] = ()
    """``node/a`` or ``node/a shared``"""


class PutGuarded(Opcode, frozen=True, kw_only=True, tag="OP_PUT_GUARDED"):
    """As PutAll, with hooks."""

    names: tuple[str, ...]


class SpawnAll(Opcode, frozen=True, kw_only=True, tag="OP_SPAWN_ALL"):
    names: tuple[str, ...]


class PutOne(Opcode, frozen=True, kw_only=True, tag="OP_PUT_ONE"):
    """Put one of ``among``; which is chosen."""

    among: tuple[str, ...]
    name: str = ""


def _name_lock(opcode: PutOne, _view: Any) -> Sequence[Lock]:
    return [Lock(Level.NODE, opcode.name)] if opcode.name else []


def _check(opcode: PutAll, _view: Any) -> None:
    if "forbidden" in opcode.names:
        raise Refused("Thing 'forbidden' is not allowed", "wrong_input")


def _plan(opcode: PutAll, _view: Any) -> Sequence[Step]:
    steps: list[Step] = []
    for at, name in enumerate(opcode.names):
        if name == "unspeakable":
            wrong: Any = {"not": "text"}
            steps.append(Put(name=wrong))
            continue
        steps.append(Tolerated(name=name) if name.startswith("maybe") else Put(name=name))
        if at == opcode.seal_after:
            steps.append(Seal())
    return steps


def _locks(opcode: PutAll, _view: Any) -> Sequence[Lock]:
    own = [Lock(Level.INSTANCE, opcode.lock)] if opcode.lock else []
    return [*own, *map(_lock, opcode.locks)]


def _lock(text: str) -> Lock:
    level, _, name = text.removesuffix(" shared").partition("/")
    return Lock(Level[level.upper()], name, text.endswith(" shared"))


REGISTRY = Registry(
    (
        OpcodeKind(
            opcode=PutAll,
            locks=_locks,
            check=_check,
            plan=_plan,
            result=lambda opcode, view, outputs: list(outputs),
            summary_field="names",
        ),
        OpcodeKind(
            opcode=PutGuarded,
            plan=lambda opcode, view: [Put(name=name) for name in opcode.names],
            result=lambda opcode, view, outputs: list(outputs),
            hooks="guard",
        ),
        OpcodeKind(
            opcode=SpawnAll,
            plan=lambda opcode, view: [Spawn(names=opcode.names)],
            result=lambda opcode, view, outputs: {"jobs": outputs[-1]},
        ),
        OpcodeKind(
            opcode=PutOne,
            choice="one",
            locks=_name_lock,
            plan=lambda opcode, view: [Put(name=opcode.name)],
            result=lambda opcode, view, outputs: opcode.name,
        ),
    )
)
STEPS = Steps((Put, Seal, Tolerated, Spawn))


class DieAt:
    """Ends the process before or after the n-th commit (from 0)."""

    def __init__(self, at: int | None, *, after: bool, die: Callable[[], None]) -> None:
        self.at = at
        self.after = after
        self.seen = 0
        self._die = die

    def before_commit(self, transaction: Transaction) -> None:
        self.seen += 1
        if self.at == self.seen - 1 and not self.after:
            self._die()
            raise Died

    def after_commit(self, transaction: Transaction, revision: int) -> None:
        if self.at == self.seen - 1 and self.after:
            self._die()
            raise Died


class ToyMaster:
    """One life of a master over data and toys that outlive it."""

    def __init__(
        self,
        clock: Clock,
        disk: MemoryDisk,
        toys: Toys,
        *,
        die_at: int | None = None,
        after: bool = False,
    ) -> None:
        self.clock = ProcessClock(clock)
        self.trouble = DieAt(die_at, after=after, die=self.die)
        self.store = MemoryStore(disk, self.trouble)
        self.queue = JobQueue(self.store, REGISTRY, self.clock.seconds)
        self.toys = toys
        self.executor = Executor(self.queue, STEPS, self, self.clock)
        self.limit = 20
        self.scheduler = Scheduler(self.queue, self.executor, lambda: self.limit)
        self.failures: list[Any] = []

    @property
    def dead(self) -> bool:
        return self.clock.dead

    def die(self) -> None:
        self.clock.dead = True

    def start(self) -> None:
        Deferred.fromCoroutine(self._start()).addErrback(self.failures.append)

    async def _start(self) -> None:
        await self.queue.load()
        await self.scheduler.start(self.failures.append)
        self.scheduler.open()

    # -- surroundings ------------------------------------------------------------------------------

    def view(self) -> Toys:
        return self.toys

    def world(self, scope: str) -> Toys:
        return self.toys

    async def look(self, names: tuple[str, ...], locks: tuple[Lock, ...]) -> None:
        return None

    async def choose(self, kind: Any, opcode: Any, taken: dict[str, str]) -> Chosen:
        """The first that is not there, not planned by another job, and not locked by one."""
        planned = {
            one.name
            for job in self.queue.unfinished()
            for index, one in enumerate(job.opcodes)
            if isinstance(one, PutOne) and index in job.settled
        }
        await self.toys.thinking
        verdicts = {}
        for name in opcode.among:
            full = name in self.toys.things | planned
            locked = f"node/{name}" in taken
            verdicts[name] = "there already" if full else "locked" if locked else "fits"
        for name, verdict in verdicts.items():
            if verdict == "fits":
                return Chosen(opcode=msgspec.structs.replace(opcode, name=name), verdicts=verdicts)
        locked_names = [name for name, verdict in verdicts.items() if verdict == "locked"]
        if locked_names:
            locks = tuple(Lock(Level.NODE, name, True) for name in locked_names)
            raise Occupied("all are locked", locks)
        raise Refused("nothing is left", "insufficient_resources", verdicts=verdicts)

    def given_up(self, error: Exception) -> bool:
        return False

    async def before(self, kind: Any, opcode: Any, say: Any) -> None:
        if self.toys.veto:
            raise Vetoed("Hook 00-no refused the operation")

    async def after(self, kind: Any, opcode: Any, done: Any, say: Any) -> Any:
        return done.result
