"""What the master gives the job queue's executor: views, worlds for steps, fresh sights, hooks."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import msgspec
import structlog
from twisted.internet.defer import Deferred, gatherResults

from clusterd import hooks
from clusterd.configuration import Configuration
from clusterd.errors import CallFailed, NodeAway
from clusterd.hooks import HookPoint
from clusterd.master.choosing import Choosing
from clusterd.master.looks import Looks
from clusterd.master.sights import Sightings
from clusterd.steps.instances import promised
from clusterd.view import View
from clusterd.world import Clock, NodeWorld, Outfit, Random, ScriptResult
from hypervisors.interface import Threads
from jobqueue.errors import Vetoed
from jobqueue.lock import Level, Lock
from jobqueue.opcode import Opcode, OpcodeKind, Registry
from jobqueue.queue import JobQueue
from jobqueue.surroundings import Chosen, Done

LOG = structlog.get_logger("master")

Say = Callable[[str], None]


class Links(Protocol):
    """Links to all nodes."""

    def node(self, name: str) -> Any:
        """A node whose calls carry fresh ids; ``at(scope)`` gives one with ids of a scope."""

    def connect(self, name: str, address: str) -> None:
        """Keep a link to this node."""

    def forget(self, name: str) -> None:
        """Keep no link to this node."""


class Parts(Protocol):
    """What this module needs of the master."""

    configuration: Configuration
    sights: Sightings
    links: Links
    clock: Clock
    random: Random
    registry: Registry
    outfit: Outfit
    queue: JobQueue
    threads: Threads


def _view(parts: Parts) -> View:
    return View(
        parts.configuration,
        parts.sights,
        parts.clock.seconds(),
        lambda: promised(parts.queue.unfinished()),
    )


class ClusterWorld:
    """One attempt's world: see ``clusterd.world.World``."""

    def __init__(self, parts: Parts, scope: str) -> None:
        self._parts = parts
        self._scope = scope
        self.configuration = parts.configuration
        self.random = parts.random
        self.outfit = parts.outfit

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._parts.clock.seconds()

    def view(self) -> View:
        """The snapshot of this moment."""
        return _view(self._parts)

    def node(self, name: str, heard: Callable[[str], None] | None = None) -> NodeWorld:
        """A node; the ids of its calls are this attempt's."""
        node: NodeWorld = self._parts.links.node(name).at(f"{self._scope}@{name}", heard)
        return node

    async def pause(self, duration_s: float) -> None:
        """Let time pass."""
        if duration_s <= 0:
            return
        passed: Deferred[None] = Deferred()
        timer = self._parts.clock.callLater(duration_s, passed.callback, None)
        try:
            await passed
        finally:
            if timer.active():
                timer.cancel()

    async def greet(self, name: str, address: str) -> dict[str, Any]:
        """Connect to a node that may not be in the configuration and say hello."""
        self._parts.links.connect(name, address)
        return await self.node(name).greet(self.configuration.cluster.name)

    def read_opcode(self, stored: Any) -> Opcode:
        """An opcode from its stored form."""
        return self._parts.registry.read(stored)

    def forget_node(self, name: str) -> None:
        """Close the link to a node."""
        self._parts.links.forget(name)
        self._parts.sights.forget(name)


class _Before(msgspec.Struct, frozen=True):
    """What is remembered over an operation: what it removes cannot be described when it is done."""

    environment: dict[str, str]
    nodes: tuple[str, ...]
    """Where the post hooks will run."""


