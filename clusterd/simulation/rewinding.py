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
import os
import shutil
import types
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from typing import Any

import msgspec
import structlog

from clusterd.calls.surface import Surface

_ATOMS: set[type] = {int, float, str, bytes, bool, type(None), frozenset, complex}
"""Never different; what is found to be so is added."""
LASTING = (
    *(type, types.ModuleType, types.BuiltinFunctionType, enum.Enum, PurePath, Surface),
    *(msgspec.json.Decoder, msgspec.json.Encoder, msgspec.msgpack.Decoder, msgspec.msgpack.Encoder),
    *(
        itertools.count,
        type(functools.cache(len)),
        msgspec.Raw,
        type(structlog.get_logger()),
        contextvars.Context,
    ),
)
"""Never different, or (a count that gives an order, a cache) of no account."""


Pairs = list[tuple[Any, Any]]
"""Something, and what was in it."""


class Moving(Exception):
    """Something is under way that cannot be brought back."""


class Reach(enum.Enum):
    """How far an object is looked into."""

    ALL = enum.auto()
    EDGE = enum.auto()
    """It is kept, and the collections directly in it; where they lead to is not followed."""
    NONE = enum.auto()


class Moment:
    """How everything was when this was made."""

    def __init__(
        self,
        roots: Iterable[Any],
        reach: Callable[[Any], Reach] = lambda thing: Reach.ALL,
        folders: Folders | None = None,
    ) -> None:
        """``reach`` is asked of objects, and of nothing else. Raises Moving."""
        self._contents: Pairs = []
        self._fields: Pairs = []
        self._cells: Pairs = []
        self._sources: Pairs = []
        self._folders = folders
        self._files = folders.kept() if folders is not None else None
        self._look(list(roots), reach)

    def restore(self) -> list[Any]:
        """Everything is again as it was. Answers what was there instead: once nobody holds it any
        more, the ``finally`` blocks of coroutines that wait in it run."""
        if self._folders is not None and self._files is not None:
            self._folders.put_back(self._files)  # first: what says that they changed goes back, too
        gone = []
        for container, kept in self._contents:
            gone.append(container.copy())
            container.clear()
            if type(kept) is dict or not isinstance(kept, list | collections.deque):
                container.update(kept)
            else:
                container.extend(kept)
        for struct, values in self._fields:
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

    def _look(self, ahead: list[Any], reach: Callable[[Any], Reach]) -> None:
        seen: set[int] = set()
        contents = self._contents
        while ahead:
            thing = ahead.pop()
            if id(thing) in seen:
                continue
            seen.add(id(thing))
            kind = type(thing)
            way = _WAYS.get(kind) or _way(kind)
            if way is _Way.OBJECT:
                found = self._object(thing, reach(thing))
            elif way is _Way.DICT:
                contents.append((thing, thing.copy()))
                found = (*thing, *thing.values())
            elif way is _Way.COLLECTION:
                contents.append((thing, thing.copy()))
                found = thing
            elif way is _Way.TUPLE:
                found = thing
            else:
                found = self._rarer(thing, way)
            ahead += [one for one in found if type(one) not in _ATOMS]

    def _object(self, thing: Any, reach: Reach) -> Iterable[Any]:
        if reach is Reach.NONE:
            return ()
        fields = thing.__dict__
        self._contents.append((fields, fields.copy()))
        if reach is Reach.ALL:
            return fields.values()  # type: ignore[no-any-return]
        for value in fields.values():
            if isinstance(value, dict | list | set):
                self._contents.append((value, value.copy()))
        return ()

    def _rarer(self, thing: Any, way: _Way) -> Iterable[Any]:
        if way in _PARTS:
            return _PARTS[way](thing)
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
        self._fields.append((thing, values))
        return values


class _Way(enum.Enum):
    """How a kind of thing is looked at."""

    NONE = enum.auto()
    OBJECT = enum.auto()
    DICT = enum.auto()
    COLLECTION = enum.auto()
    TUPLE = enum.auto()
    METHOD = enum.auto()
    FUNCTION = enum.auto()
    PARTIAL = enum.auto()
    CELL = enum.auto()
    SOURCE = enum.auto()
    """Of random numbers."""
    STRUCT = enum.auto()


