"""Steps on nodes: greeting, the configuration's node objects, letting a node go."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from clusterd.configuration import added
from clusterd.errors import CallFailed, NotReady
from clusterd.model import Node
from clusterd.names import CALLS_VERSION
from clusterd.steps.instances import decoded_fields
from clusterd.world import World
from jobqueue.errors import Refused
from jobqueue.step import NOTHING, Outcome, Patience, Step
from jobqueue.store.interface import Transaction


class GreetNode(Step, frozen=True, kw_only=True, tag="node.greet"):
    """The node's daemon answers, speaks our version and belongs to this cluster."""

    node: str
    address: str

    @property
    def patience(self) -> Patience:
        return Patience(for_s=30.0)

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        answer = await world.greet(self.node, self.address)
        if answer.get("calls_version", CALLS_VERSION) != CALLS_VERSION:
            raise CallFailed(
                f"Node {self.node} speaks version {answer.get('calls_version')} of the calls, "
                f"this master {CALLS_VERSION}: install the same version there",
                kind="wrong_version",
                node=self.node,
            )
        context.log(f" - INFO: node {self.node} answers, version {answer.get('version', '?')}")
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        if context.world.configuration.find_node(self.node) is None:
            context.world.forget_node(self.node)
        return NOTHING


class AddNode(Step, frozen=True, kw_only=True, tag="node.add"):
    """The node is in the configuration."""

    draft: Node

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        if world.configuration.find_node(self.draft.name) is not None:
            raise Refused(f"Node {self.draft.name} is already in the cluster", "already_exists")
        now = world.now()
        node = msgspec.structs.replace(self.draft, uuid=world.random.uuid(), ctime=now, mtime=now)
        return Outcome(output=node.uuid, writes=added(node))

    async def undo(self, context: Any) -> Outcome:
        found = context.world.configuration.find_node(self.draft.name)
        if found is None:
            return NOTHING
        return Outcome(writes=context.world.configuration.removed(found))


class RecordNode(Step, frozen=True, kw_only=True, tag="node.record"):
    """Fields of a node have new values. Undone by the values that the plan saw."""

    node: str
    changes: dict[str, msgspec.Raw]
    before: dict[str, msgspec.Raw]

    async def do(self, context: Any) -> Outcome:
        return Outcome(writes=self._write(context.world, self.changes))

    async def undo(self, context: Any) -> Outcome:
        return Outcome(writes=self._write(context.world, self.before))

    def _write(self, world: World, changes: dict[str, msgspec.Raw]) -> Transaction:
        found = world.configuration.find_node(self.node)
        if found is None:
            return Transaction()
        return world.configuration.changed(found, world.now(), **decoded_fields(Node, changes))


class TellPeers(Step, frozen=True, kw_only=True, tag="node.tell-peers"):
    """The node knows the addresses of all others, for migrations between them."""

    node: str

    @property
    def tolerated(self) -> bool:
        return True

    @property
    def patience(self) -> Patience:
        return Patience(for_s=5.0)

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        peers = {node.name: node.secondary_ip for node in world.configuration.nodes()}
        await world.node(self.node).peers(peers)
        return NOTHING


class SeeNode(Step, frozen=True, kw_only=True, tag="node.see"):
    """The master has seen what the node has: memory, disks, hypervisor, OS definitions.

    A hypervisor may take long to answer for the first time after the host has started.
    """

    node: str

    @property
    def tolerated(self) -> bool:
        return True

    @property
    def patience(self) -> Patience:
        return Patience(for_s=90.0)

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        observation = await world.node(self.node).observe()
        wanted = world.configuration.cluster.enabled_hypervisors
        silent = [name for name in wanted if name not in observation.guests]
        if silent or observation.hardware is None:
            raise NotReady(
                f"node {self.node}: hypervisor {', '.join(silent or wanted)} does not answer yet",
                subject=self.node,
            )
        return NOTHING


class LeaveNode(Step, frozen=True, kw_only=True, tag="node.leave"):
    """The node has forgotten the cluster; one that does not answer is left as it is."""

    no_undo: ClassVar[str] = "the node has thrown its keys away"
    node: str

    @property
    def tolerated(self) -> bool:
        return True

    @property
    def patience(self) -> Patience:
        return Patience(for_s=5.0)

    async def do(self, context: Any) -> Outcome:
        if context.world.configuration.find_node(self.node) is not None:
            await context.world.node(self.node).leave()
        return NOTHING


class ForgetNode(Step, frozen=True, kw_only=True, tag="node.forget"):
    """The node is not in the configuration."""

    no_undo: ClassVar[str] = "the node has left"
    node: str

    async def do(self, context: Any) -> Outcome:
        found = context.world.configuration.find_node(self.node)
        context.world.forget_node(self.node)
        if found is None:
            return NOTHING
        return Outcome(writes=context.world.configuration.removed(found))


def record_node(node: Node, **changes: Any) -> RecordNode:
    """The step that sets fields of ``node`` and can set them back."""
    return RecordNode(
        node=node.uuid,
        changes={k: msgspec.Raw(msgspec.json.encode(v)) for k, v in sorted(changes.items())},
        before={k: msgspec.Raw(msgspec.json.encode(getattr(node, k))) for k in sorted(changes)},
    )
