"""Ganeti's composite option values: node pairs, disks, network cards, hypervisors, modifications.

Decided here: text (or texts) to the opcode's plain JSON. Which option uses which reader is a row of
``compatibility``. Sizes are in MiB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cli.exits import WrongInput
from cli.notation import (
    BadText,
    Value,
    identified,
    integer,
    number,
    pairs,
    size_mib,
    time_s,
    typed,
)

SIZES: dict[str, Callable[[str], Any]] = dict.fromkeys(("maxmem", "minmem", "memory"), size_mib)
"""Backend parameters that have units. All other parameters are sent as text: whoever declares
them knows their type."""

PRIORITIES = {"highest": -20, "high": -10, "normal": 0, "low": 10, "lowest": 19}

ACTIONS = ("add", "attach", "remove", "detach", "modify")


def priority(text: str) -> int:
    """``high``, or a number; what is out of range the master refuses."""
    return PRIORITIES[text] if text in PRIORITIES else integer(text)


def time_or_never(text: str) -> int:
    """``6h`` in seconds; ``never`` is 0."""
    return 0 if text == "never" else time_s(text)


def request_name(text: str) -> str:
    """What a request is called; a script whose variable is empty wants to be told."""
    if not text.strip():
        raise BadText("the name of a request cannot be empty")
    return text


def backend(text: str) -> dict[str, Any]:
    """Backend parameters; memory in MiB."""
    return typed(pairs(text), SIZES)


def params(text: str) -> dict[str, Any]:
    """``k=v,...``; ``default`` is null."""
    return typed(pairs(text), {})


def texts(text: str) -> dict[str, Any]:
    """``k=text,...``, each as it stands."""
    return {key: str(value) for key, value in pairs(text).items()}


def texts_or_null(text: str) -> dict[str, Any]:
    """The same; an empty text is null."""
    return {key: value or None for key, value in texts(text).items()}


def file_text(path: str) -> str:
    """What is in a file of the operator's."""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongInput(f"{path} cannot be read: {error}") from None


def file_words(path: str) -> list[str]:
    """The words of a file of the operator's; ``-`` is standard input."""
    return file_text("/dev/stdin" if path == "-" else path).split()


