"""``gnt-cluster master-failover``: another candidate becomes master, on purpose.

Run on the candidate that is to be master. Its daemon asks the present master through the store to
step down; where there is none any more, the store's lease has to end first. Nothing is forced: two
masters cannot be, so there is nothing to vote on.
"""

from __future__ import annotations

from typing import Any

from cli.command import Call
from cli.exits import CommandError, Exit
from clusterd.errors import DoorAway
from clusterd.settings import Settings

WAIT_S = 60.0
LOOK_S = 0.5


def master_failover(call: Call) -> int:
    """``master-failover``"""
    session = call.session
    if call.given("no_voting") and not call.given("yes_do_it"):
        raise CommandError(
            "--no-voting is not needed: the store itself allows only one master. Leave it out, or"
            " give --yes-do-it too"
        )
    settings = Settings.load(environment=session.environment).require_cluster()
    if settings.node.role == "node":
        raise CommandError(
            f"{settings.node.name} is no master candidate; make it one with 'gnt-node modify"
            f" --master-candidate=yes {settings.node.name}' on the master"
        )
    if settings.store.engine == "sqlite":
        raise CommandError(
            "The store of this cluster is a file of the master (sqlite), so no other node can take"
            " over by itself: run 'gnt-cluster backup' on the master and 'gnt-cluster restore' here"
        )
    found = _mastery(call)
    if found["standing"] == "master":
        raise CommandError(f"{found['node']} is the master already")
    session.out(str(session.door.call("TakeMastership")))
    for _ in range(int(WAIT_S / LOOK_S)):
        session.pause(LOOK_S)
        found = _mastery(call)
        if found["standing"] == "master":
            session.out(f"{found['node']} is the master now (epoch {found['epoch']})")
            return Exit.SUCCESS
    raise CommandError(
        f"{found['node']} did not become the master within {WAIT_S:.0f} s; it is"
        f" {found['standing']}, the master is {found['master'] or 'unknown'}. {found['problem']}"
    )


def _mastery(call: Call) -> dict[str, Any]:
    try:
        return dict(call.session.door.call("QueryMastership"))
    except DoorAway as error:
        raise CommandError(
            f"clusterd-master does not run on this node ({error}); start it with"
            " 'clusterd-master --start'"
        ) from None
