"""The drills: a cluster of real daemons under load, while its master is killed or has no room."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from cli.founding import finished, open_store
from clusterd.doorway.client import Door, door_path
from clusterd.doorway.protocol import RequestFailed
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
from tests.proof import verdict
from tests.proof.load import Load
from tests.unit.test_first_cluster import PROGRAMS

NODE = "n1.example.com"
MASTER, STORE = "clusterd-master", "clusterd-store"
VICTIMS = {
    "sqlite": ((MASTER,),),
    "etcd": ((MASTER,), (MASTER,), (STORE,), (STORE, MASTER)),
}
"""Engine -> what is killed together, one of these each time; the member of etcd dies with STORE."""
WORKERS = 8
END_S = 120.0
LONGEST_LIFE_S = 1.5
"""A master is killed within this time after it serves."""


FULL_S = 4.0
"""How long the disk stays full, with a master, and with none that could start."""

FULL_AT_LAST_S = 60.0


class House:
    """One machine below a prefix: a cluster of one node with the memory hypervisor."""

    def __init__(self, root: Path, engine: str = "sqlite") -> None:
        self.root = root
        self.engine = engine
        own = Settings(
            node=NodeSection(port=free_port(), bind_address="127.0.0.1"),
            rapi=RapiSection(port=free_port(), bind_address="127.0.0.1"),
            store=StoreSection(client_port=free_port(), peer_port=free_port()),
            # a node that also offers kvm would say that it has no memory where libvirt is missing
            hypervisors=HypervisorsSection(offered=("memory",)),
            root=str(root),
        )
        own.path.parent.mkdir(parents=True, exist_ok=True)
        own.path.write_text(own.to_toml())
        self.own = own
        self.files = root / "files"
        self.door = Door(door_path({"CLUSTERD_ROOT": str(root)}), answer_timeout_s=30.0)

    def run(self, *words: str, code: int | None = 0) -> str:
        """A command; what it says."""
        done = subprocess.run(
            [str(PROGRAMS / words[0]), *words[1:]],
            env={**os.environ, "CLUSTERD_ROOT": str(self.root), "CLUSTERD_HOSTNAME": NODE},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        if code is not None and done.returncode != code:
            raise AssertionError(f"{words} ended with {done.returncode}: {done.stdout}")
        return done.stdout

    def init(self) -> None:
        """A cluster from nothing."""
        self.run(
            "gnt-cluster",
            "init",
            "--enabled-disk-templates=file,diskless",
            "--enabled-hypervisors=memory",
            f"--store={self.engine}",
            f"--file-storage-dir={self.files}",
            "--master-netdev=lo",
            "--primary-ip=127.0.0.1",
            "--master-ip=127.0.0.1",
            "c.example.com",
        )
        # each is quick; the more of them run at once, the more is cut in two by a kill
        self.run("gnt-cluster", "modify", "--max-running-jobs=20")

    @property
    def master_pid(self) -> int | None:
        """Of the master that runs."""
        return self.pid(MASTER)

    def pid(self, daemon: str) -> int | None:
        """Of a daemon that runs."""
        return holder(self.own.pid_path(daemon))

    def kill(self, daemon: str) -> None:
        """kill -9, and wait until it is gone; none there is as good."""
        pid = self.pid(daemon)
        if pid is None:
            return
        os.kill(pid, signal.SIGKILL)
        while self.pid(daemon) == pid:
            time.sleep(0.01)

    def start(self, daemon: str) -> None:
        """As init does when a daemon died: again, until it serves."""
        for _ in range(600):
            if self.pid(daemon) is not None:
                return
            self.run(daemon, code=None)
            time.sleep(0.1)
        raise AssertionError(f"{daemon} does not start any more")

    def await_answer(self, load: Load) -> None:
        """Until a question was answered that was asked from now on; what died meanwhile (a master
        whose store was away) is started again."""
        answered = load.answered
        while load.answered == answered:
            self.start(MASTER)
            time.sleep(0.02)

    def end(self) -> None:
        """All daemons, at once."""
        self.door.close()
        for daemon in DAEMONS:
            pid = holder(self.own.pid_path(daemon))
            if pid is not None:
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def house(root: Path, engine: str = "sqlite", state_mib: int | None = None) -> Iterator[House]:
    """A cluster that is gone afterwards; its state on a small disk of its own where asked for (to
    be called in a mount namespace of our own)."""
    made = House(root, engine)
    try:
        if state_mib is not None:
            made.own.state_directory.mkdir(parents=True)
            size = f"size={state_mib}m"
            command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(made.own.state_directory)]
            subprocess.run(command, check=True)
        made.init()
        yield made
    finally:
        made.end()
        if state_mib is not None:
            command = ["umount", "--lazy", str(made.own.state_directory)]
            subprocess.run(command, check=False)


def kill_again_and_again(house: House, load: Load, kills: int, seed: int) -> list[float]:
    """The load runs while the master is killed and started; seconds from each kill until a
    question was answered again."""
    draw = random.Random(seed)
    recoveries: list[float] = []
    broken: list[BaseException] = []

    def kill() -> None:
        try:
            for _ in range(kills):
                time.sleep(draw.uniform(0.0, LONGEST_LIFE_S))
                began = time.monotonic()
                for daemon in draw.choice(VICTIMS[house.engine]):
                    house.kill(daemon)
                for daemon in (STORE, MASTER) if house.engine == "etcd" else (MASTER,):
                    house.start(daemon)
                house.await_answer(load)
                recoveries.append(time.monotonic() - began)
        # told to the thread that waits
        except BaseException as error:  # noqa: BLE001
            broken.append(error)

    killing = threading.Thread(target=kill)
    killing.start()
    while killing.is_alive():
        load.round(more=True)
    if broken:
        raise broken[0]
    return recoveries


def judge(house: House, load: Load) -> list[str]:
    """What is wrong once the load has ended; the master is stopped for it."""
    rows = house.door.query_names("QueryInstances", [], ["name", "oper_state", "admin_state"])
    wrong = [
        f"instance {name} should be {admin} and runs: {runs}"
        for name, runs, admin in rows
        if runs is not (admin == "up")
    ]
    wrong += verdict.differences("instances that are shown", (row[0] for row in rows), load)
    wrong += verdict.wrong_on_disk(house.files, load)
    house.door.close()
    if house.engine == "etcd":
        # copied key by key, read back and compared: what is in the file is what was in etcd
        house.run("gnt-cluster", "store", "migrate", "--to=sqlite", "--yes-do-it")
    house.run(MASTER, "--stop")
    store = open_store(house.own.store_path)
    try:
        wrong += finished(verdict.wrong_in_store(store, load))
    finally:
        finished(store.close())
    return wrong


def fill_and_kill(house: House, load: Load, seed: int) -> list[str]:
    """The disk with the state is full for a while, and the master is killed in that time; what
    is wrong with how it bore that."""
    draw = random.Random(seed)
    wrong = []
    _rounds(load, draw.uniform(1.0, 2.0))
    filler = house.own.state_directory / "filler"
    before = load.answered
    fill(filler)
    pid = house.master_pid
    refusal = _refused(house, load)
    _rounds(load, FULL_S)
    if house.master_pid != pid:
        wrong.append("the master ended when its disk was full")
    if load.answered == before:
        wrong.append("the master answered nothing while its disk was full")
    if "full" not in refusal:
        wrong.append(f"nobody was told that the disk is full: {refusal}")
    house.kill(MASTER)
    starting = threading.Thread(target=house.start, args=(MASTER,))
    starting.start()
    _rounds(load, FULL_S)
    filler.unlink()
    starting.join()
    _rounds(load, 1.0)
    return wrong


def _refused(house: House, load: Load) -> str:
    """What is said to who asks for a job; what the store's files have room for is still taken."""
    until = time.monotonic() + FULL_AT_LAST_S
    while time.monotonic() < until:
        load.round(more=True)
        try:
            house.door.submit_job([{"OP_ID": "OP_TEST_DELAY", "duration": 0.0}])
        except RequestFailed as error:
            return str(error)
    return "it still takes jobs"


def fill(path: Path) -> None:
    """A file that takes all that is free on its disk."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)


def _rounds(load: Load, for_s: float) -> None:
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        load.round(more=True)
