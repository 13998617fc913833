"""Steps that renew certificates, and that spread what all candidates must have alike."""

from __future__ import annotations

from typing import Any, Literal

from clusterd import certificates
from clusterd.certificates import MASTER_CANDIDATE, NODE_FILE
from clusterd.steps.candidates import PLAIN, with_certificate
from clusterd.world import Whom, World
from jobqueue.step import NOTHING, Outcome, Patience, Step

PAIR_FILES = (
    certificates.NODE_KEY_FILE,
    certificates.NODE_FILE,
    certificates.STORE_KEY_FILE,
    certificates.STORE_FILE,
)


class RenewCertificates(Step, frozen=True, kw_only=True, tag="node.renew-certificates"):
    """The node has new keys, with certificates of the same authorities.

    There is nothing to undo: the former certificates are good beside the new ones, so that nodes
    that have new ones and nodes that have not understand each other.
    """

    node: str
    pair: bool
    """Its own: for calls and, of a candidate, for the store."""
    rapi: Literal["keep", "new", "spread"] = "keep"
    """Of a candidate's remote API: of the cluster's authority, or the file that the master has."""

    rapi_again: bool = False
    """That too, unless the site brought it."""

    @property
    def patience(self) -> Patience:
        return Patience(for_s=60.0)

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        cluster, node = world.configuration.cluster, world.configuration.find_node(self.node)
        if node is None:
            return NOTHING
        outfit = world.outfit
        files: dict[str, bytes] = {}
        if self.pair and node.master_candidate:
            fresh = await outfit.of_candidate(node, cluster)
            files |= {name: fresh[name] for name in PAIR_FILES if name in fresh}
        elif self.pair:
            files |= await outfit.of_node(node)
        if self.rapi != "keep" and node.master_candidate:
            files |= await outfit.of_rapi(node, cluster, anew=self.rapi == "new")
        elif self.rapi_again and node.master_candidate:
            fresh = await outfit.of_candidate(node, cluster)
            files |= {name: fresh[name] for name in (certificates.RAPI_FILE,) if name in fresh}
        role = MASTER_CANDIDATE if node.master_candidate else PLAIN
        await world.node(node.name).equip(role, cluster.store, files)
        renewed = ", ".join(sorted(name for name in files if name.endswith(".pem")))
        context.log(f" - INFO: node {node.name} has new certificates ({renewed or 'none'})")
        return with_certificate(world, node, files) if NODE_FILE in files else NOTHING


class DrawAuthority(Step, frozen=True, kw_only=True, tag="cluster.draw-authority"):
    """Each of these candidates has the authority that is to come: whoever is master goes on.

    Nobody believes it yet, so there is nothing to undo; the next renewal takes the same.
    """

    nodes: tuple[str, ...]

    @property
    def patience(self) -> Patience:
        return Patience(for_s=60.0)

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        cluster = world.configuration.cluster
        files = await world.outfit.next_authority(cluster)
        for name in self.nodes:
            await world.node(name).equip(MASTER_CANDIDATE, cluster.store, files)
        return NOTHING


class TrustAuthority(Step, frozen=True, kw_only=True, tag="node.trust-authority"):
    """Whom the node believes. Nothing is undone: whoever was believed before still is, until the
    last of these steps, before which every node shows a certificate of the next authority."""

    node: str
    whom: Whom

    @property
    def patience(self) -> Patience:
        return Patience(for_s=60.0)

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        node = world.configuration.find_node(self.node)
        files = await world.outfit.trusting(self.whom)
        if node is not None and files:
            role = MASTER_CANDIDATE if node.master_candidate else PLAIN
            await world.node(node.name).equip(role, world.configuration.cluster.store, files)
        return NOTHING


class SpreadFiles(Step, frozen=True, kw_only=True, tag="node.spread-files"):
    """A candidate has what the master has of the files that all candidates share."""

    node: str

    @property
    def tolerated(self) -> bool:
        return True

    @property
    def patience(self) -> Patience:
        return Patience(for_s=20.0)

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        node = world.configuration.find_node(self.node)
        files = await world.outfit.shared()
        if node is not None and node.master_candidate and files:
            store = world.configuration.cluster.store
            await world.node(node.name).equip(MASTER_CANDIDATE, store, files)
        return NOTHING
