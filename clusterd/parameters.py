"""Parameter families: their defaults, and how given values are checked and merged. Pure.

The values stand in ``clusterd.defaults`` and with the plugins. Levels (cluster, group, OS, object)
store only what differs from the level above.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import msgspec

import hypervisors.plugins
import storage.plugin
from clusterd.defaults import BEPARAMS, NDPARAMS, NICPARAMS
from clusterd.model import Params, ParamValue
from jobqueue.complaint import complaint
from jobqueue.errors import Refused

MAX_NUMBER = 2**31 - 1
"""No parameter counts further; what takes them (QEMU, DRBD, JSON of other programs) may not."""

MAX_TEXT_CHARACTERS = 4096


def hypervisor_defaults(name: str) -> Params:
    """All parameters of a hypervisor with their defaults; empty for one that is not served."""
    return dict(_hypervisor_defaults(name))


def disk_defaults(template: str) -> Params:
    """All parameters of a disk template with their defaults; empty for one that is not served."""
    return dict(_disk_defaults(template))


@cache
def _hypervisor_defaults(name: str) -> Params:
    plugin = hypervisors.plugins.built_in().get(name)
    return plugin.defaults() if plugin is not None else {}


@cache
def _disk_defaults(template: str) -> Params:
    plugin = _plugin(template)
    if plugin is None:
        return {}
    values = msgspec.to_builtins(plugin.parameters())
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _plugin(template: str) -> storage.plugin.Plugin | None:
    found = {str(name): plugin for name, plugin in storage.plugin.built_in().items()}
    return found.get(template)


def hypervisor(name: str, given: Mapping[str, ParamValue | None], base: Params) -> Params:
    """Own hypervisor parameters after setting ``given`` on ``base``."""
    return merged(given, base, hypervisor_defaults(name), f"{name} hypervisor")


def nic(given: Mapping[str, ParamValue | None], base: Params) -> Params:
    """Own network card parameters after setting ``given`` on ``base``."""
    return merged(given, base, NICPARAMS, "network card")


def disk(template: str, given: Mapping[str, ParamValue | None], base: Params) -> Params:
    """Own disk parameters of a template after setting ``given`` on ``base``."""
    own = merged(given, base, disk_defaults(template), f"disk template {template}")
    plugin = _plugin(template)
    if plugin is not None:
        try:
            msgspec.convert({**disk_defaults(template), **own}, plugin.parameters)
        except msgspec.ValidationError as error:
            words = complaint(error, own, plugin.parameters)
            raise Refused(f"Disk template {template}: {words}", "wrong_input") from None
    return own


def node(given: Mapping[str, ParamValue | None], base: Params) -> Params:
    """Own node parameters after setting ``given`` on ``base``."""
    return merged(given, base, NDPARAMS, "node")


def beparams(given: Mapping[str, ParamValue | None], base: Params) -> Params:
    """Own backend parameters after setting ``given`` (None: back to default) on ``base``."""
    given = dict(given)
    if "memory" in given:
        both = given.pop("memory")
        given = {"maxmem": both, "minmem": both, **given}
    own = merged(given, base, BEPARAMS, "backend")
    effective = {**BEPARAMS, **own}
    if int(effective["minmem"]) > int(effective["maxmem"]):
        raise Refused(
            f"Minimum memory ({effective['minmem']}) is higher than maximum memory "
            f"({effective['maxmem']})",
            "wrong_input",
        )
    for key in ("minmem", "maxmem", "vcpus"):
        if int(effective[key]) < 1:
            raise Refused(f"Backend parameter '{key}' must be at least 1", "wrong_input")
    return own


def merged(
    given: Mapping[str, ParamValue | None], base: Params, known: Params, word: str
) -> Params:
    """``base`` with ``given`` set; names and types must be those of ``known``."""
    own = dict(base)
    for key, value in given.items():
        if key not in known:
            raise Refused(f"Unknown {word} parameter '{key}'", "wrong_input")
        if value is None or value == "default":
            own.pop(key, None)
        else:
            own[key] = typed(key, value, known[key], word)
    return own


def typed(key: str, value: ParamValue, like: ParamValue, word: str) -> ParamValue:
    """``value`` as the type of ``like``: command lines give text for everything."""
    if isinstance(like, bool):
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("true", "yes", "1", "false", "no", "0"):
            return str(value).lower() in ("true", "yes", "1")
        raise Refused(f"{word} parameter '{key}': '{value}' is not a boolean", "wrong_input")
    if isinstance(like, int | float):
        try:
            number = type(like)(value)
        except (ValueError, OverflowError):
            raise Refused(
                f"{word} parameter '{key}': '{value}' is not a number", "wrong_input"
            ) from None
        if not -MAX_NUMBER <= number <= MAX_NUMBER:
            raise Refused(
                f"{word} parameter '{key}': the number must be between -{MAX_NUMBER} and "
                f"{MAX_NUMBER}",
                "wrong_input",
            )
        return number
    text = str(value)
    if len(text) > MAX_TEXT_CHARACTERS or not text.isprintable():
        raise Refused(
            f"{word} parameter '{key}': the value must be printable text of at most "
            f"{MAX_TEXT_CHARACTERS} characters",
            "wrong_input",
        )
    return text


def is_directory_path(path: str) -> bool:
    """Whether a path is absolute, leads nowhere else on its way, and is not the root."""
    return path.startswith("/") and ".." not in path.split("/") and path.rstrip("/") != ""
