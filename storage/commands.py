"""Running programs: the only subprocess code of the package.

Decided here: no shell, a fixed environment (C locale, system directories only), each program in a
process group of its own that is killed as a whole when its time is over, and secrets never shown
in a message, and that one running report serves all who ask for it. Not decided here: what a
failure means; that is the caller's.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from twisted.internet.defer import Deferred

from storage.errors import CommandFailed, CommandTimedOut
from storage.interface import USUAL, Output, Surroundings, Threads

ENVIRONMENT = {
    "LC_ALL": "C",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LVM_SUPPRESS_FD_WARNINGS": "1",
    "DRBD_DONT_WARN_ON_VERSION_MISMATCH": "1",
}
ERROR_LINES_SHOWN = 3
ERROR_CHARACTERS_SHOWN = 500
REAP_TIMEOUT_S = 5.0
"""How long a killed program may take to go; one stuck in the kernel is left behind."""
REPORTS = frozenset({"lvs", "vgs", "pvs"})
"""Programs that only tell. Mirrors and plain volumes ask for the same, at the same time."""
SECRET_OPTIONS = ("--shared-secret=",)


def shown(argv: tuple[str, ...]) -> str:
    """The command as a person may see it: quoted, secrets hidden."""
    words = []
    for word in argv:
        hidden = next((option for option in SECRET_OPTIONS if word.startswith(option)), None)
        words.append(f"{hidden}***" if hidden else shlex.quote(word))
    return " ".join(words)


def hung(argv: tuple[str, ...], timeout_s: float, left: int | None = None) -> str:
    """What is told of a command that did not end. ``left``: the process that not even a kill has
    ended, as the kernel does not let it go."""
    fate = "was killed" if left is None else f"cannot be killed (process {left} is in the kernel)"
    return (
        f"{shown(argv)} did not end within {timeout_s:g} s and {fate}; look at this node's disks"
        " and its kernel's log, then try again"
    )


def last_lines(output: Output) -> str:
    """What the program complained of, shortened to its end, where the reason is."""
    text = output.stderr.strip() or output.stdout.strip() or "no output"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines[-ERROR_LINES_SHOWN:])[-ERROR_CHARACTERS_SHOWN:]


def command_failed(argv: tuple[str, ...], output: Output, *, subject: str = "") -> CommandFailed:
    """The error for a command that ended with a failure."""
    return CommandFailed(
        f"{shown(argv)} failed with exit code {output.code}: {last_lines(output)}",
        subject=subject or argv[0],
    )


class ThreadedCommands:
    """Runs programs of this machine in threads.

    Invariant: a report is shared only with who asks while it runs, and only as long as nothing was
    begun or ended since that may have changed what it tells.
    """

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._changes = 0
        self._reports: dict[tuple[str, ...], tuple[int, list[Deferred[Output]]]] = {}

    async def run(
        self,
        *argv: str,
        timeout_s: float = 60.0,
        check: bool = True,
        stdin: str | None = None,
        around: Surroundings = USUAL,
    ) -> Output:
        """See ``storage.interface.Commands``."""
        if argv[0] in REPORTS:
            output = await self._report(argv, timeout_s)
        else:
            self._changes += 1
            try:
                output = await self._threads.run(run_blocking, argv, timeout_s, stdin, around)
            finally:
                self._changes += 1
        if check and output.code != 0:
            raise command_failed(argv, output)
        return output

    async def _report(self, argv: tuple[str, ...], timeout_s: float) -> Output:
        begun, listeners = self._reports.get(argv, (-1, []))
        if begun == self._changes:
            heard: Deferred[Output] = Deferred()
            listeners.append(heard)
            return await heard
        mine = self._reports[argv] = (self._changes, [])
        answer = Deferred.fromCoroutine(
            self._threads.run(run_blocking, argv, timeout_s, None, USUAL)
        )
        try:
            output = await answer
        except BaseException as failure:
            self._end(argv, mine)
            for listener in mine[1]:
                listener.errback(failure)
            raise
        self._end(argv, mine)
        for listener in mine[1]:
            listener.callback(output)
        return output

    def _end(self, argv: tuple[str, ...], mine: tuple[int, list[Deferred[Output]]]) -> None:
        if self._reports.get(argv) is mine:
            del self._reports[argv]

    async def read(self, path: str) -> str:
        """See ``storage.interface.Commands``."""
        return await self._threads.run(read_blocking, path)


_places: dict[str, str] = {}


def _place(name: str) -> str:
    """Where the program is; its bare name when it is nowhere.

    Looked for once, not by each process. One that is missing is looked for again the next time, for
    packages are installed while we run.
    """
    place = _places.get(name) or shutil.which(name, path=ENVIRONMENT["PATH"])
    if place is None:
        return name
    _places[name] = place
    return place


def read_blocking(path: str) -> str:
    """The text of a system file, empty when it is not there."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def run_blocking(
    argv: tuple[str, ...], timeout_s: float, stdin: str | None, around: Surroundings = USUAL
) -> Output:
    """Run a program to its end; raises CommandTimedOut, and CommandFailed if it cannot start."""
    with _given(stdin) as given:
        try:
            process = subprocess.Popen(
                argv,
                executable=_place(argv[0]),
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**ENVIRONMENT, **around.environment},
                cwd=around.directory,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise CommandFailed(
                f"{shown(argv)} cannot be started: {error.strerror}; is its package installed?",
                subject=argv[0],
            ) from error
    with process:
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            gone = _kill_group(process)
            raise CommandTimedOut(
                hung(argv, timeout_s, None if gone else process.pid), subject=argv[0]
            ) from None
    return Output(code=process.returncode, stdout=stdout, stderr=stderr)


@contextlib.contextmanager
def _given(stdin: str | None) -> Iterator[int]:
    """What a program reads: a file in memory, which unlike a pipe can be read twice."""
    if stdin is None:
        yield subprocess.DEVNULL
        return
    with os.fdopen(os.memfd_create("stdin"), "w+", encoding="utf-8") as file:
        file.write(stdin)
        file.seek(0)
        yield file.fileno()


def _kill_group(process: subprocess.Popen[str]) -> bool:
    """Kill the program with all that it started; False when it does not go."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(REAP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        # Uninterruptible in the kernel: ``with`` would wait for it without end.
        process.returncode = -signal.SIGKILL
        return False
    return True
