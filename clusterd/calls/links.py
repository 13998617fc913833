"""All links of a master, one a node."""

from __future__ import annotations

import functools
from collections.abc import Callable

import msgspec

from clusterd.calls.client import Caller, Commander, Link, LinkListener, Request
from clusterd.calls.remote import Ids, RemoteCalls, RemoteNode, RemoteNodes
from clusterd.calls.surface import Surface
from clusterd.calls.wire import Endpoint, Policy
from clusterd.errors import NodeAway
from clusterd.world import Clock, Random

USUAL = Policy()


@functools.cache
def _remote_nodes() -> RemoteNodes:
    """The proxies, built once: the surface of a version never changes."""
    return RemoteNodes(Surface())


EndpointOf = Callable[[str, str], Endpoint]
"""(node's name, address) -> where to connect. Over TLS it makes sure that the node there is the one
of that name."""


class Links:
    """Invariant: a node has one link, under its name; the epoch rides on every call."""

    def __init__(
        self,
        commander: Commander,
        endpoint: EndpointOf,
        clock: Clock,
        random: Random,
        listener: LinkListener,
        policy: Policy = USUAL,
    ) -> None:
        self._commander = commander
        self._endpoint = endpoint
        self._clock = clock
        self._listener = listener
        self._policy = policy
        self._nodes = _remote_nodes()
        self._ids = Ids(random.uuid())
        self._links: dict[str, Link] = {}
        self._addresses: dict[str, str] = {}

    def connect(self, name: str, address: str) -> None:
        """Keep a link to this node; another address than before replaces the link."""
        if self._addresses.get(name) == address:
            return
        self.forget(name)
        link = Link(
            name,
            lambda: self._endpoint(name, address),
            self._commander,
            self._clock,
            self._policy,
            self._listener,
        )
        self._links[name] = link
        self._addresses[name] = address
        link.start()

    def forget(self, name: str) -> None:
        """No link to this node is kept; calls under way fail with NodeAway."""
        link = self._links.pop(name, None)
        self._addresses.pop(name, None)
        if link is not None:
            link.stop()

    def close(self) -> None:
        """Forget all."""
        for name in self.names():
            self.forget(name)

    def names(self) -> tuple[str, ...]:
        """The nodes to which links are kept."""
        return tuple(sorted(self._links))

    def up(self, name: str) -> bool:
        """True while the link to the node stands."""
        link = self._links.get(name)
        return link is not None and link.up

    def node(self, name: str) -> RemoteNode:
        """The node; of one without a link every call fails with NodeAway."""
        caller: Caller = self._links.get(name) or _Unlinked(name)
        calls = RemoteCalls(name, caller, self._ids, self._nodes.surface, self._listener.sighted)
        return self._nodes.node(calls)


class _Unlinked:
    """A node that the master has no link to: unknown, offline or forgotten."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def call(self, request: Request) -> msgspec.Raw:
        raise NodeAway(
            f"node {self._name} does not answer: the master keeps no link to it (offline, or not"
            " part of the cluster)",
            node=self._name,
        )
