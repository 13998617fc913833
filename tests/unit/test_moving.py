"""The order of moving a store, with a pretended machine and cluster: broken off anywhere and begun
again it ends the same; when copying fails everything is as before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clusterd.moving import MARKER, MOVE_OPTION, MoveFailed, Tools, migrate
from clusterd.services import Ended, Services
from clusterd.settings import ClusterSection, NodeSection, Settings
from clusterd.store_move import Engine
from jobqueue.errors import Refused

ME, OTHERS = "n1.example.com", ("n2.example.com", "n3.example.com")


class Died(BaseException):
    """The command is killed here."""


class House:
    """A machine with a cluster of three candidates: every act counts, and may be the last."""

    def __init__(self, root: Path, to: Engine) -> None:
        first: Engine = "sqlite" if to == "etcd" else "etcd"
        own = Settings(
            cluster=ClusterSection(name="c.example.com", uuid="u"),
            node=NodeSection(name=ME, role="master-candidate", primary_ip="127.0.0.1"),
            root=str(root),
        )
        own = msgspec.structs.replace(own, store=msgspec.structs.replace(own.store, engine=first))
        own.path.parent.mkdir(parents=True)
        own.path.write_text(own.to_toml())
        own.state_directory.mkdir(parents=True)
        if first == "sqlite":
            own.store_path.write_bytes(b"state")
        else:
            own.store_data.mkdir()
        self.root = root
        self.running = {"clusterd-master"}
        self.present = {ME, *OTHERS}
        self.pool = 10
        self.leads = ME
        self.acts: list[str] = []
        self.dies_at = -1
        self.copies = True

    def _act(self, what: str) -> None:
        self.acts.append(what)
        if len(self.acts) == self.dies_at:
            raise Died

    # -- as machine --------------------------------------------------------------------------------

    def run(self, command: Sequence[str], timeout_s: float) -> Ended:
        """A daemon's program."""
        daemon, *options = (Path(command[0]).name, *command[1:])
        self._act(" ".join((daemon, *options)))
        if not options:
            self.running.add(daemon)
        elif options[0] == MOVE_OPTION:
            assert "clusterd-master" not in self.running
            assert self.present == {ME}
            if not self.copies:
                return Ended(1, "clusterd-master cannot start: no room")
            found = self.settings()
            store = msgspec.structs.replace(found.store, engine=options[1])
            moved = msgspec.structs.replace(found, store=store)
            if options[1] == "sqlite":
                found.store_path.write_bytes(b"state")
            found.path.write_text(moved.to_toml())
            self._act("switched")
        return Ended(0, "5 keys: copied, read back and equal")

    def pause(self, duration_s: float) -> None:
        raise AssertionError("nothing is waited for here")

    # -- as cluster --------------------------------------------------------------------------------

    def answers(self) -> bool:
        return "clusterd-master" in self.running

    def master(self) -> str:
        return self.leads

    def candidates(self) -> tuple[str, ...]:
        assert self.answers()
        return tuple(sorted(self.present))

    def pool_size(self) -> int:
        return self.pool

    def do(self, body: dict[str, Any]) -> None:
        assert self.answers()
        if body["OP_ID"] == "OP_CLUSTER_SET_PARAMS":
            self.pool = body["candidate_pool_size"]
        elif body["master_candidate"]:
            self.present.add(body["node_name"])
        else:
            assert self.pool == 1
            self.present.remove(body["node_name"])
        self._act(body["OP_ID"])

    # -- tools -------------------------------------------------------------------------------------

    def settings(self) -> Settings:
        return Settings.load(environment={"CLUSTERD_ROOT": str(self.root)})

    def tools(self) -> Tools:
        return Tools(
            services=lambda settings: Daemons(settings, self),
            settings=self.settings,
            cluster=self,
            now=lambda: 1_800_000_000.0,
            pause=self.pause,
            told=self._act,
        )


class Daemons(Services):
    """Those of the pretended machine."""

    def __init__(self, settings: Settings, house: House) -> None:
        super().__init__(settings, Path("/programs"), house)
        self._house = house

    def status(self, daemon: str) -> int | None:
        return 1 if daemon in self._house.running else None

    def stop(self, daemon: str) -> None:
        self._house.running.discard(daemon)
        self._house._act(f"stop {daemon}")


def _check_moved(house: House, to: Engine) -> None:
    settings = house.settings()
    assert settings.store.engine == to
    assert house.present == {ME, *OTHERS}
    assert house.pool == 10
    assert "clusterd-master" in house.running
    assert ("clusterd-store" in house.running) == (to == "etcd")
    assert settings.store_path.exists() == (to == "sqlite")
    assert settings.store_data.exists() == (to == "etcd")
    assert not (settings.state_directory / MARKER).exists()


@pytest.mark.parametrize("to", ["etcd", "sqlite"])
def test_a_move_that_is_killed_anywhere_is_ended_by_the_next_one(
    tmp_path: Path, to: Engine
) -> None:
    whole = House(tmp_path / "whole", to)
    assert migrate(to, whole.tools())
    _check_moved(whole, to)
    assert not migrate(to, whole.tools())
    assert len(whole.acts) > 10
    for moment in range(1, len(whole.acts) + 1):
        house = House(tmp_path / str(moment), to)
        house.dies_at = moment
        with pytest.raises(Died):
            migrate(to, house.tools())
        migrate(to, house.tools())
        _check_moved(house, to)


def test_a_move_that_is_killed_can_be_taken_back(tmp_path: Path) -> None:
    whole = House(tmp_path / "whole", "etcd")
    migrate("etcd", whole.tools())
    for moment in range(1, len(whole.acts) + 1):
        house = House(tmp_path / str(moment), "etcd")
        house.dies_at = moment
        with pytest.raises(Died):
            migrate("etcd", house.tools())
        migrate("sqlite", house.tools())
        _check_moved(house, "sqlite")


def test_when_copying_fails_everything_is_as_before(tmp_path: Path) -> None:
    house = House(tmp_path, "etcd")
    house.copies = False
    with pytest.raises(MoveFailed, match="no room; the master goes on from the old store"):
        migrate("etcd", house.tools())
    _check_moved(house, "sqlite")


@pytest.mark.parametrize(
    ("arrange", "words"),
    [
        (lambda house: house.running.clear(), "does not answer"),
        (
            lambda house: setattr(house, "master", lambda: OTHERS[0]),
            f"run the command on {OTHERS[0]}",
        ),
    ],
)
def test_where_it_cannot_be_nothing_is_begun(
    tmp_path: Path, arrange: Callable[[House], None], words: str
) -> None:
    house = House(tmp_path, "etcd")
    arrange(house)
    with pytest.raises(Refused, match=words):
        migrate("etcd", house.tools())
    assert house.acts == []
    assert not (house.settings().state_directory / MARKER).exists()
