"""Three master candidates as processes of this machine: each below a prefix, at an address of its
own on loopback, with the real daemons and a real etcd of three members.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec

from clusterd import certificates
from clusterd.certificates import Subject
from clusterd.pidfile import holder
from clusterd.settings import (
    DAEMONS,
    HypervisorsSection,
    NodeSection,
    RapiSection,
    Settings,
    StoreSection,
)
from tests.ports import free_port

PROGRAMS = Path(sys.executable).parent
PATIENCE_S = 60.0
USERS = "jack secret write\n"


class Host:
    """One machine: a prefix and a loopback address."""

    def __init__(self, number: int, root: Path, ports: tuple[int, int, int, int]) -> None:
        node, rapi, client, peer = ports
        self.name = f"n{number}.example.com"
        self.address = f"127.0.0.{number}"
        self.root = root
        self.own = Settings(
            node=NodeSection(port=node, bind_address=self.address),
            rapi=RapiSection(port=rapi, bind_address=self.address),
            store=StoreSection(client_port=client, peer_port=peer),
            # a node that also offers kvm would say that it has no memory where libvirt is missing
            hypervisors=HypervisorsSection(offered=("memory",)),
            root=str(root),
        )
        self.own.path.parent.mkdir(parents=True)
        self.own.path.write_text(self.own.to_toml())

    def run(self, *words: str, code: int | None = 0) -> str:
        """A command of the operator; what it says."""
        done = subprocess.run(
            [str(PROGRAMS / words[0]), *words[1:]],
            env={**os.environ, "CLUSTERD_ROOT": str(self.root), "CLUSTERD_HOSTNAME": self.name},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )
        assert code in (None, done.returncode), f"{words}: {done.returncode}: {done.stdout}"
        return done.stdout

    def power_off(self) -> None:
        """Everything that runs here dies at once; etcd with the daemon that runs it."""
        for daemon in DAEMONS:
            pid = holder(self.own.pid_path(daemon))
            if pid is not None:
                os.kill(pid, signal.SIGKILL)

    def be_joined(self, master: Host) -> None:
        """What ``gnt-node add`` does over SSH."""
        state = self.own.state_directory
        state.mkdir(parents=True, exist_ok=True)
        authority = certificates.read_authority(master.own.state_directory)
        subject = Subject(name=self.name, addresses=(self.address,))
        certificates.write_node(state, certificates.issue_node(authority, subject, time.time()))
        (state / certificates.AUTHORITY_FILE).write_bytes(authority.certificate)
        founded = Settings.load(master.own.path)
        joined = msgspec.structs.replace(
            self.own,
            cluster=founded.cluster,
            storage=founded.storage,
            node=NodeSection(
                name=self.name,
                primary_ip=self.address,
                secondary_ip=self.address,
                port=self.own.node.port,
                bind_address=self.address,
            ),
        )
        joined.path.write_text(joined.to_toml())
        self.run("clusterd-node", "--start")
        address = f"--primary-ip={self.address}"
        master.run("gnt-node", "add", "--no-node-setup", address, self.name)

    def ask(self, path: str, body: object = None, timeout_s: float = 5.0) -> object:
        """The remote API of this host, believing only the cluster's own authority."""
        tls = ssl.create_default_context(cafile=str(self.own.state_directory / "ca.pem"))
        request = urllib.request.Request(
            f"https://{self.address}:{self.own.rapi.port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": "Basic amFjazpzZWNyZXQ=",
                "Content-Type": "application/json",
            },
        )
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)
        )
        try:
            with opener.open(request, timeout=timeout_s) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            raise

    def statuses(self) -> dict[str, str]:
        rows = self.run("gnt-job", "list", "--no-headers", "--separator=|", "-o", "id,status")
        return dict(row.split("|") for row in rows.split())

    def members(self) -> list[str]:
        known = json.loads((self.own.state_directory / "store-members").read_bytes())
        return sorted(one["name"] for one in known)


@contextlib.contextmanager
def machines(
    directory: Path,
    count: int,
    *,
    store: str,
    templates: str = "diskless",
    file_directory: str = "",
) -> Iterator[list[Host]]:
    """Candidates, joined and ready, the first is master; all gone afterwards."""
    ports = (free_port(), free_port(), free_port(), free_port())
    made = [Host(number, directory / f"n{number}", ports) for number in range(1, count + 1)]
    more = (f"--file-storage-dir={file_directory}",) if file_directory else ()
    try:
        made[0].run(
            *("gnt-cluster", "init", f"--store={store}", f"--enabled-disk-templates={templates}"),
            *("--enabled-hypervisors=memory", "--master-netdev=lo", "--primary-ip=127.0.0.1"),
            *more,
            *("--master-ip=127.0.0.1", "c.example.com"),
        )
        made[0].own.users_path.write_text(USERS)
        for host in made[1:]:
            host.be_joined(made[0])
        yield made
    finally:
        for host in made:
            host.power_off()


def three_candidates(
    directory: Path, *, templates: str = "diskless", file_directory: str = ""
) -> contextlib.AbstractContextManager[list[Host]]:
    """With an etcd of three members."""
    return machines(directory, 3, store="etcd", templates=templates, file_directory=file_directory)


def master_of(hosts: list[Host]) -> Host:
    """Who is master, as the first of these sees it; a busy machine may be between two."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        said = hosts[0].run("gnt-cluster", "getmaster", code=None).strip()
        for host in hosts:
            if host.name == said:
                return host
        time.sleep(0.2)
    raise AssertionError(f"nobody is master: {said}")


def accepted(hosts: list[Host]) -> tuple[Host, str]:
    """Who accepts a job first, and its number."""
    deadline = time.monotonic() + PATIENCE_S
    said: object = "nothing"
    while time.monotonic() < deadline:
        for host in hosts:
            try:
                return host, str(host.ask(f"/2/nodes/{host.name}/modify", {"drained": False}, 1.0))
            except (OSError, ValueError) as error:
                said = error
        time.sleep(0.05)
    raise AssertionError(f"nobody accepts a job: {said}")
