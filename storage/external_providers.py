"""Ganeti's ext-storage providers: finding them, judging whether they can be used, and what their
``attach`` says. Reads files, runs nothing.

A provider is a directory with executable scripts and a list of the parameters that it takes. A
broken provider is reported with the reason and hides no other.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import msgspec

from storage import site_directories
from storage.errors import BadParameter
from storage.site_directories import check_script, described
from storage.volume import NetworkSource

REQUIRED = ("create", "attach", "detach", "remove", "grow", "setinfo", "verify")
OPTIONAL = ("snapshot", "open", "close")
PARAMETERS_FILE = "parameters.list"
HYPERVISOR = re.compile(r"[a-z][a-z-]*\Z")
Spoken = Literal["gluster", "iscsi", "nbd"]
PORTS: dict[Spoken, int] = {"gluster": 24007, "iscsi": 3260, "nbd": 10809}


class ProviderFound(msgspec.Struct, frozen=True, kw_only=True):
    """One provider on a node."""

    name: str
    path: str
    valid: bool
    message: str = ""
    """What is wrong with it."""
    parameters: tuple[tuple[str, str], ...] = ()
    """(name, description)"""
    optional: tuple[str, ...] = ()
    """Those scripts that it has beside the required ones."""


class Attached(msgspec.Struct, frozen=True, kw_only=True):
    """What ``attach`` says of a volume."""

    device: str = ""
    """Block device; empty where there are only addresses for hypervisors."""
    addresses: dict[str, str] = {}
    """Hypervisor -> how its guests reach the volume by themselves."""


def find_all(directories: tuple[Path, ...]) -> tuple[ProviderFound, ...]:
    """All providers, sorted by name."""
    return tuple(judge(place) for place in site_directories.places(directories))


def find(directories: tuple[Path, ...], name: str) -> ProviderFound | None:
    """The provider of this name, or None."""
    place = site_directories.place(directories, name)
    return None if place is None else judge(place)


def judge(place: Path) -> ProviderFound:
    """What lies in one directory."""
    try:
        for script in REQUIRED:
            check_script(place / script)
        there = tuple(script for script in OPTIONAL if (place / script).exists())
        for script in there:
            check_script(place / script)
        parameters = described(place / PARAMETERS_FILE)
    except (OSError, ValueError) as problem:
        return ProviderFound(name=place.name, path=str(place), valid=False, message=str(problem))
    return ProviderFound(
        name=place.name, path=str(place), valid=True, parameters=parameters, optional=there
    )


def parse_attached(said: str) -> Attached:
    """The first line is a device or empty, each further one ``HYPERVISOR:ADDRESS``."""
    device, *others = [line.strip() for line in said.splitlines()] or [""]
    pairs = (line.partition(":") for line in others if line)
    return Attached(
        device=device,
        addresses={name: address for name, _, address in pairs if HYPERVISOR.match(name)},
    )


def parse_address(address: str) -> NetworkSource:
    """How a guest reaches what QEMU calls so. Raises BadParameter for what nobody understands."""
    found = _rbd(address) or _old_nbd(address) or _address(address)
    if found is None:
        raise BadParameter(
            f"the provider's address '{address}' is none that guests can be given: use rbd:, "
            "nbd:, nbd://, nbd+unix://, gluster:// or iscsi://",
            subject=address,
        )
    return found


def _rbd(address: str) -> NetworkSource | None:
    """``rbd:pool/image[:key=value]...``"""
    if not address.startswith("rbd:"):
        return None
    name, *options = address.removeprefix("rbd:").split(":")
    given = dict(option.partition("=")[::2] for option in options)
    return NetworkSource(
        protocol="rbd",
        name=name,
        config=given.get("conf", ""),
        user=given.get("id", ""),
        keyring=given.get("keyring", ""),
    )


def _old_nbd(address: str) -> NetworkSource | None:
    """``nbd:unix:PATH[:exportname=NAME]`` and ``nbd:HOST:PORT[:exportname=NAME]``"""
    if not address.startswith("nbd:") or address.startswith("nbd://"):
        return None
    place, _, export = address.removeprefix("nbd:").partition(":exportname=")
    host, _, rest = place.partition(":")
    if host == "unix":
        return NetworkSource(protocol="nbd", name=export, socket=rest)
    port = int(rest) if rest.isdecimal() else PORTS["nbd"]
    return NetworkSource(protocol="nbd", name=export, hosts=((host, port),))


def _address(address: str) -> NetworkSource | None:
    try:
        parts = urlsplit(address)
        spoken, port = parts.scheme.partition("+")[0], parts.port
    except ValueError:
        return None
    scheme = next((one for one in PORTS if one == spoken), None)
    if scheme is None:
        return None
    name = parts.path.removeprefix("/")
    sockets = parse_qs(parts.query).get("socket")
    if parts.scheme.endswith("+unix") and sockets:
        return NetworkSource(protocol=scheme, name=name, socket=sockets[0])
    if not parts.hostname:
        return None
    return NetworkSource(
        protocol=scheme, name=name, hosts=((parts.hostname, port or PORTS[scheme]),)
    )
