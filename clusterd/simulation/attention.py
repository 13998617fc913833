"""Where the simulation looks over a node's shoulder: before and after each call.

Whoever pays attention may kill the daemon at either moment; then the call is not begun, or was
carried out and its answer is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from twisted.internet.defer import Deferred

from clusterd.calls.server import NodeSide, Say
from clusterd.calls.wire import Call, Endpoint, Fault, Hello, Reply
from clusterd.observation import Observation


class Attention(Protocol):
    """Sees all calls of all nodes."""

    def before_call(self, host: str, call: Call) -> None:
        """The call has arrived and nothing of it is done."""

    def after_call(self, host: str, call: Call, answer: Reply | Fault) -> None:
        """The call is done and nobody knows yet."""


class Several:
    """Several who pay attention, in order."""

    def __init__(self) -> None:
        self.members: list[Attention] = []

    def before_call(self, host: str, call: Call) -> None:
        """See ``Attention``."""
        for member in tuple(self.members):
            member.before_call(host, call)

    def after_call(self, host: str, call: Call, answer: Reply | Fault) -> None:
        """See ``Attention``."""
        for member in tuple(self.members):
            member.after_call(host, call, answer)


class AttendedNode(NodeSide):
    """A node's side of its links that lets somebody watch."""

    def __init__(
        self, node: NodeSide, attention: Attention, alive: Callable[[], bool], silenced: list[Any]
    ) -> None:
        self.name = node.name
        self.boot_id = node.boot_id
        self._node = node
        self._attention = attention
        self._alive = alive
        self._silenced = silenced

    def greeted(self, hello: Hello) -> None:
        """See ``NodeSide``."""
        self._node.greeted(hello)

    def relay(self, service: str) -> Endpoint:
        """See ``NodeSide``."""
        return self._node.relay(service)

    def latest(self) -> Observation | None:
        """See ``NodeSide``."""
        return self._node.latest()

    async def answer(self, call: Call, say: Say) -> Reply | Fault:
        """See ``NodeSide``; of a daemon that died meanwhile nothing more is heard."""
        self._attention.before_call(self.name, call)
        if not self._alive():
            await self._silence()
        answer = await self._node.answer(call, say)
        self._attention.after_call(self.name, call, answer)
        if not self._alive():
            await self._silence()
        return answer

    async def _silence(self) -> NoReturn:
        """Never return; what waits is kept, so that no ``finally`` of the dead runs."""
        silent: Deferred[None] = Deferred()
        self._silenced.append(silent)
        await silent
        raise AssertionError("a dead daemon's call was answered")
