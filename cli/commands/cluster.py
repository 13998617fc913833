"""``gnt-cluster``: reads, the queue's drain flag, the watcher's pause, and following a verify."""

from __future__ import annotations

from typing import Any

from cli import jobs
from cli.asking import list_tags_command, tell_tags
from cli.catalogue import Body, Effect
from cli.command import Arguments, Call, Command, Option
from cli.commands import cluster_planning
from cli.commands.cluster_info import cluster_info
from cli.commands.cluster_store import COMMAND as STORE
from cli.exits import CommandError, Exit
from cli.notation import boolean, time_s
from cli.output import info, moment, roman
from cli.policy import policy_options
from clusterd.errors import ClusterError


def _cluster(call: Call) -> dict[str, Any]:
    return dict(call.session.door.call("QueryClusterInfo"))


def _value(call: Call, name: str) -> Any:
    (value,) = call.session.door.call("QueryConfigValues", [name])
    return value


def _info(call: Call) -> int:
    rows = cluster_info(_cluster(call))
    for line in info(roman(rows) if call.given("roman") else rows):
        call.session.out(line)
    return Exit.SUCCESS


def _version(call: Call) -> int:
    cluster = _cluster(call)
    for title, key in (
        ("Software version", "software_version"),
        ("Internode protocol", "protocol_version"),
        ("Configuration format", "config_version"),
        ("OS api version", "os_api_version"),
        ("Export interface", "export_version"),
        ("VCS version", "vcs_version"),
    ):
        call.session.out(f"{title}: {cluster[key]}")
    return Exit.SUCCESS


def _show_ispecs(call: Call) -> int:
    cluster = _cluster(call)
    options = policy_options(cluster.get("ipolicy") or {})
    call.session.out(" ".join(["gnt-cluster init", *options, cluster["name"]]))
    return Exit.SUCCESS


def _getmaster(call: Call) -> int:
    call.session.out(str(_value(call, "master_node")))
    return Exit.SUCCESS


def _master_failover(call: Call) -> int:
    from cli.mastership import master_failover

    return master_failover(call)


def _backup(call: Call) -> int:
    from cli.backup import backup

    return backup(call)


def _restore(call: Call) -> int:
    from cli.backup import restore

    return restore(call)


def _master_ping(call: Call) -> int:
    """For scripts: says nothing, and no more than that there is no answer here."""
    try:
        _cluster(call)
    except ClusterError:
        return Exit.FAILURE
    return Exit.SUCCESS


def _queue(call: Call) -> int:
    (word,) = call.arguments
    if word in ("drain", "undrain"):
        call.session.door.call("SetDrainFlag", word == "drain")
        return Exit.SUCCESS
    if word != "info":
        raise CommandError(f"Command '{word}' is not valid: give drain, undrain or info")
    flag = "set" if _value(call, "drain_flag") else "unset"
    call.session.out(f"The drain flag is {flag}")
    return Exit.SUCCESS


def _watcher(call: Call) -> int:
    word, *rest = call.arguments
    if word == "pause":
        if len(rest) != 1:
            raise CommandError("Missing pause duration: give a time such as 30m")
        until = call.session.now_ns() / 1e9 + time_s(rest[0])
        call.session.door.call("SetWatcherPause", until)
        call.session.out(f"The watcher is paused until {moment(until)}.")
        return Exit.SUCCESS
    if rest:
        raise CommandError(f"Command '{word}' takes no further arguments")
    if word == "continue":
        call.session.door.call("SetWatcherPause", None)
        call.session.out("The watcher is no longer paused.")
        return Exit.SUCCESS
    if word != "info":
        raise CommandError(f"Command '{word}' is not valid: give pause, continue or info")
    until = _value(call, "watcher_pause")
    paused = until is not None and until > call.session.now_ns() / 1e9
    call.session.out(
        f"The watcher is paused until {moment(until)}." if paused else "The watcher is not paused."
    )
    return Exit.SUCCESS


def _verified(call: Call, _body: Body, result: Any) -> int:
    """The opcode answers the jobs that verify; one of them fails by answering false."""
    if not isinstance(result, dict):
        return Exit.FAILURE if result is False else Exit.SUCCESS
    together = jobs.JobSet(call, verbose=True)
    for accepted, outcome in result.get("jobs", ()):
        together.add(accepted, outcome)
    ended = together.finish()
    broken = sum(not success for success, _ in ended)
    unhappy = sum(success and not all(results) for success, results in ended)
    if broken:
        call.session.err(f"{broken} job(s) failed while verifying the cluster.")
    return Exit.FAILURE if broken or unhappy else Exit.SUCCESS


def _disks_verified(call: Call, body: Body, result: Any) -> int:
    """What is down is activated; what is missing is told."""
    if not isinstance(result, dict):
        return Exit.SUCCESS
    together = jobs.JobSet(call)
    for accepted, outcome in result.get("jobs", ()):
        together.add(accepted, outcome)
    ended = together.finish()
    code = Exit.SUCCESS if all(success for success, _ in ended) else Exit.FAILURE
    repairs = jobs.JobSet(call, part="/repairs")
    for success, results in ended:
        silent, inactive, missing = results[0] if success else ({}, [], {})
        for node, why in sorted(silent.items()):
            call.session.err(f"Error gathering data from node {node}: {why}")
            code = Exit.FAILURE
        for name in inactive:
            call.session.out(f"Activating disks for instance '{name}'")
            repairs.queue(name, {"OP_ID": "OP_INSTANCE_ACTIVATE_DISKS", "instance_name": name})
        for name, lacks in sorted(missing.items()):
            code = Exit.FAILURE
            call.session.out(f"Instance {name} has missing logical volumes:")
            for node, volume in lacks:
                call.session.out(f"\t{node} {volume}")
            call.session.out("Recreate or replace its disks before it can be activated")
    activated = jobs.exit_code(repairs.finish())
    return code or activated


