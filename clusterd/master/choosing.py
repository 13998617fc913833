"""Choosing nodes for a job: which allocator is asked, and where it runs.

The built-in allocator computes in a thread, on values that were read before it began; a program of
the site runs on the master's own node. What is chosen is checked again before it is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec

from clusterd.configuration import Configuration
from clusterd.errors import CallFailed
from clusterd.iallocator import answers, choice, data, live
from clusterd.iallocator.answers import Answer, Considered, Verdict
from clusterd.iallocator.requests import Request
from clusterd.master import queued
from clusterd.placement.facts import ClusterFacts
from clusterd.steps.cluster import SubmitJobs
from clusterd.view import View
from hypervisors.interface import Threads
from jobqueue.errors import Refused
from jobqueue.lock import Level, Lock
from jobqueue.lock_level import ALL
from jobqueue.opcode import Opcode, OpcodeKind, Registry
from jobqueue.queue import JobQueue
from jobqueue.surroundings import Chosen, Occupied

T = TypeVar("T")

MAX_VERDICTS = 2000
"""So many are kept with a job."""


class Parts(Protocol):
    """What this module needs of the master."""

    configuration: Configuration
    links: Any
    threads: Threads
    registry: Registry
    queue: JobQueue


class AtOnce:
    """Computes in the caller's thread: for masters on virtual time."""

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """See ``Threads``."""
        return function(*args)


class Choosing:
    """Makes the choices of one master."""

    def __init__(self, parts: Parts, view: Callable[[], View]) -> None:
        self._parts = parts
        self._view = view

    async def choose(self, kind: OpcodeKind, opcode: Opcode, taken: dict[str, str]) -> Chosen:
        """See ``jobqueue.surroundings.Surroundings``."""
        declared: choice.Choice = kind.choice
        opcode = await self._informed(declared, opcode)
        view = self._with_queued(self._view())
        busy = _nodes(view, taken)
        request = declared.wanted(opcode, view, busy)
        if request is None:
            return Chosen(opcode=opcode)
        name = choice.allocator_name(view, getattr(opcode, "iallocator", None))
        try:
            answer = await self._ask(view, name, request)
            considered = kept(answer, name, request)
            chosen = _explained(declared, opcode, self._view(), answer, considered)
            _served(self._parts.registry, chosen)
            return chosen
        except Refused as refused:
            if busy and not getattr(opcode, "opportunistic_locking", False):
                locks = tuple(Lock(Level.NODE, uuid, True) for uuid in sorted(busy))
                raise Occupied(str(refused), locks) from None
            raise

    async def _informed(self, declared: choice.Choice, opcode: Opcode) -> Opcode:
        """The opcode with what a node says of the export that it names."""
        asked = declared.learn(opcode, self._view())
        if asked is None:
            return opcode
        name, path = asked
        try:
            found = await self._parts.links.node(name).read_export(path)
        except CallFailed as error:
            raise Refused(
                f"The export cannot be read on node {name}: {error.message}", "wrong_input"
            ) from None
        completed: Opcode = declared.learned(opcode, self._view(), (name, found))
        return completed

    def _with_queued(self, view: View) -> View:
        return view.promising(queued.drafts(self._parts.queue.unfinished(), view))

    async def _ask(self, view: View, name: str, request: Request) -> Answer:
        if name in choice.BUILT_IN:
            facts = live.facts(view, stopped=True, without=getattr(request, "replaces", ""))
            return await self._parts.threads.run(_built_in, facts, request)
        text = data.request_text(view, request)
        options = choice.program_options(view)
        master = view.configuration.node(view.configuration.cluster.master_node)
        try:
            node = self._parts.links.node(master.name)
            end = await node.run_iallocator(name, text, options)
        except CallFailed as error:
            raise Refused(
                f"Iallocator '{name}' cannot be run: {error.message}", "environment_error"
            ) from None
        return answers.read(name, request, end.code, end.output, end.errors)


def _explained(
    declared: choice.Choice, opcode: Opcode, view: View, answer: Answer, considered: Any
) -> Chosen:
    try:
        chosen = declared.settle(opcode, view, answer)
    except Refused as refused:
        refused.verdicts = considered
        raise
    return msgspec.structs.replace(chosen, verdicts=considered)


def _served(registry: Registry, chosen: Chosen) -> None:
    """Refuse a plan whose jobs this version could not run; nothing is submitted then."""
    for step in chosen.steps or ():
        if isinstance(step, SubmitJobs):
            for job in step.jobs:
                for raw in job:
                    registry.read(bytes(raw))


def _nodes(view: View, taken: dict[str, str]) -> dict[str, str]:
    """Nodes (uuid) that others hold alone -> who."""
    prefix = f"{Level.NODE.label}/"
    if f"{prefix}{ALL}" in taken:
        owner = taken[f"{prefix}{ALL}"]
        return {node.uuid: owner for node in view.configuration.nodes()}
    return {
        name.removeprefix(prefix): owner for name, owner in taken.items() if name.startswith(prefix)
    }


def kept(answer: Answer, name: str, request: Request) -> list[Any]:
    """What stands with the job: why each node was or was not chosen. JSON."""
    considered = answer.considered or tuple(
        Considered(instance=instance, allocator=name, chosen=nodes, info=answer.info)
        for instance, nodes in _chosen(answer, request)
    )
    room = MAX_VERDICTS
    rows = []
    for one in considered:
        nodes = (*_excluded(request), *one.nodes)[:room]
        room -= len(nodes)
        left_out = len(one.nodes) + len(request.excluded) - len(nodes)
        rows.append(msgspec.structs.replace(one, allocator=name, nodes=nodes, left_out=left_out))
    found: list[Any] = msgspec.to_builtins(rows)
    return found


def _built_in(facts: ClusterFacts, request: Request) -> Answer:
    # its arrays would take a quarter of the master's start; most starts are followed by no choice
    from clusterd.iallocator import builtin

    return builtin.answer(facts, request)


def _chosen(answer: Answer, request: Request) -> list[tuple[str, tuple[str, ...]]]:
    if answer.allocated or answer.moved:
        moved = tuple((name, nodes) for name, _group, nodes in answer.moved)
        return [*answer.allocated, *moved]
    instance = getattr(request, "instance", request)
    return [(str(getattr(instance, "name", "")), answer.nodes)]


def _excluded(request: Request) -> tuple[Verdict, ...]:
    return tuple(
        Verdict(node=node, verdict="refused", text=why)
        for node, why in sorted(request.excluded.items())
    )
