"""The node's end of a link: who may say what, and in which order.

A link begins with Hello and Welcome. A master candidate's certificate may command; every node's may
open a relay; nothing else is answered. What calls mean, epochs and remembered replies are the
``NodeSide``'s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from clusterd.begun import begin
from clusterd.calls.tunnel import Side, join
from clusterd.calls.wire import (
    MAX_TEXT_CHARACTERS,
    BadFrame,
    Call,
    Endpoint,
    Event,
    Fault,
    FrameLink,
    Frames,
    Hello,
    Policy,
    Progress,
    Reply,
    Shown,
    Welcome,
    within,
)
from clusterd.certificates import MASTER_CANDIDATE, ROLES
from clusterd.errors import ClusterError
from clusterd.names import CALLS_VERSION
from clusterd.observation import Glimpse, Observation
from clusterd.world import Clock

Say = Callable[[str], None]
MAX_LINKS = 64
"""Links that one node takes at a time; candidates and relays need a few."""

MAX_UNGREETED = 64
"""Connections that have not said who they are; of more, the oldest is cut: who belongs to the
cluster says hello at once, and strangers cannot keep it out."""


class Peer(msgspec.Struct, frozen=True):
    """Who is at the other end, as its certificate says."""

    name: str
    role: str


class NotPermitted(ClusterError):
    """The peer's certificate does not allow that."""

    code = "not_permitted"


class WrongPeer(ClusterError):
    """The link leads to another node than the one that was wanted."""

    code = "wrong_peer"


class Busy(ClusterError):
    """The node has as many links as it takes."""

    code = "busy"


class WrongVersion(ClusterError):
    """The two sides speak different versions."""

    code = "wrong_version"


class NodeSide(Protocol):
    """What a link asks of its node."""

    name: str
    boot_id: str

    def greeted(self, hello: Hello) -> None:
        """A commander says hello; raises ClusterError ``old_epoch``."""

    def answer(self, call: Call, say: Say) -> Awaitable[Reply | Fault]:
        """Carry out a call; never raises."""

    def relay(self, service: str) -> Endpoint:
        """The local end of a relay; raises NotPermitted for a service that is not offered."""

    def latest(self) -> Observation | None:
        """What the node saw last."""


Identify = Callable[[Any], Peer]
"""Transport -> who is at its other end; raises NotPermitted."""


class NodeLink(FrameLink):
    """One connection as the node sees it. Invariant: no call is taken before Welcome is sent."""

    def __init__(self, factory: NodeFactory) -> None:
        super().__init__(factory.clock, factory.policy)
        self._factory = factory
        self._node = factory.node
        self.epoch: int | None = None
        """Of the commander; None before its hello and for relays."""
        self._greeted = False
        self._hello_due: Any = None

    def begun(self) -> None:
        self._factory.await_hello(self)
        self._hello_due = self._factory.clock.callLater(self._policy.connect_s, self._expect_hello)

    def ended(self, why: str) -> None:
        if self._hello_due is not None and self._hello_due.active():
            self._hello_due.cancel()
        self._factory.forget(self)
        if self.epoch is not None:
            self._factory.log.info("master's link ended", node=self._node.name, why=why)

    def received(self, frame: Frames) -> None:
        if isinstance(frame, Hello) and not self._greeted:
            self._greet(frame)
        elif isinstance(frame, Call) and self.epoch is not None:
            self.epoch = max(self.epoch, frame.epoch)
            begin(self._answer(frame))
        else:
            self.close("bad_frame", f"'{type(frame).__name__}' is out of place here")

    def tell(self, observation: Observation) -> None:
        """Push what was seen to a commander that takes it; a choked one gets the next."""
        if self.epoch is not None and not self.choked:
            self.send(Event(observation=observation))

    def show(self, glimpse: Glimpse) -> None:
        """Push what was seen of one guest; for a choked commander the next look makes up for it."""
        if self.epoch is not None and not self.choked:
            self.send(Shown(glimpse=glimpse))

    def _expect_hello(self) -> None:
        if not self._greeted:
            self.close("bad_frame", "no hello came in time")

    def _greet(self, hello: Hello) -> None:
        self._greeted = True
        try:
            peer = self._factory.identify(self.transport)
            check_hello(hello, peer, self._node.name)
            self._factory.take(self)
            if hello.purpose == "relay":
                self._begin_relay(self._node.relay(hello.service), peer)
                return
            self._node.greeted(hello)
        except ClusterError as refusal:
            self._factory.log.warning(
                "link refused", node=self._node.name, peer=hello.name, why=refusal.message
            )
            self.close(refusal.code, refusal.message)
            return
        self.epoch = hello.epoch
        self._factory.log.info(
            "master's link begins", node=self._node.name, peer=peer.name, epoch=hello.epoch
        )
        self._welcome()
        latest = self._node.latest()
        if latest is not None:
            self.tell(latest)

    def _welcome(self) -> None:
        self.send(Welcome(node=self._node.name, boot_id=self._node.boot_id))

    async def _answer(self, call: Call) -> None:
        answer = await self._node.answer(call, self._voice(call.id))
        try:
            self.send(answer)
        except BadFrame as problem:
            self.send(Fault(id=call.id, code="answer_too_long", message=str(problem)))

    def _voice(self, call_id: str) -> Say:
        def say(text: str) -> None:
            if not self.choked:
                self.send(Progress(id=call_id, text=text[:MAX_TEXT_CHARACTERS]))

        return say

    # -- relays ------------------------------------------------------------------------------------

    def _begin_relay(self, endpoint: Endpoint, peer: Peer) -> None:
        side = Side()
        connecting = endpoint.connect(Factory.forProtocol(lambda: side))
        waiting = within(connecting, self._policy.connect_s, self._factory.clock)
        waiting.addCallbacks(self._relay_stands, self._relay_failed, callbackArgs=(side, peer))

    def _relay_stands(self, _: object, side: Side, peer: Peer) -> None:
        if not self.open:
            side.close()
            return
        self._factory.log.info("relay begins", node=self._node.name, peer=peer.name)
        self._welcome()
        join(self, side)

    def _relay_failed(self, failure: Failure) -> None:
        self.close("relay_failed", f"node {self._node.name}: {failure.getErrorMessage()}")


