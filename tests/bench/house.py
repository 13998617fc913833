"""A cluster for figures: the real master daemon over a real store, and five node daemons whose
guests are pretended (see ``pretended_nodes``), all on loopback.

The store is a parameter: ``StoreKind`` says what ``gnt-cluster init`` is told and how objects are
put into a store while no master runs, so the same figures are measured over each engine.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from clusterd import certificates
from clusterd.certificates import Subject
from clusterd.configuration import PREFIX
from clusterd.doorway.client import Door, door_path
from clusterd.doorway.protocol import RequestFailed
from clusterd.errors import DoorAway
from clusterd.model import Instance
from clusterd.pidfile import holder
from clusterd.settings import DAEMONS, ClusterSection, NodeSection, Settings
from jobqueue.store.interface import Transaction
from jobqueue.store.sqlite_file import Bounds, SqliteFile
from tests.unit.test_first_cluster import NODE, PROGRAMS, Host

NODES = 5
ENDED = ("success", "error", "canceled")
NOOP = {"OP_ID": "OP_TEST_DELAY", "duration": 0.0}
PATIENCE_S = 60.0

Put = Callable[[Settings, Sequence[tuple[str, bytes]]], None]


class StoreKind(msgspec.Struct, frozen=True):
    """One store engine."""

    init: tuple[str, ...]
    """What ``gnt-cluster init`` is told beside the rest."""
    put: Put
    """Writes keys while the master does not run."""
    widened: Callable[[Settings], contextlib.AbstractContextManager[object]] = lambda settings: (
        contextlib.nullcontext()
    )
    """Entered once the cluster is founded: what the store needs beside the daemons."""


def put_sqlite(settings: Settings, pairs: Sequence[tuple[str, bytes]]) -> None:
    """Straight into the file."""
    file = SqliteFile(settings.store_path, Bounds())
    try:
        file.write([Transaction(puts=(pair,)) for pair in pairs])
    finally:
        file.close()


SQLITE = StoreKind((), put_sqlite)


class House(Host):
    """One cluster. Use as ``with opened(store) as house``."""

    def __init__(self, root: Path, store: StoreKind) -> None:
        super().__init__(root)
        self.store = store
        self.names = [NODE, *(f"n{at}.example.com" for at in range(2, NODES + 1))]
        self._nodes: subprocess.Popen[bytes] | None = None
        self._beside = contextlib.ExitStack()

    def open(self) -> None:
        """From nothing to a cluster of five nodes."""
        self.run(
            "gnt-cluster",
            "init",
            "--enabled-disk-templates=diskless",
            "--enabled-hypervisors=memory",
            "--master-netdev=lo",
            "--primary-ip=127.0.0.1",
            "--master-ip=127.0.0.1",
            *self.store.init,
            "c.example.com",
        )
        self.settings = Settings.load(environment={"CLUSTERD_ROOT": str(self.root)})
        self._beside.enter_context(self.store.widened(self.settings))
        self.run("clusterd-node", "--stop")
        roots = [self.root, *(self._other(at) for at in range(1, NODES))]
        words = [
            sys.executable,
            "-m",
            "tests.bench.pretended_nodes",
            *map(str, roots),
        ]
        with (self.root / "nodes.log").open("wb") as log:
            self._nodes = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log)
        assert self._nodes.stdout is not None
        if self._nodes.stdout.readline().strip() != b"ready":
            raise RuntimeError(f"the nodes do not start: see {self.root}/nodes.log")
        for at, name in enumerate(self.names[1:], 1):
            address = f"127.0.0.{at + 1}"
            # a pretended node runs no daemons of a candidate
            added = {"node_name": name, "primary_ip": address, "master_capable": False}
            self.do({"OP_ID": "OP_NODE_ADD", **added})

    @property
    def door(self) -> Door:
        """A client of its own."""
        return Door(door_path({"CLUSTERD_ROOT": str(self.root)}))

    def _other(self, at: int) -> Path:
        """Settings and keys of another node below a prefix of its own."""
        root = self.root / f"n{at + 1}"
        address = f"127.0.0.{at + 1}"
        own = Settings(
            cluster=ClusterSection(
                name=self.settings.cluster.name, uuid=self.settings.cluster.uuid
            ),
            node=NodeSection(
                name=self.names[at],
                primary_ip=address,
                secondary_ip=address,
                bind_address=address,
                port=self.own.node.port,
            ),
            root=str(root),
        )
        own.path.parent.mkdir(parents=True)
        own.path.write_text(own.to_toml())
        own.state_directory.mkdir(parents=True)
        authority = certificates.read_authority(self.settings.state_directory)
        subject = Subject(name=self.names[at], addresses=(address,))
        pair = certificates.issue_node(authority, subject, time.time())
        certificates.write_node(own.state_directory, pair)
        (own.state_directory / certificates.AUTHORITY_FILE).write_bytes(authority.certificate)
        return root

    def program(self, name: str) -> str:
        """Its path."""
        return str(PROGRAMS / name)

    # -- jobs ---------------------------------------------------------------------------------

    def do(self, *opcodes: dict[str, Any]) -> Any:
        """One job to its end; the results. Raises when it failed."""
        door = self.door
        try:
            number = door.submit_job(opcodes)
            end_of(door, number)
            return door.query_jobs([number], ["opresult"])[0][0]
        finally:
            door.close()

    # -- the store ----------------------------------------------------------------------------

    def fill(self, count: int) -> None:
        """So many instances more in the configuration, switched off; the master starts anew."""
        rows = self.door.query_names("QueryNodes", [], ["name", "uuid"])
        self.run("clusterd-master", "--stop")
        nodes = [uuid for _name, uuid in sorted(rows)]
        pairs = [self._instance(at, nodes[at % len(nodes)]) for at in range(count)]
        for start in range(0, len(pairs), 1000):
            self.store.put(self.settings, pairs[start : start + 1000])
        self.run("clusterd-master", "--start")
        self.until_nodes_are_seen()

    def _instance(self, at: int, node: str) -> tuple[str, bytes]:
        instance = Instance(
            uuid=f"00000000-0000-4000-8000-{at:012d}",
            name=filled(at),
            primary_node=node,
            hypervisor="memory",
            os="noop",
            disk_template="diskless",
            beparams={"maxmem": 128, "minmem": 128},
        )
        return f"{PREFIX}instance/{instance.uuid}", msgspec.json.encode(instance)

    def until_nodes_are_seen(self) -> None:
        """Wait until the master has seen every node."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            rows = self.door.query_names("QueryNodes", [], ["mtotal"])
            if all(row[0] for row in rows):
                return
            time.sleep(0.1)
        raise RuntimeError("the master does not see its nodes")

    # -- the master -----------------------------------------------------------------------------

    def master_pid(self) -> int:
        """Of the master daemon."""
        pid = holder(self.own.pid_path("clusterd-master"))
        if pid is None:
            raise RuntimeError("no master runs")
        return pid

    def kill_master(self) -> None:
        """As a crash does."""
        pid = self.master_pid()
        os.kill(pid, signal.SIGKILL)
        while holder(self.own.pid_path("clusterd-master")) is not None:
            time.sleep(0.001)

    def close(self) -> None:
        """Nothing is left running."""
        if self._nodes is not None:
            self._nodes.kill()
            self._nodes.wait()
        for daemon in DAEMONS:
            pid = self.pid(daemon)
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
        self._beside.close()


