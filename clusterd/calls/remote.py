"""Remote nodes as the world's ``NodeWorld``: every verb of the declarations as a call.

The proxies have no verb of their own: they are made from the interfaces, so a new abstract method
is at once callable from afar.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, cast

import msgspec

from clusterd.calls.client import Caller, Heard, Request
from clusterd.calls.surface import (
    INTERFACES,
    NODE_FAMILY,
    BadCall,
    Surface,
    Verb,
    decode_result,
)
from clusterd.errors import CallFailed
from clusterd.observation import Observation
from clusterd.world import NodeWorld
from hypervisors.interface import Driver
from storage.interface import Backend
from storage.volume import Template

MAX_SCOPES = 10_000
"""Scopes that are counted at a time, the least recently used are forgotten: far more than attempts
that can be under way."""


class Ids:
    """Gives call ids. Invariant: no id is given twice, and those of a scope are
    ``<scope>/<n>@<prefix>``, counted from one, whoever asks for them in whatever order.

    The prefix must never have been used before, by any master: what one has begun, the next does
    again in scopes of the same names, and with answers to other calls it would go astray.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._fresh = fresh_ids(prefix)
        self._counts: OrderedDict[str, int] = OrderedDict()

    def take(self, scope: str, *, reads: bool) -> str:
        """The next id of ``scope``. A read, or a call without scope, gets a fresh one: an old
        answer is of no use to it."""
        if reads or not scope:
            return self._fresh()
        count = self._counts.pop(scope, 0) + 1
        self._counts[scope] = count
        if len(self._counts) > MAX_SCOPES:
            self._counts.popitem(last=False)
        return f"{scope}/{count}@{self._prefix}"


def fresh_ids(prefix: str) -> Callable[[], str]:
    """Ids ``<prefix>-<n>``."""
    count = 0

    def fresh() -> str:
        nonlocal count
        count += 1
        return f"{prefix}-{count}"

    return fresh


class RemoteCalls:
    """Sends verbs of one node."""

    def __init__(
        self,
        node: str,
        caller: Caller,
        ids: Ids,
        surface: Surface,
        seen: Callable[[str, Observation], None],
    ) -> None:
        self.node = node
        self.surface = surface
        self._caller = caller
        self._ids = ids
        self._seen = seen
        self._scope = ""
        self._heard: Heard | None = None

    def at(self, scope: str, heard: Heard | None) -> RemoteCalls:
        """The same with ids of ``scope``."""
        calls = RemoteCalls(self.node, self._caller, self._ids, self.surface, self._seen)
        calls._scope, calls._heard = scope, heard
        return calls

    async def send(self, verb: Verb, plugin: str, args: tuple[Any, ...], kw: dict[str, Any]) -> Any:
        """Make the call and answer its decoded value."""
        path = verb.path(plugin)
        request = Request(
            id=self._ids.take(self._scope, reads=verb.reads),
            verb=path,
            args=verb.encode(*args, **kw),
            deadline_s=verb.deadline_s,
            heard=self._heard,
        )
        value: msgspec.Raw = await self._caller.call(request)
        try:
            result = decode_result(verb, value)
        except BadCall as problem:
            raise CallFailed(
                f"node {self.node}: {problem}", kind="bad_answer", node=self.node, subject=path
            ) from None
        if isinstance(result, Observation):
            self._seen(self.node, result)
        return result


Sender = Callable[..., Coroutine[Any, Any, Any]]


def _sender(verb: Verb, plugin_of: Callable[[Any], str]) -> Sender:
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await self._calls.send(verb, plugin_of(self), args, kwargs)

    call.__name__ = verb.name
    call.__qualname__ = f"{verb.family}.{verb.name}"
    call.__doc__ = verb.function.__doc__
    call.__signature__ = inspect.signature(verb.function)  # type: ignore[attr-defined]
    return call


class _Proxy:
    """What the proxies of plugins share."""

    def __init__(self, calls: RemoteCalls, plugin: str) -> None:
        self._calls = calls
        self._plugin = plugin


def _proxies(surface: Surface, family: str) -> type[Any]:
    senders: Mapping[str, Sender] = {
        name: _sender(verb, lambda proxy: cast(str, proxy._plugin))
        for name, verb in surface.family(family).items()
    }
    return type(f"Remote{INTERFACES[family].__name__}", (_Proxy, INTERFACES[family]), dict(senders))


class RemoteNodes:
    """Makes remote nodes. The classes of their proxies are built once."""

    def __init__(self, surface: Surface) -> None:
        self.surface = surface
        backend, driver = _proxies(surface, "storage"), _proxies(surface, "hypervisor")
        verbs = {
            name: _sender(verb, lambda node: "")
            for name, verb in surface.family(NODE_FAMILY).items()
        }
        plugins = {"_backend": backend, "_driver": driver}
        self._kind: type[RemoteNode] = type("RemoteNode", (RemoteNode,), {**verbs, **plugins})

    def node(self, calls: RemoteCalls) -> RemoteNode:
        """The node that these calls go to."""
        return self._kind(calls)


class RemoteNode(NodeWorld):
    """A node at the other end of a link. Its verbs are added by ``RemoteNodes``."""

    _backend: type[Any]
    _driver: type[Any]

    def __init__(self, calls: RemoteCalls) -> None:
        self.name = calls.node
        self._calls = calls

    def at(self, scope: str, heard: Heard | None = None) -> RemoteNode:
        """The same node; ids of changing calls are ``<scope>/<n>``.

        ``scope`` names one attempt of one step on this node, uniquely over all masters. ``heard``
        takes lines of progress.
        """
        return type(self)(self._calls.at(scope, heard))

    def storage(self, template: str) -> Backend:
        backend = self._backend(self._calls, template)
        backend.template = Template(template)
        return cast(Backend, backend)

    def hypervisor(self, name: str) -> Driver:
        driver = self._driver(self._calls, name)
        driver.name = name
        return cast(Driver, driver)
