"""How each kind of thing is looked at by whoever goes back to a moment.

A kind that is not known here is an error, never passed over.
"""

from __future__ import annotations

import collections
import contextvars
import enum
import functools
import itertools
import operator
import types
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import msgspec
import structlog

from clusterd.calls.surface import Surface
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
        structlog.BoundLoggerBase,
        contextvars.Context,
    ),
)
"""Never different (of a mapping that cannot be changed here, nothing changes what is behind it), or
(a count that gives an order, a cache) of no account."""


class Moving(Exception):
    """Something is under way that cannot be brought back."""


class Way(enum.IntEnum):
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


OBJECT, TUPLE, LEADS = Way.OBJECT, Way.TUPLE, Way.LEADS
DICT, LIST, SET = Way.DICT, Way.LIST, Way.SET
RARER = Way.OTHER, Way.CELL, Way.SOURCE, Way.STRUCT


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


LEADS_TO: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    types.MethodType: _of_method,
    types.FunctionType: _of_function,
    functools.partial: lambda one: (one.func, *one.args, *one.keywords.values()),
}
"""Where to."""
_FAMILIES: dict[type | tuple[type, ...], Way] = {
    LASTING: Way.NONE,
    tuple: TUPLE,
    tuple(LEADS_TO): LEADS,
    types.CellType: Way.CELL,
    (dict, set, list, collections.deque): Way.OTHER,
}


class _Ways(dict[type, Way]):
    """Of the kinds that were met."""

    def __missing__(self, kind: type) -> Way:
        way = self[kind] = _chosen(kind)
        if way is LEADS:
            LEADS_TO[kind] = next(LEADS_TO[base] for base in kind.__mro__ if base in LEADS_TO)
        return way


WAYS = _Ways({**dict.fromkeys(ATOMS, Way.NONE), dict: DICT, list: LIST, set: SET})


def _chosen(kind: type) -> Way:
    if issubclass(kind, types.CoroutineType | types.GeneratorType | types.AsyncGeneratorType):
        raise Moving(f"a {kind.__name__} waits")
    if issubclass(kind, msgspec.Struct):
        return Way.NONE if kind.__struct_config__.frozen else Way.STRUCT
    if hasattr(kind, "getstate") and hasattr(kind, "setstate"):
        return Way.SOURCE
    for family, way in _FAMILIES.items():
        if issubclass(kind, family):
            return way
    slots = any(vars(one).get("__slots__") for one in kind.__mro__)
    if slots or not kind.__dictoffset__:
        raise TypeError(f"it is not known how to go back to what a {kind.__qualname__} was")
    return Way.OBJECT