class ClusterSurroundings:
    """Implements ``jobqueue.surroundings.Surroundings``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._choosing = Choosing(parts, self.view)
        self._looks = Looks(self._observe)

    def view(self) -> View:
        """The snapshot to decide on."""
        return _view(self._parts)

    def world(self, scope: str) -> ClusterWorld:
        """What one attempt of a step may touch."""
        return ClusterWorld(self._parts, scope)

    async def look(self, names: tuple[str, ...], locks: tuple[Lock, ...]) -> None:
        """Look afresh at nodes; one that does not answer keeps its last sight. Those that were lost
        a moment ago, also of the locked ones, may come back first."""
        if self._parts.sights.lulls.any:
            locked = (one.name for one in locks if one.level in (Level.NODE, Level.NODE_RES))
            await self._come_back(*names, *locked)
        reached = [name for name in names if self._parts.sights.sight(name).connected]
        await _all([self._looks.fresh(name) for name in reached])

    async def _come_back(self, *names: str) -> None:
        found = (self._parts.configuration.find_node(name) for name in names)
        wanted = [node.name for node in found if node is not None and not node.offline]
        await self._parts.sights.lulls.over(wanted)

    async def _observe(self, name: str, *, again: bool = False) -> None:
        node = self._parts.links.node(name)
        try:
            await node.observe()
        except CallFailed as error:
            if again or self._parts.sights.sight(name).connected:
                LOG.warning("no fresh sight", node=name, error=error.message)
                return
            # the link was lost meanwhile: the node's daemon may just be started anew
            await self._come_back(name)
            await self._observe(name, again=True)

    async def choose(self, kind: OpcodeKind, opcode: Opcode, taken: dict[str, str]) -> Chosen:
        """Have an allocator choose nodes."""
        return await self._choosing.choose(kind, opcode, taken)

    def given_up(self, error: Exception) -> bool:
        """A node that does not answer and is marked offline."""
        if not isinstance(error, NodeAway):
            return False
        node = self._parts.configuration.find_node(error.node)
        return node is None or node.offline

    async def before(self, kind: OpcodeKind, opcode: Opcode, say: Say) -> _Before | None:
        """Run the pre hooks; a script that fails vetoes, a node that does not answer does not."""
        point: HookPoint | None = kind.hooks
        if point is None:
            return None
        view = self.view()
        before = point.environment(opcode, view)
        names = point.nodes("pre", opcode, view)
        fixed = hooks.fixed_environment(point, opcode.op_id(), "pre", view)
        environment = hooks.complete(fixed, before, None)
        for name, results in await self._run(point, "pre", names, environment, say):
            for result in results:
                if result.status == "fail":
                    raise Vetoed(
                        f"Hook {result.name} on node {name} refused the operation: {result.output}"
                    )
        return _Before(before, tuple(point.nodes("post", opcode, view)))

    async def after(self, kind: OpcodeKind, opcode: Opcode, done: Done, say: Say) -> Any:
        """Run the post hooks; a failure is a warning, and counts only in cluster-verify."""
        point: HookPoint | None = kind.hooks
        result = done.result
        if point is None:
            return result
        view = self.view()
        before: _Before = done.before or _Before({}, ())
        after = point.afterwards(opcode, view, before.environment)
        names = list(dict.fromkeys([*point.nodes("post", opcode, view), *before.nodes]))
        fixed = hooks.fixed_environment(point, opcode.op_id(), "post", view)
        environment = hooks.complete(fixed, before.environment or after, after)
        verify = point.path == "cluster-verify"
        if verify:
            say("* Hooks Results")
        well = True
        for name, results in await self._run(point, "post", names, environment, say):
            for script in results:
                if script.status != "fail":
                    continue
                well = False
                level = "ERROR" if verify else "WARNING"
                say(f"  - {level}: node {name}: hook {script.name} failed: {script.output}")
        return result and well if verify else result

    async def _run(
        self,
        point: HookPoint,
        phase: str,
        names: list[str],
        environment: dict[str, str],
        say: Say,
    ) -> list[tuple[str, tuple[ScriptResult, ...]]]:
        async def on(name: str) -> tuple[str, tuple[ScriptResult, ...]]:
            try:
                node: NodeWorld = self._parts.links.node(name)
                return name, await node.run_hooks(point.path, phase, environment)
            except CallFailed as error:
                say(f"  - WARNING: hooks of node {name} were not run: {error.message}")
                return name, ()

        return await _all([on(name) for name in names])


async def _all(coroutines: list[Coroutine[Any, Any, Any]]) -> list[Any]:
    """All at once; answers in order."""
    if len(coroutines) < 2:  # mostly so: then nothing is to be gathered
        return [await one for one in coroutines]
    waiting = [Deferred.fromCoroutine(coroutine) for coroutine in coroutines]
    answers: list[Any] = await gatherResults(waiting, consumeErrors=True)
    return answers