def _sizes_repaired(call: Call, _body: Body, result: Any) -> int:
    if not result:
        call.session.out("All disk sizes are recorded as they are.")
    for name, disk, key, value in result or ():
        call.session.out(f"{name}: disk {disk}: {key} is {value}")
    return Exit.SUCCESS


def _modified(_call: Call, _body: Body, _changes: Any) -> int:
    return Exit.SUCCESS


def _init(call: Call, body: Body) -> int:
    # late: what begins a cluster needs far more than a command that only asks the master
    from cli.founding import initialise

    return initialise(call, body)


def _destroy(call: Call, body: Body) -> int:
    if not call.given("yes_do_it"):
        raise CommandError(
            "Destroying a cluster loses all its data for ever; if you mean it, give --yes-do-it"
        )
    from cli.founding import destroy

    return destroy(call, body)


def _crypto_renewed(call: Call, body: Body) -> int:
    # late: it reads keys
    from cli.crypto import renew

    return renew(call, body)


def _simulate(call: Call) -> int:
    # late: it needs the whole master
    from cli.simulating import simulate

    return simulate(call)


SIMULATE_DETAILS = """An event is one of: power-off NODE, power-on NODE, cut NODE NODE,
mend NODE NODE, fail disk NODE, kill master, kill daemon NODE, start master, start daemon NODE,
wait TIME, or a gnt command in quotes ('gnt-instance migrate web1'). 'at 30s EVENT' names a time
from the beginning, 'after 1m EVENT' one from the event before. Several events are several
arguments."""

EFFECTS = {
    "init": Effect(instead=_init, summary="Make this machine the first node of a new cluster"),
    "destroy": Effect(instead=_destroy),
    "verify": Effect(after=_verified),
    "modify": Effect(after=_modified),
    "verify-disks": Effect(after=_disks_verified),
    "repair-disk-sizes": Effect(after=_sizes_repaired),
    "renew-crypto": Effect(instead=_crypto_renewed),
    "search-tags": Effect(after=tell_tags),
}

COMMANDS: tuple[Command, ...] = (
    list_tags_command("cluster", named=False),
    *cluster_planning.COMMANDS,
    Command(
        name="info",
        aliases=("show",),
        summary="Show the configuration of the cluster",
        run=_info,
        options=(Option(names=("--roman",), flag=True, words="Roman numbers"),),
    ),
    Command(
        name="show-ispecs-cmd",
        summary="Print the command that makes the instance policy",
        run=_show_ispecs,
    ),
    Command(name="version", summary="Show versions", run=_version),
    Command(name="getmaster", summary="Show the master node", run=_getmaster),
    Command(
        name="backup",
        summary="Write the cluster's state and keys to a file, while jobs run",
        run=_backup,
        arguments=Arguments(shown="<file>", minimum=1, maximum=1, completes="file"),
        options=(Option(names=("-f", "--force"), flag=True, words="Overwrite the file"),),
    ),
    Command(
        name="restore",
        summary="Make this candidate the master with the state of a backup",
        run=_restore,
        arguments=Arguments(shown="<file>", minimum=1, maximum=1, completes="file"),
        options=(Option(names=("--yes-do-it",), flag=True, words="It is meant"),),
    ),
    Command(
        name="master-failover",
        summary="Make this node the master",
        run=_master_failover,
        options=(
            Option(names=("--no-voting",), flag=True, words="Accepted together with --yes-do-it"),
            Option(names=("--yes-do-it",), flag=True, words="It is meant"),
            Option(
                names=("--ignore-offline-nodes",),
                reads=boolean,
                metavar="yes|no",
                words="Accepted: nodes are not asked",
            ),
        ),
        details="Run it on the master candidate that is to be master.",
    ),
    Command(
        name="master-ping",
        summary="Exit with 0 if the master answers here, else with 1",
        run=_master_ping,
    ),
    Command(
        name="queue",
        summary="Drain the job queue, take jobs again, or show which",
        run=_queue,
        arguments=Arguments(shown="drain|undrain|info", minimum=1, maximum=1),
    ),
    Command(
        name="watcher",
        summary="Pause the watcher, let it go on, or show which",
        run=_watcher,
        arguments=Arguments(shown="pause <time>|continue|info", minimum=1, maximum=2),
    ),
    Command(
        name="simulate",
        summary="Say what would happen, played on a copy of this cluster; nothing is changed",
        run=_simulate,
        arguments=Arguments(shown="<event> [event...]", minimum=1, maximum=None),
        options=(
            Option(
                names=("--for",),
                metavar="TIME",
                reads=time_s,
                default=600,
                words="how long to look on after the last event; default 10m",
            ),
            Option(names=("--json",), flag=True, words="answer as one JSON object"),
        ),
        details=SIMULATE_DETAILS,
    ),
    STORE,
)
