"""Three machines: master candidates with a store of three members; one of them dies now and then.

What dies for good comes back only after another one has answered as master: as a host that was
repaired, it finds that it is master no more.
"""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from clusterd.doorway.client import Door, door_path
from clusterd.doorway.protocol import RequestFailed
from clusterd.errors import ClusterError, DoorAway
from clusterd.master.origins import store_identity
from clusterd.store_members import read_members
from clusterd.stores import EtcdLink
from tests.proof import daemons
from tests.proof.daemons import MASTER, STORE, Judge
from tests.proof.house import small_disk
from tests.proof.load import Load
from tests.three_candidates import Host, three_candidates
from tests.waiting import reactor, run

ANSWER_S = 5.0
"""A frozen master keeps its connections and answers nothing."""
PATIENCE_S = 60.0
LOOK_S = 0.05
BLOWS = ("master", "member", "member", "both", "master for good", "host for good", "frozen")
"""What may strike: the master or a member is killed, and started by init; or not, until another one
is master; or the master stands still for that long and then goes on. All strike, in any order, and
then all again; the first is the worst."""
WORST = "host for good"


class FollowingDoor(Door):
    """The door of whoever is master: after each answer that it is somebody else, or none, the next
    one is asked; DoorAway meanwhile."""

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__(paths[0], answer_timeout_s=ANSWER_S)
        self._paths = list(paths)

    def call(self, method: str, *args: object) -> object:
        """See ``Door``."""
        try:
            return super().call(method, *args)
        except RequestFailed as error:
            if error.kind != "NotMaster":
                raise
            self._go_to_next()
            raise DoorAway(str(error)) from None
        except DoorAway:
            self._go_to_next()
            raise

    def _go_to_next(self) -> None:
        self.close()
        at = self._paths.index(self.path)
        self.path = self._paths[(at + 1) % len(self._paths)]


class Trio:
    """Three candidates. Invariant: ``_down`` is what ``mend`` has to bring back."""

    def __init__(self, hosts: Sequence[Host], files: Path) -> None:
        self.hosts = list(hosts)
        self.nodes = [host.name for host in hosts]
        self.files = files
        self.door: Door = FollowingDoor([_path(host) for host in hosts])
        self._down: list[tuple[Host, str]] = []
        self._frozen: Host | None = None
        self._blows = [WORST]

    def master(self) -> Host:
        """Who is it now; waits until there is one."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for host in self.hosts:
                if standing(host) == "master":
                    return host
            time.sleep(LOOK_S)
        raise AssertionError("nobody is master")

    def become_master(self, host: Host) -> None:
        """On purpose; in the midst of a load it may have to be asked for again."""
        deadline = time.monotonic() + PATIENCE_S
        while self.master() is not host:
            assert time.monotonic() < deadline, f"{host.name} does not become master"
            host.run("gnt-cluster", "master-failover", code=None)

    def member_answers(self, host: Host) -> bool:
        """This host's member of the store does, and has a leader."""
        said = self.master().run("gnt-cluster", "store", "info", code=None)
        of_host = said.split(f"Node: {host.name}", 1)[-1].split("Node: ", 1)[0]
        return "State: leader" in of_host or "State: follower" in of_host

    # -- as a household ----------------------------------------------------------------------------

    def strike(self, draw: random.Random) -> str:
        """See ``Household``."""
        if not self._blows:
            self._blows = draw.sample(BLOWS, len(BLOWS))
        blow = self._blows.pop()
        master = self.master()
        if blow == "frozen":
            daemons.signalled(master, MASTER, signal.SIGSTOP)
            self._frozen = master
            return blow
        host = draw.choice(self.hosts) if blow == "member" else master
        names = {"member": (STORE,), "master": (MASTER,), "master for good": (MASTER,)}
        hit = names.get(blow, (STORE, MASTER))
        for daemon in hit:
            daemons.kill(host, daemon)
        self._down = [(host, daemon) for daemon in hit]
        if "good" not in blow:
            self.mend()
        return blow

    def await_answer(self, load: Load) -> None:
        """See ``Household``."""
        answered, deadline = load.answered, time.monotonic() + PATIENCE_S
        while load.answered == answered:
            if time.monotonic() > deadline:
                raise AssertionError(f"nobody answers; down: {self._down}")
            time.sleep(0.02)

    def mend(self) -> None:
        """See ``Household``."""
        if self._frozen is not None:
            daemons.signalled(self._frozen, MASTER, signal.SIGCONT)
            self._frozen = None
        for host, daemon in self._down:
            daemons.start(host, daemon)
        self._down.clear()

    def judged(self, judge: Judge) -> list[str]:
        """See ``Household``; whoever could take over is stopped before the master is."""
        master = self.master()
        for host in [*(one for one in self.hosts if one is not master), master]:
            host.run(MASTER, "--stop")
        state = master.own.state_directory
        members = [one.client_url for one in read_members(master.own.members_path)]
        link = EtcdLink(reactor, lambda: store_identity(state), members)
        store = link.store("judge")
        try:
            return run(lambda: judge(store))
        finally:
            run(store.close)
            run(link.close)


def standing(host: Host) -> str:
    """What a candidate says that it is; empty when it does not answer."""
    door = Door(_path(host), connect_timeout_s=1.0, answer_timeout_s=1.0)
    try:
        return str(door.call("QueryMastership")["standing"])
    except ClusterError:
        return ""
    finally:
        door.close()


def _path(host: Host) -> Path:
    return door_path({"CLUSTERD_ROOT": str(host.root)})


@contextlib.contextmanager
def trio(root: Path, state_mib: int | None = None) -> Iterator[Trio]:
    """A cluster that is gone afterwards; the state of its last node on a small disk of its own
    where asked for (to be called in a mount namespace of our own)."""
    files = root / "files"
    state = root / "n3" / "var" / "lib" / "clusterd"
    with (
        small_disk(state, state_mib),
        three_candidates(root, templates="file,diskless", file_directory=str(files)) as hosts,
    ):
        assert hosts[2].own.state_directory == state
        hosts[0].run("gnt-cluster", "modify", "--max-running-jobs=20")
        deadline = time.monotonic() + PATIENCE_S
        while any(len(host.members()) < len(hosts) for host in hosts):
            assert time.monotonic() < deadline, [host.members() for host in hosts]
            time.sleep(LOOK_S)
        made = Trio(hosts, files)
        try:
            yield made
        finally:
            made.door.close()
