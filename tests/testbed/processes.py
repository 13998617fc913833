"""Finding, recording and killing the processes of a node host.

A node host is several processes of one process group. Its leader's pid is recorded together with
its start time, so that a record left by a crash never points at somebody else's process.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import msgspec

from tests.testbed.shell import TestbedError, run

DEATH_S = 10.0
STANDING = "TtZX"
"""States of a thread that does not run: stopped, held by its tracer, dead."""


class Leader(msgspec.Struct, frozen=True):
    """The first process of a group, as recorded."""

    pid: int
    started: int
    """Clock ticks from boot to its start."""


class Stat(msgspec.Struct, frozen=True):
    """The fields of /proc/PID/stat that count here."""

    state: str
    group: int
    started: int


def stat(pid: int) -> Stat | None:
    """What the kernel says of ``pid``, or None."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return Stat(state=fields[0], group=int(fields[2]), started=int(fields[19]))


def spawn(argv: list[str], *, pid_file: Path, log: Path, environment: dict[str, str]) -> Leader:
    """Start ``argv`` in a session of its own, detached from this process; answers its leader.

    The shell in between writes the pid before it becomes the command, so no moment exists in which
    the command runs without a record.
    """
    pid_file.unlink(missing_ok=True)
    script = 'exec </dev/null >>"$2" 2>&1; echo $$ >"$1.new"; mv "$1.new" "$1"; shift 2; exec "$@"'
    settings = [f"{name}={value}" for name, value in environment.items()]
    head = ["env", *settings, "setsid", "--fork", "sh", "-c", script, "sh"]
    run([*head, str(pid_file), str(log), *argv])
    deadline = time.monotonic() + DEATH_S
    while not pid_file.exists():
        if time.monotonic() > deadline:
            raise TestbedError(f"{argv[0]} did not start; see {log}")
        time.sleep(0.01)
    pid = int(pid_file.read_text())
    seen = stat(pid)
    leader = Leader(pid=pid, started=seen.started if seen else 0)
    pid_file.write_bytes(msgspec.json.encode(leader))
    return leader


def recorded(pid_file: Path) -> Leader | None:
    """The leader recorded in ``pid_file`` if it still runs."""
    try:
        text = pid_file.read_bytes()
    except FileNotFoundError:
        return None
    try:
        leader = msgspec.json.decode(text, type=Leader)
    except msgspec.DecodeError:  # the driver died before it added the start time
        return None
    seen = stat(leader.pid)
    if seen is None or seen.started != leader.started or seen.state == "Z":
        return None
    return leader


def group_members(group: int) -> list[int]:
    """The living processes of a process group."""
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    seen = [(pid, stat(pid)) for pid in pids]
    return [pid for pid, found in seen if found and found.group == group and found.state != "Z"]


def send_group(leader: Leader, number: signal.Signals) -> None:
    """Send a signal to the whole group; gone is success."""
    try:
        os.killpg(leader.pid, number)
    except ProcessLookupError:
        return


def freeze_group(leader: Leader) -> None:
    """No thread of the group runs any more: until the kernel has told each of them, the others go
    on, for long enough to answer on a busy machine. Raises TestbedError."""
    send_group(leader, signal.SIGSTOP)
    deadline = time.monotonic() + DEATH_S
    while running := [pid for pid in group_members(leader.pid) if not has_stopped(pid)]:
        if time.monotonic() > deadline:
            raise TestbedError(f"processes {running} of group {leader.pid} do not stop")
        time.sleep(0.001)


def has_stopped(pid: int) -> bool:
    """Whether every thread of ``pid`` stands still; one that has gone does."""
    try:
        threads = [int(entry) for entry in os.listdir(f"/proc/{pid}/task")]
    except (FileNotFoundError, ProcessLookupError):
        return True
    seen = [stat(thread) for thread in threads]
    return all(found is None or found.state in STANDING for found in seen)


def kill_group(leader: Leader) -> None:
    """Kill the group and wait until nothing of it is left: its files may be used again then."""
    send_group(leader, signal.SIGKILL)
    wait_group_gone(leader)


def wait_group_gone(leader: Leader, timeout_s: float = DEATH_S) -> None:
    """Wait until no process of the group lives. Raises TestbedError."""
    deadline = time.monotonic() + timeout_s
    while left := group_members(leader.pid):
        if time.monotonic() > deadline:
            raise TestbedError(f"processes {left} of group {leader.pid} do not end")
        time.sleep(0.05)
