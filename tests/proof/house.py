"""One machine: a cluster of one node, its state in a file or in an etcd of one member."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from cli.founding import finished, open_store
from clusterd.doorway.client import Door, door_path
from clusterd.settings import (
    HypervisorsSection,
    NodeSection,
    RapiSection,
    Settings,
    StoreSection,
)
from tests.ports import free_port
from tests.proof import daemons
from tests.proof.daemons import DOOR_S, MASTER, STORE, Judge
from tests.proof.load import Load
from tests.unit.test_first_cluster import PROGRAMS

NODE = "n1.example.com"
VICTIMS = {
    "sqlite": ((MASTER,),),
    "etcd": ((MASTER,), (MASTER,), (STORE,), (STORE, MASTER)),
}
"""Engine -> what is killed together, one of these each time; the member of etcd dies with STORE."""


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
        self.nodes = (NODE,)
        self.files = root / "files"
        self.door = Door(door_path({"CLUSTERD_ROOT": str(root)}), answer_timeout_s=DOOR_S)

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

    # -- as a household ----------------------------------------------------------------------------

    def strike(self, draw: random.Random) -> str:
        """See ``Household``."""
        for daemon in draw.choice(VICTIMS[self.engine]):
            daemons.kill(self, daemon)
        for daemon in (STORE, MASTER) if self.engine == "etcd" else (MASTER,):
            daemons.start(self, daemon)
        return "killed"

    def await_answer(self, load: Load) -> None:
        """See ``Household``; what died meanwhile (a master whose store was away) is started."""
        answered = load.answered
        while load.answered == answered:
            daemons.start(self, MASTER)
            time.sleep(0.02)

    def mend(self) -> None:
        """See ``Household``: nothing dies for good here."""

    def judged(self, judge: Judge) -> list[str]:
        """See ``Household``."""
        if self.engine == "etcd":
            # copied key by key, read back and compared: what is in the file is what was in etcd
            self.run("gnt-cluster", "store", "migrate", "--to=sqlite", "--yes-do-it")
        self.run(MASTER, "--stop")
        store = open_store(self.own.store_path)
        try:
            return finished(judge(store))
        finally:
            finished(store.close())


@contextlib.contextmanager
def house(root: Path, engine: str = "sqlite", state_mib: int | None = None) -> Iterator[House]:
    """A cluster that is gone afterwards; its state on a small disk of its own where asked for (to
    be called in a mount namespace of our own)."""
    made = House(root, engine)
    try:
        with small_disk(made.own.state_directory, state_mib):
            made.init()
            try:
                yield made
            finally:
                made.door.close()
                daemons.end(made)
    finally:
        daemons.end(made)


@contextlib.contextmanager
def small_disk(directory: Path, size_mib: int | None) -> Iterator[None]:
    """A disk of this size is mounted there; None: nothing is."""
    if size_mib is None:
        yield
        return
    directory.mkdir(parents=True, exist_ok=True)
    size = f"size={size_mib}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(directory)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=False)


def fill(path: Path) -> None:
    """A file that takes all that is free on its disk."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