class NodeFactory(Factory):
    """Makes the node's ends; knows all that stand."""

    noisy = False

    def __init__(
        self, node: NodeSide, identify: Identify, clock: Clock, policy: Policy, log: Any
    ) -> None:
        self.node = node
        self.identify = identify
        self.clock = clock
        self.policy = policy
        self.log = log
        self.links: dict[NodeLink, None] = {}
        """In the order in which they came: a set's would differ from run to run."""
        self._ungreeted: dict[NodeLink, None] = {}

    def buildProtocol(self, addr: IAddress | None) -> NodeLink:
        return NodeLink(self)

    def await_hello(self, link: NodeLink) -> None:
        """Somebody has connected."""
        self._ungreeted[link] = None
        if len(self._ungreeted) > MAX_UNGREETED:
            oldest = next(iter(self._ungreeted))
            del self._ungreeted[oldest]
            oldest.abort(f"{MAX_UNGREETED} others connected and said no hello")

    def take(self, link: NodeLink) -> None:
        """It belongs to the cluster; raises Busy."""
        if len(self.links) >= MAX_LINKS:
            raise Busy(f"node {self.node.name} has {MAX_LINKS} links already")
        self._ungreeted.pop(link, None)
        self.links[link] = None

    def forget(self, link: NodeLink) -> None:
        """It is gone."""
        self._ungreeted.pop(link, None)
        self.links.pop(link, None)

    def tell(self, observation: Observation) -> None:
        """Push what was seen to every commander."""
        for link in list(self.links):
            link.tell(observation)

    def show(self, glimpse: Glimpse) -> None:
        """Push what was seen of one guest to every commander."""
        for link in list(self.links):
            link.show(glimpse)

    def dismiss_below(self, epoch: int) -> None:
        """End the links of deposed masters."""
        for link in list(self.links):
            if link.epoch is not None and link.epoch < epoch:
                link.close("old_epoch", f"a master of epoch {epoch} has taken over")

    def close(self) -> None:
        """End all links."""
        for link in [*self._ungreeted, *self.links]:
            link.close("ending", f"the daemon on node {self.node.name} ends")


def check_hello(hello: Hello, peer: Peer, node: str) -> None:
    """Raises a ClusterError unless this peer may say this hello to this node."""
    if hello.version != CALLS_VERSION:
        raise WrongVersion(
            f"node {node} speaks version {CALLS_VERSION} of the calls, {hello.name} version"
            f" {hello.version}: install the same version on both"
        )
    if hello.node != node:
        raise WrongPeer(f"this is node {node}, not {hello.node}", subject=hello.node)
    if hello.name != peer.name:
        raise NotPermitted(f"the certificate is of {peer.name}, not of {hello.name}")
    if peer.role not in ROLES:
        raise NotPermitted(f"a certificate of role '{peer.role}' may not call nodes")
    if hello.purpose == "command" and peer.role != MASTER_CANDIDATE:
        raise NotPermitted(f"{peer.name} is no master candidate and may not command")
