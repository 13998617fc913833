"""``gnt-cluster init`` and ``destroy``: ``clusterd.bootstrap`` with the real machine and store.

Decided here: only what is handed to it. There is no reactor in a command: the store works in the
calling thread, so every coroutine has ended when its first call returns.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

import hypervisors.plugins
import storage.plugin
from cli import jobs
from cli.command import Call, Session
from cli.exits import CommandError, Exit, WrongInput
from cli.machine import Machine, services
from clusterd import bootstrap
from clusterd.errors import ClusterError, NoCluster
from clusterd.founding import Founding
from clusterd.founding_checks import Known
from clusterd.master_address import MasterAddress, address_of
from clusterd.settings import Settings, root_of
from jobqueue.store.sqlite import SqliteStore

T = TypeVar("T")


class CallingThread:
    """In place of a pool: work is done at once."""

    def callInThread(self, function: Callable[..., object], /, *args: object) -> None:
        """Call it."""
        function(*args)


def _call_at_once(function: Callable[..., object], *args: object) -> None:
    function(*args)


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing outside of this thread."""
    outcome: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(outcome.append)
    if not outcome:
        raise CommandError("the store of the cluster did not answer")
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    result: T = outcome[0]
    return result


def local_settings(environment: Mapping[str, str]) -> Settings:
    """This machine's; the defaults on one that has none."""
    try:
        return Settings.load(environment=environment)
    except NoCluster:
        return Settings(root=root_of(environment))


def open_store(path: Path) -> SqliteStore:
    """The embedded store, in this thread."""
    return SqliteStore(path, CallingThread(), _call_at_once)


def _tools(session: Session) -> bootstrap.Tools:
    def door_answers() -> bool:
        try:
            session.door.call("QueryClusterInfo")
        except ClusterError:
            return False
        return True

    return bootstrap.Tools(
        machine=Machine(),
        services=services,
        open_store=open_store,
        door_answers=door_answers,
        known=Known(
            hypervisors=tuple(hypervisors.plugins.built_in()),
            disk_templates=tuple(str(name) for name in storage.plugin.built_in()),
        ),
        told=session.out,
    )


def initialise(call: Call, body: Mapping[str, Any]) -> int:
    """``init``"""
    try:
        founding = msgspec.convert(body, Founding)
    except msgspec.ValidationError as error:
        raise WrongInput(str(error)) from None
    settings = local_settings(call.session.environment)
    made = finished(bootstrap.initialise(founding, settings, _tools(call.session)))
    # the hooks of a new cluster; the cluster stands whatever they say
    jobs.run(call, {"OP_ID": "OP_CLUSTER_POST_INIT"})
    call.session.out(f"The cluster {made.cluster.name} is ready; its master is {made.node.name}")
    return Exit.SUCCESS


def destroy(call: Call, body: Mapping[str, Any]) -> int:
    """``destroy``: the hooks as a job, then this machine forgets the cluster."""
    session = call.session
    settings = local_settings(session.environment)
    tools = _tools(session)
    if bootstrap.recover(settings, tools):
        session.out("An earlier init or destroy did not finish; it is finished now")
        return Exit.SUCCESS
    settings.require_cluster()
    jobs.run(call, body)
    session.door.close()
    # it takes the cluster's address down; one that was killed has left it
    services(settings).stop("clusterd-master")
    alone = settings.store.engine == "sqlite"
    address = finished(_address(settings)) if alone else MasterAddress()
    bootstrap.destroy(settings, tools, address)
    session.out(f"The cluster {settings.cluster.name} is destroyed")
    return Exit.SUCCESS


async def _address(settings: Settings) -> MasterAddress:
    """The cluster's own address; none if the job has already forgotten the cluster."""
    store = open_store(settings.store_path)
    try:
        cluster, _ = await bootstrap.check_master(store, settings)
    except NoCluster:
        return MasterAddress()
    finally:
        await store.close()
    return address_of(cluster)
