"""Verbs that make a node a candidate for the mastership, or take that away from it.

Half done is finished: each verb describes the end that is to be reached. Files first, the settings
after them, daemons last; the other way round when a role is taken away.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import msgspec

from clusterd import certificates, names
from clusterd.durable import make_directory, write_durable
from clusterd.errors import ClusterError
from clusterd.master_address import MasterAddress
from clusterd.settings import ROOT_VARIABLE, Settings
from clusterd.store_members import BEGIN_FILE, Member, write_members
from clusterd.verbs.declare import verb
from clusterd.verbs.host import Host

MASTER, RAPI, STORE = "clusterd-master", "clusterd-rapi", "clusterd-store"
START_S = 90.0
USERS_FILE = "rapi/users"
CANDIDATE_FILES = (
    certificates.AUTHORITY_KEY_FILE,
    certificates.NEXT_AUTHORITY_KEY_FILE,
    certificates.NEXT_AUTHORITY_FILE,
    certificates.STORE_AUTHORITY_KEY_FILE,
    certificates.STORE_KEY_FILE,
    certificates.STORE_FILE,
    certificates.STORE_AUTHORITY_FILE,
    certificates.RAPI_FILE,
    USERS_FILE,
    "store-members",
)
"""What only candidates have; secrets go first."""

FOR_RAPI = (certificates.RAPI_FILE, certificates.AUTHORITY_FILE, USERS_FILE)
"""Read by the remote API, which runs as a user of its own."""


class NotStarted(ClusterError):
    """A daemon of this node does not start."""

    code = "not_started"
    retryable = True


@verb(subject="role")
async def equip(host: Host, role: str, engine: str, files: dict[str, bytes]) -> None:
    """The node has these files and runs the daemons of ``role``: ``node``, ``master-candidate``.

    The files replace those of the same names; what only candidates have is taken from others.
    """
    candidate = role == certificates.MASTER_CANDIDATE
    if not candidate:
        for daemon in (RAPI, MASTER):
            await _daemon(host, daemon, "--stop")
    await host.threads.run(_place, host.places.state, files)
    await host.threads.run(_settle, host, role, engine)
    if not candidate:
        await host.threads.run(_remove, [host.places.state / name for name in CANDIDATE_FILES])
    elif engine == "etcd":
        for daemon in (MASTER, RAPI):
            await _daemon(host, daemon, "--start")


@verb(subject="store")
async def store_begin(host: Host, begin: bytes) -> None:
    """The node runs a member of the store; ``begin`` counts only while it has no data."""
    state = host.places.state
    await host.threads.run(_begin, state, begin)
    await _daemon(host, STORE, "--start")


@verb(subject="store")
async def store_end(host: Host) -> None:
    """The node runs no member of the store, and its data are gone."""
    await _daemon(host, STORE, "--stop")
    await host.threads.run(_forget_store, host.places.state)


@verb(subject="store")
async def store_members(host: Host, members: tuple[Member, ...]) -> None:
    """Where the store is, for the daemons here."""
    await host.threads.run(write_members, host.places.state / "store-members", members)


@verb(subject="address")
async def drop_address(host: Host, address: MasterAddress) -> None:
    """The cluster's address does not lead here: another node is master."""
    if address.ip:
        width = f"{address.ip}/{address.netmask}"
        await host.commands.run(
            "ip", "address", "del", width, "dev", address.netdev, timeout_s=10.0, check=False
        )


async def _daemon(host: Host, daemon: str, option: str) -> None:
    program = str(host.places.programs / daemon)
    root = f"{ROOT_VARIABLE}={host.places.prefix}"
    ended = await host.commands.run(
        "/usr/bin/env", root, program, option, timeout_s=START_S, check=False
    )
    if ended.code:
        said = (ended.stderr or ended.stdout).strip()[-500:]
        raise NotStarted(f"{daemon} {option} on {host.name}: {said or ended.code}", subject=daemon)


def _place(state: Path, files: dict[str, bytes]) -> None:
    for name in sorted(files):
        path = state / name
        if path.parent != state:
            make_directory(path.parent, 0o750)
        write_durable(path, files[name], 0o640 if name in FOR_RAPI else 0o600)
        if name in FOR_RAPI:
            for one in {path, path.parent} - {state}:
                # without that user the remote API runs as whoever starts it
                with contextlib.suppress(LookupError, PermissionError):
                    shutil.chown(one, group="clusterd-rapi")


def _settle(host: Host, role: str, engine: str) -> None:
    """The settings say which role this machine has; where there are none, nobody asks."""
    path = host.places.config / names.SETTINGS_FILE
    if not path.exists():
        return
    found = Settings.load(path)
    settled = msgspec.structs.replace(
        found,
        node=msgspec.structs.replace(found.node, role=role),
        store=msgspec.structs.replace(found.store, engine=engine),
    )
    write_durable(path, settled.to_toml().encode(), 0o644)


def _begin(state: Path, begin: bytes) -> None:
    write_durable(state / BEGIN_FILE, begin)
    make_directory(state / "etcd", 0o700)


def _forget_store(state: Path) -> None:
    (state / BEGIN_FILE).unlink(missing_ok=True)
    shutil.rmtree(state / "etcd", ignore_errors=True)


def _remove(files: list[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
