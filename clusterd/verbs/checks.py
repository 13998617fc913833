"""Looking at a node's health for ``gnt-cluster verify``.

One function a check, all read only: (host, what the master wants to know) -> what was found. A
check that cannot be made answers ``{"error": sentence}`` and does not hide the others. What is
right or wrong is decided on the master.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from clusterd import certificates, names
from clusterd.observation import Observation
from clusterd.verbs.declare import verb
from clusterd.verbs.errors import WrongInput
from clusterd.verbs.host import Host

REACH_TIMEOUT_S = 5.0
MAX_FILE_BYTES = 16 * 1024 * 1024
"""Longer files are not read."""

Check = Callable[[Host, Any], Awaitable[Any]]


@verb(reads=True, deadline_s=120.0)
async def verify(host: Host, checks: dict[str, Any]) -> dict[str, Any]:
    """Name of check -> what was found. Raises WrongInput for a name not in ``CHECKS``."""
    unknown = sorted(set(checks) - set(CHECKS))
    if unknown:
        raise WrongInput(f"no such checks: {', '.join(unknown)}; known are {', '.join(CHECKS)}")
    return {name: await _made(CHECKS[name], host, checks[name]) for name in sorted(checks)}


@verb(reads=True)
async def observe(host: Host) -> Observation:
    """Look now."""
    return await host.sight.look()


async def _made(check: Check, host: Host, wanted: Any) -> Any:
    try:
        return await check(host, wanted)
    # what a check stumbles over is its finding: a node in disorder must be able to say so
    except Exception as problem:  # noqa: BLE001
        return {"error": f"{type(problem).__name__}: {problem}"}


async def _time(host: Host, wanted: Any) -> float:
    """The node's clock, seconds since the epoch."""
    return host.clock.seconds()


async def _version(host: Host, wanted: Any) -> list[Any]:
    """[protocol, product] versions."""
    return [names.PROTOCOL_VERSION, names.PRODUCT_VERSION]


async def _files(host: Host, wanted: Any) -> dict[str, str]:
    """Absolute paths -> SHA-256 of those that are there."""
    return await host.threads.run(file_digests, tuple(map(str, wanted)))


async def _reach(host: Host, wanted: Any) -> dict[str, str]:
    """{"nodes": {name: [addresses]}} -> name: why it cannot be reached where nodes listen, or at
    another "port"."""
    failed: dict[str, str] = {}
    nodes = wanted["nodes"]
    port = wanted.get("port", host.port)
    for name, addresses in sorted(nodes.items()):
        for address in dict.fromkeys(addresses):
            why = await host.reach(address, port, REACH_TIMEOUT_S)
            if why:
                failed[name] = f"no TCP connection to {address} port {port}: {why}"
    return failed


async def _certificates(host: Host, wanted: Any) -> dict[str, float]:
    """File of the state directory -> when its certificate ends, in seconds since the epoch."""
    return await host.threads.run(certificate_ends, host.places.state)


async def _volume_groups(host: Host, wanted: Any) -> dict[str, float]:
    """Volume group -> size in MiB."""
    found = await host.commands.run(
        "vgs", "--noheadings", "--nosuffix", "--units=m", "--separator=|", "-ovg_name,vg_size"
    )
    return parse_volume_groups(found.stdout)


async def _bridges(host: Host, wanted: Any) -> list[str]:
    """Those of the wanted bridges that are missing."""
    found = set(await host.threads.run(bridges, host.places.networks))
    return sorted(set(wanted) - found)


async def _drbd_helper(host: Host, wanted: Any) -> str | None:
    """The kernel module's usermode helper; None while the module is not loaded."""
    return await host.threads.run(_text, host.places.drbd / "parameters" / "usermode_helper")


async def _drbd_version(host: Host, wanted: Any) -> str | None:
    """The kernel module's version; None while it is not loaded."""
    return await host.threads.run(_text, host.places.drbd / "version")


CHECKS: dict[str, Check] = {
    "bridges": _bridges,
    "certificates": _certificates,
    "drbd-helper": _drbd_helper,
    "drbd-version": _drbd_version,
    "filelist": _files,
    "node-net-test": _reach,
    "time": _time,
    "version": _version,
    "vglist": _volume_groups,
}
"""Named as Ganeti's."""


def file_digests(paths: tuple[str, ...]) -> dict[str, str]:
    """Path -> SHA-256 of each that is a readable file of a sane size."""
    found = {}
    for path in sorted(paths):
        file = Path(path)
        try:
            if file.is_file() and file.stat().st_size <= MAX_FILE_BYTES:
                found[path] = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError:
            continue
    return found


def certificate_ends(state: Path) -> dict[str, float]:
    """Of those that are there; one that cannot be read has ended."""
    found = {}
    for name in certificates.WITH_END:
        try:
            found[name] = certificates.describe((state / name).read_bytes()).not_after
        except FileNotFoundError:
            continue
        except certificates.BadCertificate:
            found[name] = 0.0
    return found


def bridges(networks: Path) -> tuple[str, ...]:
    """The bridges of the kernel, sorted."""
    return tuple(sorted(entry.parent.name for entry in networks.glob("*/bridge")))


def parse_volume_groups(text: str) -> dict[str, float]:
    """The report of ``vgs``; lines of another shape are passed over."""
    found = {}
    for line in text.splitlines():
        name, bar, size = line.strip().partition("|")
        if bar and size.replace(".", "", 1).isdigit():
            found[name] = float(size)
    return found


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip()
    except FileNotFoundError:
        return None
