"""Which calls exist, how they are spelled and checked: all of it read off the declarations.

Each call is written once, as an abstract method of ``storage.interface.Backend`` or
``hypervisors.interface.Driver`` or as a function marked with ``clusterd.verbs.declare.verb``. From
its signature come the path (``storage.drbd.ensure``), the strict decoding of arguments and result
on both sides, and the proxies. Decided here beside that: which plugin verbs only read, on which
thing the others work one at a time, and how long a caller waits.
"""

from __future__ import annotations

import abc
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_type_hints

import msgspec

from clusterd import verbs
from clusterd.errors import ClusterError
from clusterd.verbs.declare import (
    CHANGE_DEADLINE_S,
    DAY_S,
    LOOK_DEADLINE_S,
    READ_DEADLINE_S,
    Declared,
)
from hypervisors.interface import Driver
from storage.interface import Backend

INTERFACES: dict[str, type[abc.ABC]] = {"storage": Backend, "hypervisor": Driver}
NODE_FAMILY = "node"
MAX_KNOWN = 1000
"""Paths whose verb is remembered."""

READS: dict[str, frozenset[str]] = {
    "storage": frozenset({"look", "list", "capacity"}),
    "hypervisor": frozenset({"migration", "look", "list", "hardware", "validate", "console"}),
}
"""Verbs that change nothing: they run beside others, and their answers are not remembered."""

LONG: dict[str, frozenset[str]] = {
    "storage": frozenset({"fill", "flatten", "forget_snapshot", "revert", "still"}),
    "hypervisor": frozenset(),
}
"""Verbs that copy as much as there is."""

SUBJECTS: dict[str, tuple[str, str]] = {
    "volume": ("volume", "uuid"),
    "guest": ("guest", "name"),
    "name": ("guest", ""),
}
"""Parameter of a changing plugin verb -> kind of the thing, and the field that names it."""


class UnknownVerb(ClusterError):
    """There is no such call."""

    code = "unknown_verb"


class BadCall(ClusterError):
    """The arguments of a call are not what its declaration says."""

    code = "bad_call"


class Verb(msgspec.Struct, frozen=True, kw_only=True):
    """One call. ``family`` is storage, hypervisor or node."""

    family: str
    name: str
    function: Callable[..., Any]
    signature: inspect.Signature
    """Without what is not sent: the receiver and the voice."""
    by_place: tuple[str, ...]
    """Parameters that may be given without their names, in order."""
    needed: frozenset[str]
    """Parameters without a default."""
    arguments: type[msgspec.Struct]
    result: Any
    read_arguments: Callable[[msgspec.Raw], msgspec.Struct]
    read_result: Callable[[msgspec.Raw], Any]
    reads: bool
    observed: bool
    deadline_s: float
    subject_kind: str = ""
    subject_path: tuple[str, ...] = ()
    speaks: bool = False
    """Takes ``say``, a function for lines of progress."""

    def path(self, plugin: str = "") -> str:
        """How it is spelled on the wire."""
        return f"{self.family}.{plugin}.{self.name}" if plugin else f"{self.family}.{self.name}"

    def encode(self, *args: Any, **kwargs: Any) -> msgspec.Raw:
        """The arguments of a call as they are sent; TypeError as for a wrong Python call."""
        given = dict(zip(self.by_place, args, strict=False))
        given.update(kwargs)
        whole = len(given) == len(args) + len(kwargs) and self.needed <= given.keys()
        if whole and (not kwargs or given.keys() <= self.signature.parameters.keys()):
            if kwargs:
                given = {name: given[name] for name in self.signature.parameters if name in given}
        else:  # a wrong call: it says how
            given = self.signature.bind(*args, **kwargs).arguments
        return msgspec.Raw(_ENCODE(given))

    def decode(self, args: msgspec.Raw) -> dict[str, Any]:
        """The arguments again, checked against the declaration; raises BadCall."""
        try:
            decoded = self.read_arguments(args)
        except msgspec.DecodeError as error:
            raise BadCall(f"call '{self.family}.{self.name}': {error}") from None
        return msgspec.structs.asdict(decoded)

    def subject(self, arguments: Mapping[str, Any]) -> str:
        """The thing that only one call may change at a time, ``volume:<uuid>``; else empty."""
        if not self.subject_path:
            return self.subject_kind
        value: Any = arguments[self.subject_path[0]]
        for name in self.subject_path[1:]:
            value = getattr(value, name)
        return f"{self.subject_kind}:{value}"


