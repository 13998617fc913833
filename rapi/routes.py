"""What a route is, and how a path finds its route.

A route either submits an opcode, described as data, or runs a function of ``rapi.resources``.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

import msgspec

from rapi.auth import Access
from rapi.compatibility import resource_name
from rapi.errors import NotFound, NotImplementedHere
from rapi.exchange import Call
from rapi.submission import Body

SEGMENTS = {
    "name": r"[\w\._-]+",
    "id": r"[0-9]{1,18}",
    "disk": r"[0-9]{1,9}",
    "resource": r"[\w\._-]+",
}
"""What may stand in the place of ``{name}`` and so on."""


class Door(Protocol):
    """The master's local door."""

    async def call(self, method: str, *args: Any) -> Any:
        """Ask the master; raises RequestFailed, DoorAway."""


class Submit(msgspec.Struct, frozen=True, kw_only=True):
    """A request that becomes a job of one opcode; the answer is the job's number."""

    op: str
    target: str = ""
    """The field that the path's ``{name}`` fills; with ``[]`` at its end a list of one."""
    flags: tuple[tuple[str, str], ...] = ()
    """(query argument, field): 0 or 1, absent is 0."""
    texts: tuple[tuple[str, str], ...] = ()
    """(query argument, field): given only when present."""
    lists: tuple[tuple[str, str], ...] = ()
    """(query argument, field): all values of a repeated argument."""
    defaults: tuple[tuple[str, str, str], ...] = ()
    """(query argument, field, value when absent)."""
    needed: tuple[str, ...] = ()
    """Query arguments without which the request is refused."""
    fixed: Body = {}
    body: bool = True
    """Whether the body's keys are fields; else a body is ignored."""
    extra: Callable[[Call, Body], Body] | None = None
    """Fields made of the call in another way: (call, body) -> fields. May take keys out of body."""


Read = Callable[[Call, Door], Awaitable[Any]]
Prepare = Callable[[Call], list[tuple[str, Body, Body]]]
"""For jobs of several opcodes: [(OP_ID, body, fixed)]."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path. Exactly one of ``submit``, ``prepare`` and ``read`` is set."""

    method: str
    path: str
    access: Access = ""
    summary: str = ""
    submit: Submit | None = None
    prepare: Prepare | None = None
    read: Read | None = None
    operations: tuple[str, ...] = ()
    """The opcodes that ``prepare`` makes."""

    @property
    def resource(self) -> str:
        """Ganeti's word for the resource."""
        return resource_name(self.path)


class Found(msgspec.Struct, frozen=True):
    """A route and what its pattern matched."""

    route: Route
    names: dict[str, str]


class Table:
    """All routes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        methods: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            methods.setdefault(route.path, {})[route.method] = route
        self._methods = methods
        self._plain = {path for path in methods if "{" not in path}
        self._patterns = [
            (re.compile(_pattern(path)), path) for path in methods if path not in self._plain
        ]

    def find(self, method: str, path: str) -> Found:
        """The route of a request; raises NotFound, NotImplementedHere."""
        pattern, names = self._match(path.rstrip("/") or "/")
        route = self._methods[pattern].get(method)
        if route is None:
            raise NotImplementedHere(f"Method {method} is unsupported for path {path}")
        return Found(route, names)

    def _match(self, path: str) -> tuple[str, dict[str, str]]:
        if path in self._plain:
            return path, {}
        for pattern, template in self._patterns:
            found = pattern.fullmatch(path)
            if found:
                return template, found.groupdict()
        raise NotFound


def _pattern(path: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: f"(?P<{found[1]}>{SEGMENTS[found[1]]})", path)


def filled_from(call: Call, submit: Submit) -> tuple[Body, Body]:
    """(body, fixed values) of a request that becomes one opcode."""
    body = call.object() if submit.body else {}
    fixed: Body = dict(submit.fixed)
    if submit.target:
        field = submit.target.removesuffix("[]")
        fixed[field] = [call.name] if submit.target.endswith("[]") else call.name
    for argument, field in submit.flags:
        fixed[field] = call.flag(argument)
    for argument, field in submit.texts:
        text = call.text(argument)
        if text is not None:
            fixed[field] = text
    for argument, field in submit.lists:
        fixed[field] = call.texts(argument)
    for argument, field, default in submit.defaults:
        fixed[field] = call.text(argument) or default
    if submit.extra is not None:
        fixed.update(submit.extra(call, body))
    return body, fixed
