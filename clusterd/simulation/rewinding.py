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

ATOMS = int, float, str, bytes, bool, type(None), frozenset, complex
"""Never different."""
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
    things, and whole lists are kept and put back at a stroke: a life takes no longer than some
    thousand turns of a loop."""

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
        self._dicts: list[dict[Any, Any]] = []
        self._sets: list[set[Any]] = []
        self._lists: list[list[Any]] = []
        self._others: list[tuple[Any, Any]] = []
        """Other kinds of these three, with a copy."""
        self._structs: list[tuple[Any, list[Any]]] = []
        self._cells: list[tuple[types.CellType, Any]] = []
        self._sources: list[tuple[Any, Any]] = []
        self._folders = folders
        self._files = folders.kept() if folders is not None else None
        self._look(list(roots), reach, known)
        self._in_dicts = list(map(dict.copy, self._dicts))
        self._in_sets = list(map(set.copy, self._sets))
        self._in_lists = list(map(list.copy, self._lists))

    def restore(self) -> list[Any]:
        """Everything is again as it was. Answers what was there instead: once nobody holds it any
        more, the ``finally`` blocks of coroutines that wait in it run."""
        if self._folders is not None and self._files is not None:
            self._folders.put_back(self._files)  # first: what says that they changed goes back, too
        gone: list[Any] = list(map(_FIELDS, self._objects))
        # nobody else holds the copies: they need not be filled into what is there
        fields = map(dict.copy, self._fields)
        _each(map(object.__setattr__, self._objects, itertools.repeat("__dict__"), fields))
        gone += map(dict.copy, self._dicts)
        _each(map(dict.clear, self._dicts))
        _each(map(dict.update, self._dicts, self._in_dicts))
        gone += map(set.copy, self._sets)
        _each(map(set.clear, self._sets))
        _each(map(set.update, self._sets, self._in_sets))
        gone += map(list.copy, self._lists)
        _each(map(list.clear, self._lists))
        _each(map(list.extend, self._lists, self._in_lists))
        for thing, kept in self._others:
            gone.append(thing.copy())
            thing.clear()
            (thing.update if hasattr(thing, "update") else thing.extend)(kept)
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
        """All that is one reference further at a time: most of it is never different, or was seen
        already, and is passed over without a turn of a loop each."""
        seen: set[int] = set()
        ways = _WAYS
        further = itertools.chain.from_iterable
        while ahead:
            changing = itertools.compress(ahead, map(ways.__getitem__, map(type, ahead)))
            things = {id(thing): thing for thing in changing}
            fresh: list[list[Any]] = [[] for _ in WAYS]
            for number, thing in things.items():
                if number not in seen:
                    fresh[ways[type(thing)]].append(thing)
            seen.update(things)
            ahead = [*further(fresh[TUPLE])]
            if objects := fresh[OBJECT]:
                ahead += further(self._in_objects(objects, reach, known))
            if dicts := fresh[DICT]:
                self._dicts += dicts
                ahead += further(dicts)
                ahead += further(map(dict.values, dicts))
            if lists := fresh[LIST]:
                self._lists += lists
                ahead += further(lists)
            if sets := fresh[SET]:
                self._sets += sets
                ahead += further(sets)
            for thing in fresh[LEADS]:
                ahead += _LEADS[type(thing)](thing)
            for way in RARER:
                for thing in fresh[way]:
                    ahead += self._rarer(thing, way)

    def _in_objects(
        self, objects: list[Any], reach: Callable[[Any], Reach], known: Mapping[type, Reach]
    ) -> Iterable[Iterable[Any]]:
        """What they lead to. Not ``dict.copy``: that would share its keys with others of the kind,
        and where such a dictionary has become visible each attribute is found three times as
        slowly."""
        whole, edge = [], []
        for thing in objects:
            far = known.get(type(thing)) or reach(thing)
            if far is Reach.ALL:
                whole.append(thing)
            elif far is Reach.EDGE:
                edge.append(thing)
        self._objects += whole
        fields = list(map(_FIELDS, whole))
        self._fields += map(dict, fields)
        if edge:
            self._objects += edge
            self._fields += map(dict, map(_FIELDS, edge))
            for value in itertools.chain.from_iterable(map(dict.values, map(_FIELDS, edge))):
                if isinstance(value, dict | list | set):
                    self._at_edge(value)
        return map(dict.values, fields)

    def _at_edge(self, thing: Any) -> None:
        """A collection of which only the contents are kept."""
        match _WAYS[type(thing)]:
            case _Way.DICT:
                self._dicts.append(thing)
            case _Way.LIST:
                self._lists.append(thing)
            case _Way.SET:
                self._sets.append(thing)
            case _:
                self._others.append((thing, thing.copy()))

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
        if way is _Way.OTHER:
            self._others.append((thing, thing.copy()))
            return (*thing, *thing.values()) if isinstance(thing, dict) else thing
        values = [getattr(thing, name) for name in thing.__struct_fields__]
        self._structs.append((thing, values))
        return values


_FIELDS = operator.attrgetter("__dict__")


def _each(results: Iterable[None]) -> None:
    """Work that is done for its effects."""
    collections.deque(results, maxlen=0)


class _Way(enum.IntEnum):
    """How a kind of thing is looked at."""

    NONE = 0
    """Not at all."""
    OBJECT = enum.auto()
    DICT = enum.auto()
    LIST = enum.auto()
    SET = enum.auto()
    OTHER = enum.auto()
    """Another kind of these three, or one that is filled in order."""
    TUPLE = enum.auto()
    LEADS = enum.auto()
    """Leads on and is never different itself."""
    CELL = enum.auto()
    SOURCE = enum.auto()
    """Of random numbers."""
    STRUCT = enum.auto()


OBJECT, TUPLE, LEADS = _Way.OBJECT, _Way.TUPLE, _Way.LEADS
DICT, LIST, SET = _Way.DICT, _Way.LIST, _Way.SET
WAYS = tuple(_Way)
RARER = _Way.OTHER, _Way.CELL, _Way.SOURCE, _Way.STRUCT


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
    (dict, set, list, collections.deque): _Way.OTHER,
}


class _Ways(dict[type, _Way]):
    """Of the kinds that were met."""

    def __missing__(self, kind: type) -> _Way:
        way = self[kind] = _chosen(kind)
        if way is LEADS:
            _LEADS[kind] = next(_LEADS[base] for base in kind.__mro__ if base in _LEADS)
        return way


_WAYS = _Ways({**dict.fromkeys(ATOMS, _Way.NONE), dict: DICT, list: LIST, set: SET})


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