_PARTS: dict[_Way, Callable[[Any], tuple[Any, ...]]] = {
    _Way.METHOD: lambda one: (one.__self__, one.__func__),
    _Way.FUNCTION: lambda one: (
        *(one.__closure__ or ()),
        *(one.__defaults__ or ()),
        *(one.__kwdefaults__ or {}).values(),
    ),
    _Way.PARTIAL: lambda one: (one.func, one.args, one.keywords),
}
"""What leads on and is never different itself."""
_FAMILIES: dict[type | tuple[type, ...], _Way] = {
    LASTING: _Way.NONE,
    tuple: _Way.TUPLE,
    types.MethodType: _Way.METHOD,
    types.FunctionType: _Way.FUNCTION,
    types.CellType: _Way.CELL,
    functools.partial: _Way.PARTIAL,
    dict: _Way.DICT,
    (list, set, collections.deque): _Way.COLLECTION,
}
_WAYS: dict[type, _Way] = {}
"""Of the kinds that were met."""


def _way(kind: type) -> _Way:
    way = _WAYS[kind] = _chosen(kind)
    if way is _Way.NONE:
        _ATOMS.add(kind)
    return way


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


# -- files -----------------------------------------------------------------------------------------


class Link(msgspec.Struct, frozen=True):
    """A symbolic link."""

    target: str


class File(msgspec.Struct, frozen=True):
    """A file."""

    data: bytes
    mode: int


Leaf = Link | File | None
"""None for a directory."""


class Kept(msgspec.Struct, frozen=True):
    """What was in some directories, and how often they had been touched until then."""

    touched: int
    trees: dict[Path, dict[str, Leaf]]


class Folders:
    """Directories of a world. They are looked through only where something has touched them, as
    ``touched`` counts."""

    def __init__(self, directories: Iterable[Path], touched: Callable[[], int]) -> None:
        self._directories = tuple(directories)
        self._touched = touched
        self._last: Kept | None = None

    def kept(self) -> Kept:
        """What is in them."""
        if self._last is None or self._last.touched != self._touched():
            trees = {directory: tree(directory) for directory in self._directories}
            self._last = Kept(self._touched(), trees)
        return self._last

    def put_back(self, kept: Kept) -> None:
        """What is in them is that again."""
        if kept.touched != self._touched():
            for directory, files in kept.trees.items():
                put_back(directory, files)


def tree(directory: Path) -> dict[str, Leaf]:
    """All below a directory: path in it -> what is there. Directories come before what is in
    them."""
    found: dict[str, Leaf] = {}
    ahead = [""]
    while ahead:
        inside = ahead.pop()
        try:
            entries = sorted(os.scandir(f"{directory}/{inside}"), key=lambda one: one.name)
        except FileNotFoundError:
            continue
        for entry in entries:
            path = f"{inside}{entry.name}"
            if entry.is_symlink():
                found[path] = Link(os.readlink(entry.path))
            elif entry.is_dir():
                found[path] = None
                ahead.append(f"{path}/")
            else:
                mode = entry.stat().st_mode & 0o7777
                found[path] = File(Path(entry.path).read_bytes(), mode)
    return found


def put_back(directory: Path, files: dict[str, Leaf]) -> None:
    """Below the directory is exactly this."""
    there = tree(directory)
    if there == files:
        return
    different = {path for path in there if path not in files or files[path] != there[path]}
    for path in sorted(different, reverse=True):
        if there[path] is None:
            shutil.rmtree(directory / path, ignore_errors=True)
        else:
            (directory / path).unlink(missing_ok=True)
    for path in sorted(files):
        if path in there and path not in different:
            continue
        match files[path]:
            case None:
                (directory / path).mkdir(parents=True)
            case Link(target):
                (directory / path).symlink_to(target)
            case File(data, mode):
                (directory / path).write_bytes(data)
                (directory / path).chmod(mode)
