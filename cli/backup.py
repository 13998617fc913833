"""``gnt-cluster backup`` and ``restore``: ``clusterd.backup`` with the real machine and store.

Decided here: where the state is read (a file beside its master, or at the master's door), and what
must be true before a machine may become master with a restored store.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from cli.command import Call
from cli.exits import CommandError, Exit
from cli.founding import finished, open_store
from cli.machine import Machine, services
from clusterd.backup import Backup, Manifest, fill, from_door, read_backup, write_backup
from clusterd.certificates import MASTER_CANDIDATE
from clusterd.configuration import Configuration
from clusterd.durable import make_directory, sync_directory, write_durable
from clusterd.settings import Settings
from jobqueue.store.interface import Entry, Transaction
from jobqueue.store.memory import MemoryStore
from jobqueue.store.sqlite_file import READ_ALL

PING_TIMEOUT_S = 3.0
ASIDE = ".before-restore"
USERS = "rapi/users"


def backup(call: Call) -> int:
    """``backup``: live, from one moment, while jobs run."""
    session, machine = call.session, Machine()
    settings = Settings.load(environment=session.environment).require_cluster()
    path = Path(call.arguments[0]).absolute()
    if path.exists() and not call.given("force"):
        raise CommandError(f"{path} exists; choose another name, or --force")
    if not path.parent.is_dir():
        raise CommandError(f"There is no directory {path.parent}")
    if settings.store.engine == "etcd":
        entries = from_door(session.door.call("ExportStore"))
    else:
        if not settings.store_path.exists():
            raise CommandError(f"This node is not the master: there is no {settings.store_path}")
        entries = _of_file(settings.store_path)
    made = write_backup(path, settings, entries, machine.now())
    session.out(f"{path}: {made.keys} keys of {made.cluster}, {path.stat().st_size} bytes")
    session.out("It holds the keys of the cluster: keep it where only you can read it")
    return Exit.SUCCESS


def _of_file(path: Path) -> Iterator[Entry]:
    """All keys of the embedded store, from one moment; the master goes on beside it."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            database.execute("BEGIN")
            for key, value, version in database.execute(READ_ALL):
                yield Entry(key, value, version)
    except sqlite3.Error as error:
        raise CommandError(f"The store {path} cannot be read: {error}") from None


def restore(call: Call) -> int:
    """``restore``: this machine becomes master with the state of a backup."""
    session = call.session
    settings = Settings.load(environment=session.environment).require_cluster()
    if not call.given("yes_do_it"):
        raise CommandError(
            "Restoring makes this machine the master with the state of the backup; what happened"
            " since is lost. Make sure that the old master is off or its clusterd-master stopped,"
            " then give --yes-do-it"
        )
    with read_backup(Path(call.arguments[0])) as found:
        _check(call, settings, found.manifest)
        _make_store(call, settings, found)
        users = found.file(f"state/{USERS}")
        if users and not settings.users_path.exists():
            make_directory(settings.users_path.parent, 0o750)
            write_durable(settings.users_path, users, 0o640)
    services(settings).start_all(lambda daemon: session.out(f"{daemon} serves"))
    session.out(f"{settings.node.name} is the master of {settings.cluster.name} now")
    return Exit.SUCCESS


def _check(call: Call, settings: Settings, manifest: Manifest) -> None:
    if manifest.uuid != settings.cluster.uuid:
        raise CommandError(
            f"The backup is of cluster {manifest.cluster} ({manifest.uuid}), this machine is part"
            f" of {settings.cluster.name} ({settings.cluster.uuid})"
        )
    if settings.node.role != MASTER_CANDIDATE:
        raise CommandError(f"{settings.node.name} is no master candidate and has not its keys")
    if settings.store.engine == "etcd":
        raise CommandError(
            "The state of this cluster is in etcd on its master candidates: as long as most of"
            " them live there is nothing to restore, see 'gnt-cluster master-failover'"
        )
    pid = services(settings).status("clusterd-master")
    if pid is not None:
        raise CommandError(
            f"clusterd-master runs here as process {pid}; end it with 'clusterd-master --stop'"
        )


def _make_store(call: Call, settings: Settings, found: Backup) -> None:
    """Aside first; what was there before is kept beside it."""
    machine, path = Machine(), settings.store_path
    fresh = path.with_name(f"{path.name}.restoring")
    _remove(fresh)
    store = open_store(fresh)
    try:
        finished(fill(store, found, settings.node.name, machine.now()))
        old = _old_master(found, settings)
        if old and machine.answers(old, settings.rapi.port, PING_TIMEOUT_S):
            raise CommandError(
                f"The remote API of the former master at {old} still answers: end clusterd-rapi"
                " and clusterd-master there, or cut its power"
            )
    except BaseException:
        finished(store.close())
        _remove(fresh)
        raise
    finished(store.close())
    for suffix in ("", "-wal", "-shm"):
        before = path.with_name(path.name + suffix)
        if before.exists():
            shutil.move(before, path.with_name(f"{path.name}{ASIDE}{suffix}"))
    for suffix in ("-wal", "-shm", ""):
        made = fresh.with_name(fresh.name + suffix)
        if made.exists():
            made.rename(path.with_name(path.name + suffix))
    sync_directory(path.parent)
    call.session.out(f"restored {found.manifest.keys} keys, taken on {found.manifest.node}")


def _old_master(found: Backup, settings: Settings) -> str:
    """The address of the master in the backup; empty if that is this machine."""
    configuration, store = Configuration(), MemoryStore()
    for line in found.lines():
        if line.key.startswith(("config/cluster/", "config/node/")):
            finished(store.commit(Transaction(puts=((line.key, line.value),))))
    finished(configuration.load(store))
    node = configuration.find_node(configuration.cluster.master_node)
    return "" if node is None or node.name == settings.node.name else node.primary_ip


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", ".lock"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
