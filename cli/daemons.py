"""The daemons: the only file that picks the real reactor, threads and random source.

Everything below is handed what it needs from here. Imports are late, so that ``--version`` and
``--status`` answer at once and a daemon loads only what it serves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
import msgspec

from cli import loading
from clusterd import names
from clusterd.errors import ClusterError, NoCluster
from clusterd.settings import BadSettings, Settings, root_of

if TYPE_CHECKING:
    from cli.process import Service, Surroundings

STATUS_STOPPED = 3
"""What init scripts answer for a service that does not run."""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """One daemon, as far as its command line needs to know it."""

    name: str
    build: Callable[[Surroundings], Service]
    section: str = ""
    """The section of the settings that -p and -b change; empty: it listens on no port."""
    user: Callable[[Settings], str] = lambda settings: ""
    """Whom it becomes when started by root; empty: nobody else."""
    moves_store: bool = False
    """It can copy the cluster's state into a store of another engine."""


def node() -> None:
    """Entry point of clusterd-node."""
    command(Program(name="clusterd-node", build=_build_node, section="node"))()


def master() -> None:
    """Entry point of clusterd-master."""
    command(Program(name="clusterd-master", build=_build_master, moves_store=True))()


def store() -> None:
    """Entry point of clusterd-store."""
    command(Program(name="clusterd-store", build=_build_store))()


def rapi() -> None:
    """Entry point of clusterd-rapi."""
    command(
        Program(
            name="clusterd-rapi",
            build=_build_rapi,
            section="rapi",
            user=lambda settings: settings.rapi.user,
        )
    )()


def command(program: Program) -> click.Command:
    """The command line of a daemon."""
    daemon, section = program.name, program.section
    flags = [
        (("-f", "--foreground"), "stay in the foreground; events also go to standard error"),
        (("-d", "--debug"), "log more"),
        (("--version",), "show the version"),
        (("--show-effective",), "show the settings as they are used"),
        (("--why",), "with --show-effective: also where each value comes from"),
        (("--start",), "start it the way this machine starts services, wait until it serves"),
        (("--stop",), "end it, wait until it is gone"),
        (("--status",), f"does it run? Exit code 0 or {STATUS_STOPPED}"),
    ]
    parameters: list[click.Parameter] = [
        click.Option(words, is_flag=True, help=text) for words, text in flags
    ]
    if section:
        parameters += [
            click.Option(("-p", "--port"), type=click.IntRange(1, 65535), help="TCP port"),
            click.Option(("-b", "--bind", "bind_address"), help="address to listen on"),
        ]

    if program.moves_store:
        words = "copy all state to a store of this engine (see gnt-cluster store migrate)"
        engines = click.Choice(["sqlite", "etcd"])
        parameters.append(click.Option(("--move-store-to",), type=engines, help=words))

    def run(**given: Any) -> None:
        try:
            code = _answer(program, given)
        except ClusterError as error:
            from cli.process import exit_code

            words = str(error)
            named = words if words.startswith(daemon) else f"{daemon}: {words}"
            print(named, file=sys.stderr)
            code = exit_code(error)
        sys.exit(code)

    return click.Command(daemon, params=parameters, callback=run, help=f"Run {daemon}.")


def _answer(program: Program, given: dict[str, Any]) -> int:
    """Do what the options say; the exit code."""
    daemon, section = program.name, program.section
    if given["version"]:
        print(f"{daemon} {names.PRODUCT_VERSION} (calls {names.CALLS_VERSION})")
        return 0
    if given["stop"] or given["status"]:
        return _stop(daemon) if given["stop"] else _status(daemon)
    settings = Settings.load()
    for option, key in (("port", "port"), ("bind_address", "bind_address")):
        if given.get(option) is not None:
            settings = settings.override(section, f"option --{option}", **{key: given[option]})
    if given["show_effective"]:
        for row in settings.effective():
            print(f"{row.key} = {row.value!r}" + (f"  # {row.why}" if given["why"] else ""))
        return 0
    settings.require_cluster()
    if given["start"] and _started_elsewhere(settings, daemon):
        return 0
    loading.begin()
    from cli import process

    options = process.Options(foreground=given["foreground"], debug=given["debug"])
    kind = process.Kind(name=daemon, user=program.user(settings), build=program.build)
    if given.get("move_store_to"):
        to = given["move_store_to"]
        options = msgspec.structs.replace(options, foreground=True, quiet=True)
        kind = msgspec.structs.replace(kind, build=lambda around: _build_mover(around, to))
    return process.run(kind, settings, options, _reactor)


def _started_elsewhere(settings: Settings, daemon: str) -> bool:
    """True when it runs already or systemd has started it; else this process becomes it."""
    from cli import machine

    services = machine.services(settings)
    if services.status(daemon) is not None:
        return True
    if not services.by_systemd(daemon):
        return False
    services.start(daemon)
    return True


def _found_settings() -> Settings:
    """To look or to end something, the usual directories will do."""
    try:
        return Settings.load()
    except (NoCluster, BadSettings):
        return Settings(root=root_of())


def _stop(daemon: str) -> int:
    from cli import machine

    machine.services(_found_settings()).stop(daemon)
    return 0


def _status(daemon: str) -> int:
    from clusterd.pidfile import holder

    pid = holder(_found_settings().pid_path(daemon))
    print(f"{daemon} does not run" if pid is None else f"{daemon} runs as process {pid}")
    return STATUS_STOPPED if pid is None else 0


def _reactor() -> Any:
    from twisted.internet import epollreactor

    from cli.even_time import EvenTime
    from cli.machine import Machine

    epollreactor.install()  # type: ignore[no-untyped-call]
    from twisted.internet import reactor

    made: Any = reactor
    machine = Machine()
    made.seconds = EvenTime(machine.now, machine.steady).seconds
    return made


def _build_node(around: Surroundings) -> Service:
    from cli.node_daemon import NodeDaemon

    return NodeDaemon(around)


def _build_master(around: Surroundings) -> Service:
    from cli.master_daemon import CheckedMaster

    return CheckedMaster(around)


def _build_mover(around: Surroundings, to: Any) -> Service:
    from cli.store_mover import StoreMover

    return StoreMover(around, to)


def _build_store(around: Surroundings) -> Service:
    from cli.store_daemon import StoreDaemon

    return StoreDaemon(around)


def _build_rapi(around: Surroundings) -> Service:
    from cli.rapi_daemon import RapiDaemon

    return RapiDaemon(around)
