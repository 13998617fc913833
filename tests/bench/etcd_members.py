"""A cluster's etcd of one member, grown to three on loopback: what figures over etcd are taken on.

The two further members are started by hand here, as the nodes that would run them are pretended.
"""

from __future__ import annotations

import contextlib
import http.client
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from clusterd import certificates
from clusterd.certificates import MASTER_CANDIDATE, Subject
from clusterd.settings import Settings
from clusterd.store_members import Member, read_members, write_members
from jobqueue.store.etcd_member import EtcdMember
from jobqueue.store.etcd_wire import data_key
from tests.ports import free_port

MEMBERS = 3
PATIENCE_S = 30.0
PUTS_AT_ONCE = 100


class Members:
    """The members beside the cluster's own. Use ``grow``, and ``end`` when done."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._processes: list[subprocess.Popen[bytes]] = []

    def grow(self) -> None:
        """From one member to three, all of which have a vote."""
        state = self._settings.state_directory
        authority = certificates.read_store_authority(state)
        for number in range(2, MEMBERS + 1):
            name = f"further{number}"
            directory = self._settings.state_directory / name
            directory.mkdir()
            subject = Subject(name=name, addresses=("127.0.0.1",), role=MASTER_CANDIDATE)
            files = certificates.store_files(authority, subject, time.time())
            for file, content in files.items():
                (directory / file).write_bytes(content)
            self._join(name, directory)

    def _join(self, name: str, directory: Path) -> None:
        present = read_members(self._settings.members_path)
        new = Member(name=name, address="127.0.0.1", client_port=free_port(), peer_port=free_port())
        self._until(lambda: ask(self._settings, "cluster/member/add", {"peerURLs": [new.peer_url]}))
        member = EtcdMember(
            name=name,
            host=new.address,
            client_port=new.client_port,
            peer_port=new.peer_port,
            data=directory / "data",
            authority=directory / certificates.STORE_AUTHORITY_FILE,
            certificate=directory / certificates.STORE_FILE,
            key=directory / certificates.STORE_KEY_FILE,
        )
        peers = {one.name: one.peer_url for one in (*present, new)}
        with (directory / "log").open("wb") as log:
            words = member.command(peers, "existing", self._settings.cluster.uuid)
            self._processes.append(subprocess.Popen(words, stdout=log, stderr=log))
        self._until(lambda: self._led(new))
        write_members(self._settings.members_path, (*present, new))

    def _led(self, member: Member) -> None:
        if not ask(self._settings, "maintenance/status", {}, member).get("leader"):
            raise OSError("it sees no leader")

    def _until(self, act: Any) -> None:
        """Members take a while to find each other."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                act()
            except (OSError, http.client.HTTPException):
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
            else:
                return

    def end(self) -> None:
        """By their process numbers."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()


@contextlib.contextmanager
def three_members(settings: Settings) -> Iterator[None]:
    """The store has three members as long as the block lasts."""
    members = Members(settings)
    try:
        members.grow()
        yield
    finally:
        members.end()


def put(settings: Settings, pairs: Sequence[tuple[str, bytes]]) -> None:
    """Write keys while the master does not run."""
    for start in range(0, len(pairs), PUTS_AT_ONCE):
        some = pairs[start : start + PUTS_AT_ONCE]
        puts = [{"request_put": {"key": data_key(key), "value": value}} for key, value in some]
        ask(settings, "kv/txn", {"success": puts})


def ask(
    settings: Settings, path: str, message: dict[str, Any], member: Member | None = None
) -> dict[str, Any]:
    """What one member answers; raises OSError when it does not, or says no."""
    state = settings.state_directory
    asked = member or read_members(settings.members_path)[0]
    context = ssl.create_default_context(cafile=str(state / certificates.STORE_AUTHORITY_FILE))
    context.load_cert_chain(state / certificates.STORE_FILE, state / certificates.STORE_KEY_FILE)
    link = http.client.HTTPSConnection(
        asked.address, asked.client_port, timeout=PATIENCE_S, context=context
    )
    try:
        link.request("POST", f"/v3/{path}", msgspec.json.encode(message))
        response = link.getresponse()
        text = response.read()
    finally:
        link.close()
    if response.status != 200:
        raise OSError(text.decode())
    return dict(msgspec.json.decode(text))
