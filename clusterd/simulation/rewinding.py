"""Going back: a simulated world as it is in one moment, to be restored as often as one likes.

Everything that is reached from some roots and can change is found by looking, not by a list: the
contents of each dictionary, list, set, object, closure and random source are kept, and put back in
place, so whoever holds one of them holds what it was. What cannot be put back is a coroutine that
was begun: a world in which one waits is ``Moving``. Frozen values are never looked into, and a kind
of thing that is not known here is an error, never passed over.
"""

from __future__ import annotations

import collections
import contextvars
import enum
import functools
import itertools
import operator
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any

import msgspec
import structlog

from clusterd.calls.surface import Surface
from clusterd.simulation.folders import Folders
from jobqueue.step import Steps

_ATOMS: set[type] = {int, float, str, bytes, bool, type(None), frozenset, complex}
"""Never different; what is found to be so is added."""
LASTING = (
    *(type, types.ModuleType, types.BuiltinFunctionType, enum.Enum, PurePath, Surface, Steps),
    *(msgspec.json.Decoder, msgspec.json.Encoder, msgspec.msgpack.Decoder, msgspec.msgpack.Encoder),
    *(
        itertools.count,
        type(functools.cache(len)),
        operator.methodcaller,
        types.MappingProxyType,
        msgspec.Raw,
        type(structlog.get_logger()),
        contextvars.Context,
    ),
)
"""Never different (of a mapping that cannot be changed here, nothing changes what is behind it), or
(a count that gives an order, a cache) of no account."""


class Moving(Exception):
    """Something is under way that cannot be brought back."""


class Reach(enum.Enum):
    """How far an object is looked into."""

    ALL = enum.auto()
    EDGE = enum.auto()
    """It is kept, and the collections directly in it; where they lead to is not followed."""
    NONE = enum.auto()


NOTHING_KNOWN: Mapping[type, Reach] = {}


class Moment:
    """How everything was when this was made. What was in each thing is in a list beside that of the
    things: pairs would be as many objects again, and a life takes no longer than making them."""

    def __init__(
        self,
        roots: Iterable[Any],
        reach: Callable[[Any], Reach] = lambda thing: Reach.ALL,
        folders: Folders | None = None,
        known: Mapping[type, Reach] = NOTHING_KNOWN,
    ) -> None:
        """``reach`` is asked of objects only, and not where their kind is ``known``. Raises
        Moving."""
        self._objects: list[Any] = []
        self._fields: list[dict[str, Any]] = []
        self._updated: list[Any] = []
        """Dictionaries and sets."""
        self._updates: list[Any] = []
        self._extended: list[Any] = []
        """Lists and the like."""
        self._extensions: list[Any] = []
        self._empty: list[Any] = []
        """Of both kinds."""
        self._structs: list[tuple[Any, list[Any]]] = []
        self._cells: list[tuple[types.CellType, Any]] = []
        self._sources: list[tuple[Any, Any]] = []
        self._folders = folders
        self._files = folders.kept() if folders is not None else None
        self._look(list(roots), reach, known)

    def restore(self) -> list[Any]:
        """Everything is again as it was. Answers what was there instead: once nobody holds it any
        more, the ``finally`` blocks of coroutines that wait in it run."""
        if self._folders is not None and self._files is not None:
            self._folders.put_back(self._files)  # first: what says that they changed goes back, too
        gone: list[Any] = [thing.__dict__ for thing in self._objects]
        put = object.__setattr__
        for thing, fields in zip(self._objects, self._fields, strict=True):
            put(thing, "__dict__", fields.copy())  # nobody else holds it: it need not be filled
        gone += [container.copy() for container in self._updated]
        for container, kept in zip(self._updated, self._updates, strict=True):
            container.clear()
            container.update(kept)
        gone += [container.copy() for container in self._extended]
        for container, kept in zip(self._extended, self._extensions, strict=True):
            container.clear()
            container.extend(kept)
        for container in filter(None, self._empty):
            gone.append(container.copy())
            container.clear()
        for struct, values in self._structs:
            gone.append(struct.__copy__())
            for name, value in zip(struct.__struct_fields__, values, strict=True):
                setattr(struct, name, value)
        for cell, value in self._cells:
            gone.append(cell.cell_contents)
            cell.cell_contents = value
        for source, state in self._sources:
            source.setstate(state)
        return gone

    # -- looking -----------------------------------------------------------------------------------

    def _look(
        self, ahead: list[Any], reach: Callable[[Any], Reach], known: Mapping[type, Reach]
    ) -> None:
        seen: set[int] = set()
        atoms, ways = _ATOMS, _WAYS
        while ahead:
            thing = ahead.pop()
            number = id(thing)
            if number in seen:
                continue
            seen.add(number)
            kind = type(thing)
            way = ways[kind]
            if way is OBJECT:
                found = self._object(thing, known.get(kind) or reach(thing))
            elif way is TUPLE:
                found = thing
            elif way is DICT or way is LIST or way is SET:
                found = self._collection(thing, way)
            elif way is LEADS:
                found = _LEADS[kind](thing)
            else:
                found = self._rarer(thing, way)
            if found:
                ahead += [one for one in found if type(one) not in atoms]

    def _object(self, thing: Any, reach: Reach) -> Iterable[Any]:
        if reach is Reach.NONE:
            return ()
        fields = thing.__dict__
        self._objects.append(thing)
        # not ``fields.copy()``: that would share its keys with others of the kind, and where such a
        # dictionary has become visible each attribute is found three times as slowly
        self._fields.append(dict(fields))
        if reach is Reach.ALL:
            return fields.values()  # type: ignore[no-any-return]
        for value in fields.values():
            if isinstance(value, dict | list | set):
                self._collection(value, LIST if isinstance(value, list) else SET)
        return ()

    def _collection(self, thing: Any, way: _Way) -> Iterable[Any]:
        if not thing:
            self._empty.append(thing)
            return ()
        if way is LIST:
            self._extended.append(thing)
            self._extensions.append(thing.copy())
            return thing  # type: ignore[no-any-return]
        self._updated.append(thing)
        self._updates.append(thing.copy())
        return thing if way is SET else (*thing, *thing.values())

    def _rarer(self, thing: Any, way: _Way) -> Iterable[Any]:
        if way is _Way.CELL:
            try:
                value = thing.cell_contents
            except ValueError:
                return ()  # of a name that has no value yet
            self._cells.append((thing, value))
            return (value,)
        if way is _Way.SOURCE:
            self._sources.append((thing, thing.getstate()))
            return ()
        if way is _Way.NONE:
            return ()
        values = [getattr(thing, name) for name in thing.__struct_fields__]
        self._structs.append((thing, values))
        return values


