"""``gnt-cluster store``: where the cluster's state lies, how it is, and moving it elsewhere."""

from __future__ import annotations

from typing import Any

from cli.command import Arguments, Call, Command, Option
from cli.exits import CommandError, Exit, WrongInput
from cli.output import info

ENGINES = ("sqlite", "etcd")


def _store(call: Call) -> int:
    (word,) = call.arguments
    if word == "info":
        return _info(call)
    if word != "migrate":
        raise CommandError(f"Command 'store {word}' is not valid: give info or migrate")
    to = call.given("to")
    if to is None:
        raise WrongInput(f"Say where to: --to {' or --to '.join(ENGINES)}")
    # late: it needs far more than a command that only asks the master
    from cli.store_moving import migrate

    return migrate(call, to)


def _info(call: Call) -> int:
    from cli.store_state import store_state

    rows: list[Any] = store_state(call.session)
    for line in info(rows):
        call.session.out(line)
    return Exit.SUCCESS


COMMAND = Command(
    name="store",
    summary="Show where the cluster's state lies and how it is, or move it to another engine",
    run=_store,
    options_anywhere=True,
    arguments=Arguments(shown="info|migrate", minimum=1, maximum=1),
    options=(
        Option(
            names=("--to",),
            choices=ENGINES,
            metavar="|".join(ENGINES),
            words="The engine to move to: a file on the master, or an etcd of the candidates",
        ),
        Option(names=("--yes-do-it",), flag=True, words="Do not ask"),
    ),
)