def ssh_keys(texts: Sequence[str]) -> list[str]:
    """Public keys: each text is one, or a file with one a line."""
    found = []
    for text in texts:
        lines = [text] if " " in text.strip() else file_text(text).splitlines()
        found += [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return found


def nested_params(texts: Sequence[str]) -> dict[str, Any]:
    """Repeated ``NAME:k=v,...``."""
    found: dict[str, Any] = {}
    for text in texts:
        name, values = _named(text)
        found.setdefault(name, {}).update(typed(values, {}))
    return found


def disk_states(texts: Sequence[str]) -> dict[str, Any]:
    """Repeated ``TEMPLATE/GROUP:k=v,...``."""
    found: dict[str, Any] = {}
    for name, values in nested_params(texts).items():
        template, slash, group = name.partition("/")
        if not slash or not group:
            raise BadText(f"'{name}' is not of the form TEMPLATE/GROUP, such as plain/xenvg")
        found.setdefault(template, {})[group] = values
    return found


def os_params(text: str) -> dict[str, Any]:
    """Parameters of an OS definition: texts, or null for the default."""
    found = pairs(text)
    return {
        key: value if value is None or isinstance(value, str) else str(value).lower()
        for key, value in found.items()
    }


def _named(text: str) -> tuple[str, dict[str, Value]]:
    name, values = identified(text)
    if not isinstance(values, dict):
        raise BadText(f"'{text}' is not of the form NAME:KEY=VALUE,...")
    return name, values


def node_pair(text: str) -> dict[str, str]:
    """``n1:n2`` -> primary and secondary node."""
    primary, colon, secondary = text.partition(":")
    if not primary or (colon and not secondary):
        raise BadText(f"'{text}' is not of the form NODE or PRIMARY:SECONDARY")
    return {"pnode": primary, "snode": secondary} if colon else {"pnode": primary}


def hypervisor(text: str) -> dict[str, Any]:
    """``kvm:acpi=false`` -> hypervisor and its parameters."""
    name, values = _named(text)
    return {"hypervisor": name, "hvparams": typed(values, {})}


def sequence(what: str) -> Callable[[Sequence[str]], list[tuple[int, dict[str, Value]]]]:
    """A reader of repeated ``INDEX:k=v,...`` for new disks and cards."""

    def read(texts: Sequence[str]) -> list[tuple[int, dict[str, Value]]]:
        found = []
        for text in texts:
            name, values = _named(text)
            if not name.isdecimal():
                raise BadText(f"'{text}': '{name}' is not the index of a {what}")
            found.append((int(name), values))
        return found

    return read


def modifications(texts: Sequence[str]) -> list[list[Any]]:
    """``add:size=1g``, ``0:mode=ro``, ``-1:remove`` -> [[action, identifier, parameters], ...]."""
    return [_modification(text) for text in texts]


def _modification(text: str) -> list[Any]:
    name, values = identified(text)
    if not isinstance(values, dict):
        raise BadText(f"'{text}' says neither what to change nor how")
    if name in ACTIONS[:4]:
        action, identifier = name, -1
    else:
        named = [key for key in ACTIONS if key in values]
        if len(named) > 1:
            raise BadText(f"'{text}': {' and '.join(named)} exclude each other")
        action = named[0] if named else "modify"
        values.pop(action, None)
        identifier = _identifier(name)
    if action in ("remove", "detach") and values:
        raise BadText(f"'{text}': {action} takes no parameters")
    return [action, identifier, dict(values)]


def _identifier(name: str) -> Any:
    try:
        return int(name)
    except ValueError:
        return name


def disk_modifications(texts: Sequence[str]) -> list[list[Any]]:
    """Modifications of disks, sizes in MiB."""
    found = modifications(texts)
    for action, identifier, values in found:
        if "size" in values:
            values["size"] = size_mib(str(values["size"]))
        elif action == "add" and "adopt" not in values:
            raise BadText(f"a new disk needs size=SIZE or adopt=NAME (disk {identifier})")
    return found


def list_changes(text: str) -> list[list[str]]:
    """``+a,-b`` or plain names: [[add or remove, name], ...]."""
    found = []
    for name in text.split(","):
        action = "remove" if name.startswith("-") else "add"
        bare = name.lstrip("+-")
        if bare:
            found.append([action, bare])
    return found


_SPEC_SIZES = frozenset({"memory-size", "disk-size"})
_SPECS = _SPEC_SIZES | {"cpu-count", "disk-count", "nic-count", "spindle-use"}


def policy_specs(text: str) -> dict[str, int]:
    """``memory-size=1g,cpu-count=2`` in MiB and whole numbers."""
    found = {}
    for key, value in pairs(text, prefixes=False).items():
        if key not in _SPECS:
            raise BadText(f"'{key}' is no part of a policy; known are {', '.join(sorted(_SPECS))}")
        found[key] = (size_mib if key in _SPEC_SIZES else integer)(str(value))
    return found


def policy_bounds(text: str) -> list[dict[str, dict[str, int]]]:
    """``min:k=v,.../max:k=v,...``, alternatives between ``//``."""
    found = []
    for alternative in text.split("//"):
        sides: dict[str, dict[str, int]] = {}
        for part in alternative.split("/"):
            name, colon, rest = part.partition(":")
            if name not in ("min", "max") or not colon or name in sides:
                raise BadText(f"'{alternative}' is not of the form min:KEY=N,.../max:KEY=N,...")
            sides[name] = policy_specs(rest)
        if len(sides) != 2:
            raise BadText(f"'{alternative}' needs both min and max")
        found.append(sides)
    return found


def policy_ratio(text: str) -> float:
    """A positive number."""
    ratio = number(text)
    if ratio <= 0:
        raise BadText(f"'{text}' is not a positive number")
    return ratio
