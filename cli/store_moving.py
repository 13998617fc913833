"""``gnt-cluster store migrate`` with the real machine, daemons and jobs."""

from __future__ import annotations

from typing import Any

from cli import jobs
from cli.command import Call
from cli.exits import Declined, Exit
from cli.founding import local_settings
from cli.machine import Machine, services
from clusterd import moving
from clusterd.errors import ClusterError
from clusterd.store_move import Engine


class _Cluster:
    """Fits ``clusterd.moving.Cluster``."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def answers(self) -> bool:
        """See the protocol."""
        try:
            self._info()
        except ClusterError:
            self._call.session.door.close()
            return False
        return True

    def master(self) -> str:
        """See the protocol."""
        return str(self._info()["master"])

    def candidates(self) -> tuple[str, ...]:
        """See the protocol."""
        door = self._call.session.door
        rows = door.query_names("QueryNodes", [], ["name", "master_candidate"])
        return tuple(sorted(name for name, candidate in rows if candidate is True))

    def pool_size(self) -> int:
        """See the protocol."""
        return int(self._info()["candidate_pool_size"])

    def do(self, body: dict[str, Any]) -> None:
        """See the protocol."""
        try:
            jobs.run(self._call, body)
        except jobs.JobFailed as error:
            raise moving.MoveFailed(f"{body['OP_ID']} failed: {error}") from None

    def _info(self) -> dict[str, Any]:
        return dict(self._call.session.door.call("QueryClusterInfo"))


def migrate(call: Call, to: Engine) -> int:
    """Move the store; asks first."""
    session = call.session
    settings = local_settings(session.environment).require_cluster()
    if settings.store.engine != to and not call.given("yes_do_it"):
        question = (
            f"The cluster's state moves from {settings.store.engine} to {to}. The master is away"
            " meanwhile; jobs go on afterwards where they were, instances do not notice. Go on?"
        )
        if not session.ask(question):
            raise Declined("Not confirmed: nothing was changed")
    machine = Machine()
    tools = moving.Tools(
        services=services,
        settings=lambda: local_settings(session.environment).require_cluster(),
        cluster=_Cluster(call),
        now=machine.now,
        pause=machine.pause,
        told=session.out,
    )
    moved = moving.migrate(to, tools)
    session.out(f"The cluster's state is in {to} now" if moved else f"It is in {to} already")
    return Exit.SUCCESS
