"""Going back: a simulated world as it is in one moment, to be restored as often as one likes.

Everything that is reached from some roots and can change is found by looking, not by a list: the
contents of each dictionary, list, set, object, closure and random source are kept, and put back in
place, so whoever holds one of them holds what it was. What cannot be put back is a coroutine that
was begun: a world in which one waits is ``Moving``. Frozen values are never looked into, and a kind
of thing that is not known (``ways``) is an error, never passed over.
"""

from __future__ import annotations

import collections
import enum
import itertools
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from clusterd.simulation.folders import Folders
from clusterd.simulation.ways import (
    DICT,
    LEADS,
    LEADS_TO,
    LIST,
    OBJECT,
    RARER,
    SET,
    TUPLE,
    WAYS,
    Moving,
    Way,
)

__all__ = ["Moment", "Moving", "Reach", "World"]

ANEW = 8
"""Every so many moments a world is looked through as if for the first time: what is no longer in it
need not be put back."""


class Reach(enum.Enum):
    """How far an object is looked into."""

    ALL = enum.auto()
    EDGE = enum.auto()
    """It is kept, and the collections directly in it; where they lead to is not followed."""
    NONE = enum.auto()


NOTHING_KNOWN: Mapping[type, Reach] = {}
_FIELDS = operator.attrgetter("__dict__")
_further = itertools.chain.from_iterable


class World:
    """All that is reached from some roots and can change. From one moment to the next only what was
    put somewhere since is looked for. Invariant: what was found is held here, so that nothing new
    has the identity of what was."""

    def __init__(
        self,
        roots: Iterable[Any],
        reach: Callable[[Any], Reach] = lambda thing: Reach.ALL,
        folders: Folders | None = None,
        known: Mapping[type, Reach] = NOTHING_KNOWN,
    ) -> None:
        """``reach`` is asked of objects only, and not where their kind is ``known``; it answers the
        same for one object always."""
        self._roots = tuple(roots)
        self._reach = reach
        self._known = known
        self.folders = folders
        self._moments = 0
        self._forget()

    def _forget(self) -> None:
        self._things: dict[int, Any] = {}
        self.objects: list[Any] = []
        self.edge: list[Any] = []
        """Objects of which only the collections directly in them are kept, too."""
        self.dicts: list[dict[Any, Any]] = []
        self.sets: list[set[Any]] = []
        self.lists: list[list[Any]] = []
        self.rarer: dict[Way, list[Any]] = {way: [] for way in RARER}
        self._fields: list[dict[str, Any]] = []

    def moment(self) -> Moment:
        """How everything is now. Raises Moving."""
        if self._moments % ANEW == 0:
            self._forget()
        self._moments += 1
        try:
            self._look(self._put_since() if self._things else list(self._roots))
        except BaseException:
            self._forget()  # it may be half done
            raise
        # not ``dict.copy``: that would share its keys with others of the kind, and where such a
        # dictionary has become visible each attribute is found three times as slowly
        self._fields = list(map(dict, map(_FIELDS, self.objects)))
        return Moment(self, self._fields)

    def _put_since(self) -> list[Any]:
        """What stands where something else, or nothing, stood in the moment before; and more."""
        now = [*_further(map(dict.values, map(_FIELDS, self.objects)))]
        then = [*_further(map(dict.values, self._fields))]
        if len(now) == len(then):
            now = [*itertools.compress(now, map(operator.is_not, now, then))]
        now += _further(self.dicts)
        now += _further(map(dict.values, self.dicts))
        now += _further(self.lists)
        now += _further(self.sets)
        for way, things in self.rarer.items():
            for thing in things:
                now += _in_rarer(thing, way)
        return now

    def _look(self, ahead: list[Any]) -> None:
        """All that is one reference further at a time: most of it is never different, or was seen
        already, and is passed over without a turn of a loop each."""
        seen, ways = self._things, WAYS
        while ahead:
            changing = itertools.compress(ahead, map(ways.__getitem__, map(type, ahead)))
            things = {id(thing): thing for thing in changing}
            fresh: list[list[Any]] = [[] for _ in Way]
            for number, thing in things.items():
                if number not in seen:
                    fresh[ways[type(thing)]].append(thing)
            seen.update(things)
            ahead = [*_further(fresh[TUPLE])]
            if objects := fresh[OBJECT]:
                ahead += _further(map(dict.values, map(_FIELDS, self._open(objects))))
            if dicts := fresh[DICT]:
                self.dicts += dicts
                ahead += _further(dicts)
                ahead += _further(map(dict.values, dicts))
            if lists := fresh[LIST]:
                self.lists += lists
                ahead += _further(lists)
            if sets := fresh[SET]:
                self.sets += sets
                ahead += _further(sets)
            for thing in fresh[LEADS]:
                ahead += LEADS_TO[type(thing)](thing)
            for way in RARER:
                self.rarer[way] += fresh[way]
                for thing in fresh[way]:
                    ahead += _in_rarer(thing, way)

    def _open(self, objects: list[Any]) -> list[Any]:
        """Those that are looked into."""
        found = []
        for thing in objects:
            far = self._known.get(type(thing)) or self._reach(thing)
            if far is Reach.ALL:
                found.append(thing)
            elif far is Reach.EDGE:
                self.edge.append(thing)
        self.objects += found
        return found


class Moment:
    """How everything was when this was made. What was in each thing is in a list beside that of the
    things, and whole lists are kept and put back at a stroke."""

    def __init__(self, world: World, fields: list[dict[str, Any]]) -> None:
        """``fields``: of the world's objects."""
        self._objects = [*world.objects, *world.edge]
        self._fields = [*fields, *map(dict, map(_FIELDS, world.edge))]
        self._dicts, self._sets = world.dicts.copy(), world.sets.copy()
        self._lists, others = world.lists.copy(), world.rarer[Way.OTHER].copy()
        for value in _further(map(dict.values, map(_FIELDS, world.edge))):
            match WAYS[type(value)] if isinstance(value, dict | list | set) else None:
                case Way.DICT:
                    self._dicts.append(value)
                case Way.LIST:
                    self._lists.append(value)
                case Way.SET:
                    self._sets.append(value)
                case Way.OTHER:
                    others.append(value)
        self._in_dicts = list(map(dict.copy, self._dicts))
        self._in_sets = list(map(set.copy, self._sets))
        self._in_lists = list(map(list.copy, self._lists))
        self._others = [(thing, thing.copy()) for thing in others]
        self._structs = [(one, _in_rarer(one, Way.STRUCT)) for one in world.rarer[Way.STRUCT]]
        cells = world.rarer[Way.CELL]
        self._cells = [(cell, value) for cell in cells for value in _in_rarer(cell, Way.CELL)]
        self._sources = [(source, source.getstate()) for source in world.rarer[Way.SOURCE]]
        self._folders = world.folders
        self._files = world.folders.kept() if world.folders is not None else None

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


def _in_rarer(thing: Any, way: Way) -> Iterable[Any]:
    """What it leads to."""
    match way:
        case Way.STRUCT:
            return [getattr(thing, name) for name in thing.__struct_fields__]
        case Way.CELL:
            try:
                return (thing.cell_contents,)
            except ValueError:
                return ()  # of a name that has no value yet
        case Way.OTHER:
            return (*thing, *thing.values()) if isinstance(thing, dict) else thing
        case _:
            return ()


def _each(results: Iterable[None]) -> None:
    """Work that is done for its effects."""
    collections.deque(results, maxlen=0)
