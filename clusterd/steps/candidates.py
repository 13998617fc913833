"""Steps that make nodes candidates, and members of the store, or no longer."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from clusterd.certificates import MASTER_CANDIDATE, NODE_FILE, fingerprint
from clusterd.errors import NodeAway
from clusterd.model import Node
from clusterd.world import World
from jobqueue.errors import NoWayBack
from jobqueue.step import NOTHING, Outcome, Patience, Step

PLAIN = "node"


class EquipCandidate(Step, frozen=True, kw_only=True, tag="node.equip-candidate"):
    """The node has what a master needs, and runs the daemons of a candidate."""

    node: str

    @property
    def patience(self) -> Patience:
        return Patience(for_s=60.0)

    @property
    def undo_tolerated(self) -> bool:
        """As with ``StripCandidate``: a node that is gone keeps its keys."""
        return True

    async def do(self, context: Any) -> Outcome:
        return await _equip(context.world, self.node)

    async def undo(self, context: Any) -> Outcome:
        configuration = context.world.configuration
        node = configuration.find_node(self.node)
        if node is not None and node.uuid == configuration.cluster.master_node:
            raise NoWayBack(f"node {self.node} has become the master meanwhile")
        return await _strip(context.world, self.node)


class StripCandidate(Step, frozen=True, kw_only=True, tag="node.strip-candidate"):
    """The node has nothing that only a candidate may have. One that does not answer keeps it:
    whoever has the machine then has the keys, and they must be renewed."""

    node: str

    @property
    def tolerated(self) -> bool:
        return True

    @property
    def patience(self) -> Patience:
        return Patience(for_s=10.0)

    async def do(self, context: Any) -> Outcome:
        return await _strip(context.world, self.node)

    async def undo(self, context: Any) -> Outcome:
        return await _equip(context.world, self.node)


class JoinStore(Step, frozen=True, kw_only=True, tag="node.join-store"):
    """The node runs a member of the store, which has a vote."""

    node: str

    @property
    def patience(self) -> Patience:
        return Patience(for_s=180.0)

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        node = world.configuration.find_node(self.node)
        if node is None:
            return NOTHING
        begin = await world.outfit.add_member(node)
        await world.node(node.name).store_begin(msgspec.json.encode(begin))
        await world.outfit.give_vote(node)
        context.log(f" - INFO: node {node.name} is a member of the store")
        return _recorded(world, node, member=True)

    async def undo(self, context: Any) -> Outcome:
        return await _leave(context, self.node)


class LeaveStore(Step, frozen=True, kw_only=True, tag="node.leave-store"):
    """The node runs no member of the store. It loses its vote before it loses its data."""

    no_undo: ClassVar[str] = "the member's data are gone; it can join again"
    node: str

    @property
    def patience(self) -> Patience:
        return Patience(for_s=60.0)

    async def do(self, context: Any) -> Outcome:
        return await _leave(context, self.node)


async def _leave(context: Any, name: str) -> Outcome:
    world: World = context.world
    node = world.configuration.find_node(name)
    if node is None:
        return NOTHING
    await world.outfit.remove_member(node)
    try:
        if not node.offline:
            await world.node(node.name).store_end()
    except NodeAway:
        context.log(f" - WARNING: node {node.name} does not answer: data of the store stay there")
    return _recorded(world, node, member=False)


def _recorded(world: World, node: Node, *, member: bool) -> Outcome:
    if node.store_member == member:
        return NOTHING
    writes = world.configuration.changed(node, world.now(), store_member=member)
    return Outcome(writes=writes)


async def _equip(world: World, name: str) -> Outcome:
    node, cluster = world.configuration.find_node(name), world.configuration.cluster
    if node is None:
        return NOTHING
    files = await world.outfit.of_candidate(node, cluster)
    remote = world.node(node.name)
    if cluster.store == "etcd":
        known = [one for one in world.configuration.nodes() if one.store_member]
        await remote.store_members(tuple(world.outfit.member(one) for one in known))
    await remote.equip(MASTER_CANDIDATE, cluster.store, files)
    return with_certificate(world, node, files)


async def _strip(world: World, name: str) -> Outcome:
    node = world.configuration.find_node(name)
    if node is None:
        return NOTHING
    files = await world.outfit.of_node(node)
    await world.node(node.name).equip(PLAIN, world.configuration.cluster.store, files)
    return with_certificate(world, node, files)


def with_certificate(world: World, node: Node, files: dict[str, bytes]) -> Outcome:
    """The configuration says which certificate the node has."""
    if NODE_FILE not in files:
        return NOTHING
    shown = fingerprint(files[NODE_FILE])
    return Outcome(writes=world.configuration.changed(node, world.now(), certificate=shown))