class Surface:
    """All calls of a version. Invariant: a path means one verb."""

    def __init__(self, node_functions: Mapping[str, Callable[..., Any]] | None = None) -> None:
        functions = found_functions() if node_functions is None else node_functions
        self._families: dict[str, dict[str, Verb]] = {
            family: dict(_plugin_verbs(family, interface))
            for family, interface in INTERFACES.items()
        }
        self._families[NODE_FAMILY] = {
            name: _node_verb(function) for name, function in sorted(functions.items())
        }
        self._known = functools.lru_cache(MAX_KNOWN)(self._find)

    def family(self, family: str) -> Mapping[str, Verb]:
        """The verbs of one family by name."""
        return self._families[family]

    def find(self, path: str) -> tuple[Verb, str]:
        """The verb of a path and the plugin it is for, empty for the node's; UnknownVerb."""
        return self._known(path)

    def _find(self, path: str) -> tuple[Verb, str]:
        family, *middle = path.split(".")
        name = middle.pop() if middle else ""
        verb = self._families.get(family, {}).get(name)
        if verb is None or len(middle) != (family != NODE_FAMILY):
            raise UnknownVerb(f"there is no call '{path}'; install the same version everywhere")
        return verb, middle[0] if middle else ""

    def paths(self) -> tuple[str, ...]:
        """All, ``*`` for any plugin."""
        return tuple(
            verb.path("" if family == NODE_FAMILY else "*")
            for family, found in sorted(self._families.items())
            for _, verb in sorted(found.items())
        )


def found_functions() -> dict[str, Callable[..., Any]]:
    """The marked functions of all modules in ``clusterd.verbs``, by name."""
    found: dict[str, Callable[..., Any]] = {}
    for module in sorted(entry.name for entry in pkgutil.iter_modules(verbs.__path__)):
        loaded = importlib.import_module(f"{verbs.__name__}.{module}")
        for name, value in vars(loaded).items():
            if getattr(value, "__module__", "") != loaded.__name__:
                continue
            if isinstance(getattr(value, "declared", None), Declared):
                if name in found:
                    raise TypeError(f"two modules declare the verb '{name}'")
                found[name] = value
    return found


def decode_result(verb: Verb, value: msgspec.Raw) -> Any:
    """The result of a call, checked against its declaration; raises BadCall."""
    try:
        return verb.read_result(value)
    except msgspec.DecodeError as error:
        raise BadCall(f"answer to '{verb.family}.{verb.name}': {error}") from None


def abstract_names(interface: type[abc.ABC]) -> tuple[str, ...]:
    """The verbs of a plugin interface, in the order of their declaration."""
    return tuple(name for name in vars(interface) if name in interface.__abstractmethods__)


NOBODY: tuple[str, ...] = ()
_ENCODE = msgspec.msgpack.Encoder().encode


def _plugin_verbs(family: str, interface: type[abc.ABC]) -> Iterator[tuple[str, Verb]]:
    for name in abstract_names(interface):
        reads = name in READS[family]
        function = getattr(interface, name)
        signature = inspect.signature(function)
        kind, path = "", NOBODY
        if not reads:
            kind, path = _plugin_subject(family, name, tuple(signature.parameters))
        yield (
            name,
            _verb(
                family,
                function,
                Declared(
                    reads=reads,
                    subject=kind,
                    named_by=path,
                    observed=not reads,
                    deadline_s=_plugin_deadline_s(family, name),
                ),
            ),
        )


def _plugin_deadline_s(family: str, name: str) -> float:
    if name in LONG[family]:
        return DAY_S
    if name not in READS[family]:
        return CHANGE_DEADLINE_S
    return LOOK_DEADLINE_S if family == "storage" else READ_DEADLINE_S


def _plugin_subject(
    family: str, name: str, parameters: tuple[str, ...]
) -> tuple[str, tuple[str, ...]]:
    for parameter in parameters:
        if parameter in SUBJECTS:
            kind, field = SUBJECTS[parameter]
            return kind, (parameter, field) if field else (parameter,)
    raise TypeError(f"'{family}.{name}' changes something, but none of its parameters says what")


def _node_verb(function: Callable[..., Any]) -> Verb:
    declared = getattr(function, "declared", None)
    if not isinstance(declared, Declared):
        raise TypeError(f"{function!r} is not marked as a verb")
    return _verb(NODE_FAMILY, function, declared)


def _verb(family: str, function: Callable[..., Any], declared: Declared) -> Verb:
    hints = get_type_hints(function)
    _receiver, *parameters = inspect.signature(function).parameters.values()
    speaks = any(parameter.name == "say" for parameter in parameters)
    sent = [parameter for parameter in parameters if parameter.name != "say"]
    fields = [
        (parameter.name, hints[parameter.name])
        if parameter.default is parameter.empty
        else (parameter.name, hints[parameter.name], parameter.default)
        for parameter in sent
    ]
    arguments = msgspec.defstruct(
        f"{family}_{function.__name__}", fields, kw_only=True, forbid_unknown_fields=True
    )
    return Verb(
        family=family,
        name=function.__name__,
        function=function,
        signature=inspect.Signature(sent),
        by_place=tuple(one.name for one in sent if one.kind is not one.KEYWORD_ONLY),
        needed=frozenset(one.name for one in sent if one.default is one.empty),
        arguments=arguments,
        result=hints["return"],
        read_arguments=msgspec.msgpack.Decoder(arguments).decode,
        read_result=msgspec.msgpack.Decoder(hints["return"]).decode,
        reads=declared.reads,
        observed=declared.observed,
        deadline_s=declared.deadline_s,
        subject_kind=declared.subject,
        subject_path=declared.named_by,
        speaks=speaks,
    )