class _Way(enum.Enum):
    """How a kind of thing is looked at."""

    NONE = enum.auto()
    OBJECT = enum.auto()
    DICT = enum.auto()
    SET = enum.auto()
    LIST = enum.auto()
    """Or another kind that is filled in order."""
    TUPLE = enum.auto()
    LEADS = enum.auto()
    """Leads on and is never different itself."""
    CELL = enum.auto()
    SOURCE = enum.auto()
    """Of random numbers."""
    STRUCT = enum.auto()


OBJECT, DICT, SET, LIST, TUPLE = _Way.OBJECT, _Way.DICT, _Way.SET, _Way.LIST, _Way.TUPLE
LEADS = _Way.LEADS
"""The usual ones, asked about for each thing."""


def _of_function(one: Any) -> tuple[Any, ...]:
    if one.__closure__ is None and not one.__defaults__ and not one.__kwdefaults__:
        return ()
    return (
        *(one.__closure__ or ()),
        *(one.__defaults__ or ()),
        *(one.__kwdefaults__ or {}).values(),
    )


def _of_method(one: Any) -> tuple[Any, ...]:
    function = one.__func__
    if type(function) is not types.FunctionType:
        return (one.__self__, function)
    return (one.__self__, *_of_function(function))


_LEADS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    types.MethodType: _of_method,
    types.FunctionType: _of_function,
    functools.partial: lambda one: (one.func, *one.args, *one.keywords.values()),
}
"""Where to."""
_FAMILIES: dict[type | tuple[type, ...], _Way] = {
    LASTING: _Way.NONE,
    tuple: TUPLE,
    tuple(_LEADS): LEADS,
    types.CellType: _Way.CELL,
    dict: DICT,
    set: SET,
    (list, collections.deque): LIST,
}


class _Ways(dict[type, _Way]):
    """Of the kinds that were met."""

    def __missing__(self, kind: type) -> _Way:
        way = self[kind] = _chosen(kind)
        if way is _Way.NONE:
            _ATOMS.add(kind)
        if way is LEADS:
            _LEADS[kind] = next(_LEADS[base] for base in kind.__mro__ if base in _LEADS)
        return way


_WAYS = _Ways()


def _chosen(kind: type) -> _Way:
    if issubclass(kind, types.CoroutineType | types.GeneratorType | types.AsyncGeneratorType):
        raise Moving(f"a {kind.__name__} waits")
    if issubclass(kind, msgspec.Struct):
        return _Way.NONE if kind.__struct_config__.frozen else _Way.STRUCT
    if hasattr(kind, "getstate") and hasattr(kind, "setstate"):
        return _Way.SOURCE
    for family, way in _FAMILIES.items():
        if issubclass(kind, family):
            return way
    slots = any(vars(one).get("__slots__") for one in kind.__mro__)
    if slots or not kind.__dictoffset__:
        raise TypeError(f"it is not known how to go back to what a {kind.__qualname__} was")
    return _Way.OBJECT
