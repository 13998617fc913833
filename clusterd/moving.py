"""Moving a living cluster to a store of another engine: the order, and what a crash leaves.

Decided here: the cluster is drawn together on the master's node (all other candidates give up that
role), the master is stopped, the state is copied, checked and switched over by ``clusterd-master``
itself (nobody else can then be it), the master goes on from the new store with every job where it
was, and the other nodes become candidates again. Guests do not notice.

What says which store counts is the engine in this machine's settings, one file that is replaced
whole. A marker says what was begun; whoever finds it goes on, or, if the switch has not happened
and another engine is wanted, back.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from clusterd.bootstrap import begin_etcd
from clusterd.durable import sync_directory, write_durable
from clusterd.errors import ClusterError, NotReady
from clusterd.services import Services
from clusterd.settings import Settings
from clusterd.store_move import Engine
from jobqueue.errors import Refused

MARKER = "store-move"
MASTER, STORE = "clusterd-master", "clusterd-store"
MOVE_OPTION = "--move-store-to"
COPY_S = 3600.0
DOOR_POLL_S = 0.2
ASIDE = ".before-etcd"
"""Behind the name of the embedded store once it is no longer the store."""


class MoveFailed(ClusterError):
    """The store could not be moved; the old one is still the cluster's."""

    code = "move_failed"


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A move as it was begun."""

    to: Engine
    candidates: tuple[str, ...]
    """Nodes beside the master's that were candidates."""
    pool_size: int


class Cluster(Protocol):
    """The cluster as far as it can be asked while its master serves."""

    def answers(self) -> bool:
        """The door is open and this is the master."""

    def master(self) -> str:
        """The master's node."""

    def candidates(self) -> tuple[str, ...]:
        """Nodes that may become master, the master's included."""

    def pool_size(self) -> int:
        """How many there should be."""

    def do(self, body: dict[str, Any]) -> None:
        """Run a job to its end; raises when it fails."""


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to act."""

    services: Callable[[Settings], Services]
    settings: Callable[[], Settings]
    """This machine's, as they are in the file now."""
    cluster: Cluster
    now: Callable[[], float]
    pause: Callable[[float], None]
    told: Callable[[str], None]


def migrate(to: Engine, tools: Tools) -> bool:
    """Move the store; False when it is there already. Again after a crash: goes on. Raises Refused
    unchanged, MoveFailed with the old store in use, ClusterError."""
    settings = tools.settings()
    begun = _begun(settings)
    if begun is not None and begun.to != to:
        tools.told(f"a move to {begun.to} was begun; it is ended first")
        _end(begun, tools)
        begun = None
    if begun is None:
        if settings.store.engine == to:
            return False
        begun = _begin(to, settings, tools)
    if tools.settings().store.engine != to:
        try:
            _draw_together(begun, tools)
            _switch(begun, tools)
        except ClusterError as error:
            tools.told(f"the store was not moved: {error}")
            _end(begun, tools)
            raise
    _end(begun, tools)
    return True


def _begun(settings: Settings) -> Begun | None:
    try:
        return msgspec.json.decode(_marker(settings).read_bytes(), type=Begun)
    except FileNotFoundError:
        return None


def _marker(settings: Settings) -> Path:
    return settings.state_directory / MARKER


def _begin(to: Engine, settings: Settings, tools: Tools) -> Begun:
    cluster = tools.cluster
    if not cluster.answers():
        raise Refused("The master does not answer: start it first", "wrong_state")
    if cluster.master() != settings.node.name:
        raise Refused(
            f"This is not the master: run the command on {cluster.master()}", "wrong_state"
        )
    others = tuple(name for name in cluster.candidates() if name != settings.node.name)
    begun = Begun(to=to, candidates=others, pool_size=cluster.pool_size())
    write_durable(_marker(settings), msgspec.json.encode(begun))
    return begun


def _draw_together(begun: Begun, tools: Tools) -> None:
    """The master's node is the only candidate, and the only member of the old store."""
    _until_answers(tools)
    present = tools.cluster.candidates()
    leaving = [name for name in begun.candidates if name in present]
    if leaving:
        tools.cluster.do({"OP_ID": "OP_CLUSTER_SET_PARAMS", "candidate_pool_size": 1})
    for name in leaving:
        tools.told(f"{name} is no candidate for the mastership meanwhile")
        tools.cluster.do(_role(name, candidate=False))


def _switch(begun: Begun, tools: Tools) -> None:
    settings = tools.settings()
    services = tools.services(settings)
    if begun.to == "etcd":
        tools.told("starting an empty etcd")
        services.stop(STORE)
        shutil.rmtree(settings.store_data, ignore_errors=True)
        begin_etcd(settings, tools.now())
        services.start(STORE)
    tools.told("stopping the master")
    services.stop(MASTER)
    tools.told(f"copying to {begun.to}")
    ended = services.run(MASTER, MOVE_OPTION, begun.to, timeout_s=COPY_S)
    said = ended.last_words.removeprefix(f"{MASTER} cannot start: ")
    tools.told(said)
    if tools.settings().store.engine != begun.to:
        raise MoveFailed(f"{said}; the master goes on from the old store")


def _end(begun: Begun, tools: Tools) -> None:
    """Go on from the store that counts now, and be as many candidates as before."""
    settings = tools.settings()
    services = tools.services(settings)
    if settings.store.engine == "etcd":
        services.start(STORE)
    services.start(MASTER)
    _until_answers(tools)
    tools.told(f"the master serves from {settings.store.engine}")
    _clear(settings, services)
    present = tools.cluster.candidates()
    for name in begun.candidates:
        if name not in present:
            tools.told(f"{name} becomes a candidate for the mastership again")
            tools.cluster.do(_role(name, candidate=True))
    if tools.cluster.pool_size() != begun.pool_size:
        size = begun.pool_size
        tools.cluster.do({"OP_ID": "OP_CLUSTER_SET_PARAMS", "candidate_pool_size": size})
    _marker(settings).unlink(missing_ok=True)
    sync_directory(settings.state_directory)


def _clear(settings: Settings, services: Services) -> None:
    """The store that no longer counts is put where nobody takes it for one."""
    if settings.store.engine == "sqlite":
        services.stop(STORE)
        shutil.rmtree(settings.store_data, ignore_errors=True)
        settings.members_path.unlink(missing_ok=True)
        return
    path = settings.store_path
    if path.exists():
        path.rename(path.with_name(path.name + ASIDE))
        for rest in ("-wal", "-shm", ".lock"):
            path.with_name(path.name + rest).unlink(missing_ok=True)


def _role(name: str, *, candidate: bool) -> dict[str, Any]:
    return {
        "OP_ID": "OP_NODE_SET_PARAMS",
        "node_name": name,
        "master_candidate": candidate,
        "force": True,
    }


def _until_answers(tools: Tools) -> None:
    settings = tools.settings()
    tools.services(settings).start(MASTER)
    for _ in range(int(settings.timeouts.start_s / DOOR_POLL_S)):
        if tools.cluster.answers():
            return
        tools.pause(DOOR_POLL_S)
    raise NotReady(f"the master does not answer; see {settings.log_path(MASTER)}")