@contextlib.contextmanager
def opened(store: StoreKind) -> Iterator[House]:
    """A cluster that is gone afterwards."""
    with tempfile.TemporaryDirectory() as directory:
        house = House(Path(directory), store)
        try:
            house.open()
            yield house
        finally:
            house.close()


def environment_of(house: House) -> dict[str, str]:
    """For starting the product's programs in this cluster."""
    return {**os.environ, "CLUSTERD_ROOT": str(house.root), "CLUSTERD_HOSTNAME": NODE}


def filled(at: int) -> str:
    """The name of an instance that ``fill`` made."""
    return f"f{at}.example.com"


def create(name: str, node: str) -> dict[str, Any]:
    """The opcode that creates and starts a diskless instance."""
    return {
        "OP_ID": "OP_INSTANCE_CREATE",
        "instance_name": name,
        "disk_template": "diskless",
        "disks": [],
        "nics": [],
        "pnode": node,
        "os_type": "noop",
        "ignore_ipolicy": True,
        "beparams": {"maxmem": 128, "minmem": 128},
    }


def end_of(door: Door, number: int) -> None:
    """Wait for a job's end; raises when it did not succeed."""
    seen: Any = None
    while True:
        answer = door.wait_for_job_change(number, ["status"], seen, None)
        if answer in (None, "nochange"):
            raise RuntimeError(f"job {number} does not end")
        seen = answer[0]
        if seen[0] in ENDED:
            break
    if seen[0] != "success":
        why = door.query_jobs([number], ["opresult"])
        raise RuntimeError(f"job {number} ended with {seen[0]}: {why}")


def all_ends(door: Door, jobs: Iterable[Sequence[dict[str, Any]]]) -> float:
    """Submit together; seconds until the last one has ended well."""
    wanted = list(jobs)
    began = time.perf_counter()
    numbers = [number for ok, number in door.submit_many_jobs(wanted) if ok]
    if len(numbers) != len(wanted):
        raise RuntimeError(f"only {len(numbers)} of {len(wanted)} jobs were accepted")
    for number in reversed(numbers):
        end_of(door, number)
    return time.perf_counter() - began


def until_accepted(house: House) -> int:
    """Submit until somebody takes it; the job's number."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            return house.door.submit_job([NOOP])
        except DoorAway:
            time.sleep(0.002)
        except RequestFailed as error:
            if error.kind != "NotMaster":
                raise
            time.sleep(0.002)
    raise RuntimeError("no master accepts jobs")


def resident_mib(pid: int) -> float:
    """A process's memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} is gone")
