"""Real etcd members on loopback, with TLS: for as long as a block lasts."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from clusterd.calls.tls import Identity, read_identity
from clusterd.certificates import (
    AUTHORITY_FILE,
    NODE_FILE,
    NODE_KEY_FILE,
    Subject,
    issue_node,
    make_authority,
)
from clusterd.stores import EtcdLink
from jobqueue.store.etcd_gateway import Patience
from jobqueue.store.etcd_member import QUOTA_BYTES, EtcdMember, Timing
from jobqueue.store.etcd_wire import StatusAnswer
from tests.ports import free_port
from tests.testbed.processes import has_stopped
from tests.waiting import pause, reactor, run

QUICK = Timing(heartbeat_ms=50, election_ms=500)
START_S = 30.0


class EtcdCluster:
    """Members in one directory. Invariant: ``processes`` holds those that were not ended."""

    def __init__(self, directory: Path, size: int, quota_bytes: int = QUOTA_BYTES) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        now = time.time()
        authority = make_authority("etcd", now)
        subject = Subject(name="n1", addresses=("127.0.0.1",), role="master-candidate")
        pair = issue_node(authority, subject, now)
        (directory / AUTHORITY_FILE).write_bytes(authority.certificate)
        (directory / NODE_FILE).write_bytes(pair.certificate)
        (directory / NODE_KEY_FILE).write_bytes(pair.key)
        ports = iter(free_ports(2 * size))
        self.members = [
            EtcdMember(
                name=f"m{number}",
                host="127.0.0.1",
                client_port=next(ports),
                peer_port=next(ports),
                data=directory / f"m{number}",
                authority=directory / AUTHORITY_FILE,
                certificate=directory / NODE_FILE,
                key=directory / NODE_KEY_FILE,
                timing=QUICK,
                quota_bytes=quota_bytes,
            )
            for number in range(size)
        ]
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def endpoints(self) -> list[str]:
        """Of all members."""
        return [member.client_url for member in self.members]

    def identity(self) -> Identity:
        """Whose certificate everybody shows."""
        return read_identity(self.directory)

    def start(self, member: EtcdMember) -> None:
        """Start it, from what it has on disk or anew."""
        peers = {one.name: one.peer_url for one in self.members}
        with (self.directory / f"{member.name}.log").open("ab") as log:
            self.processes[member.name] = subprocess.Popen(
                member.command(peers, "new", "tests"),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def kill(self, member: EtcdMember) -> None:
        """End it as a power failure of its process would."""
        process = self.processes.pop(member.name)
        process.kill()
        process.wait()

    def freeze(self, member: EtcdMember) -> None:
        """It keeps its connections and answers nothing; every thread of it has stopped."""
        process = self.processes[member.name]
        process.send_signal(signal.SIGSTOP)
        while not has_stopped(process.pid):
            time.sleep(0.001)

    def thaw(self, member: EtcdMember) -> None:
        """It goes on."""
        self.processes[member.name].send_signal(signal.SIGCONT)

    def link(self, patience: Patience | None = None) -> EtcdLink:
        """Connections to it, to be closed by the caller."""
        return EtcdLink(reactor, self.identity, self.endpoints, patience)

    async def ready(self) -> None:
        """Wait until there is a leader and all members follow it."""
        link = self.link()
        try:
            for _ in range(int(START_S / 0.05)):
                found = list((await link.gateway.statuses()).values())
                if all(status is not None and status.leader for status in found):
                    return
                await pause(0.05)
            raise TimeoutError(f"no etcd cluster within {START_S} s, see {self.directory}")
        finally:
            await link.close()

    async def leader(self) -> EtcdMember:
        """Who leads now."""
        link = self.link()
        try:
            found = await link.gateway.statuses()
        finally:
            await link.close()
        leaders = {name for name, status in found.items() if status is not None and _leads(status)}
        return next(member for member in self.members if member.client_url in leaders)

    def end(self) -> None:
        """End all members, by their process numbers."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()
        self.processes.clear()


def _leads(status: StatusAnswer) -> bool:
    return status.leader == status.header.member_id


@contextlib.contextmanager
def etcd_cluster(directory: Path, size: int = 1, **more: Any) -> Iterator[EtcdCluster]:
    """A cluster that answers."""
    cluster = EtcdCluster(directory, size, **more)
    try:
        for member in cluster.members:
            cluster.start(member)
        run(cluster.ready)
        yield cluster
    finally:
        cluster.end()


def free_ports(count: int) -> Sequence[int]:
    """Ports that nobody listens on."""
    return [free_port() for _ in range(count)]
