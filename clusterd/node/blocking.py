"""Work beside the reactor: functions in threads, and the site's scripts as processes.

Together with ``storage.commands`` the only place that starts threads or processes. A script has a
process group of its own; its output goes to a file, so a child that outlives it holds nobody up.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from typing import IO, Any, Protocol, TypeVar

from clusterd.verbs.host import Script, ScriptBusy, ScriptEnd
from hypervisors.interface import Threads

T = TypeVar("T")

MAX_OUTPUT_BYTES = 64 * 1024
REAP_TIMEOUT_S = 5.0


class Feed(Protocol):
    """The other end of a script's pipe."""

    writes: bool
    """True: to its standard input; False: from its standard output."""

    def through(self, pipe: IO[bytes]) -> None:
        """Read or write it to the end."""


class InlineThreads:
    """No threads: for simulated nodes, where nothing blocks."""

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """See ``Threads``."""
        return function(*args)


class ThreadedScripts:
    """Runs scripts, each watched by one thread of the given runner. Invariant: what runs is in
    ``_running``, so that ``kill_all`` leaves nothing behind."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ended = False

    async def run(self, script: Script) -> ScriptEnd:
        """See ``clusterd.verbs.host.Scripts``."""
        return await self._threads.run(self.run_blocking, script)

    def kill_all(self) -> None:
        """End every script that runs, and start none again: the daemon ends."""
        self._ended = True
        for process in list(self._running):
            _kill_group(process)

    def run_blocking(self, script: Script) -> ScriptEnd:
        """The script to its end. One that cannot be started ends with code 127."""
        lock = _lock(script.lock) if script.lock else None
        try:
            with _output(script.log) as output:
                code, timed_out = self._run(script, output, lock)
                return ScriptEnd(code=code, output=_tail(output), timed_out=timed_out)
        finally:
            if lock is not None:
                os.close(lock)

    def piped_blocking(self, script: Script, feed: Feed, told: tuple[int, ...] = ()) -> ScriptEnd:
        """The same with one end of a pipe: ``feed`` reads its output, or writes its input, until it
        is done or the pipe breaks. ``told`` are descriptors that it inherits."""
        lock = _lock(script.lock) if script.lock else None
        try:
            with _output(script.log) as output:
                code = self._fed(script, feed, output, (*told, *(() if lock is None else (lock,))))
                return ScriptEnd(code=code, output=_tail(output))
        finally:
            if lock is not None:
                os.close(lock)

    def _fed(self, script: Script, feed: Feed, output: IO[bytes], kept: tuple[int, ...]) -> int:
        process = subprocess.Popen(
            script.argv,
            stdin=subprocess.PIPE if feed.writes else subprocess.DEVNULL,
            stdout=output if feed.writes else subprocess.PIPE,
            stderr=output,
            env=script.environment,
            cwd=script.directory,
            start_new_session=True,
            pass_fds=kept,
        )
        self._running.add(process)
        pipe = process.stdin if feed.writes else process.stdout
        assert pipe is not None
        try:
            if self._ended:
                _kill_group(process)
            try:
                feed.through(pipe)
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
            except BaseException:
                _kill_group(process)
                raise
            return process.wait(script.timeout_s)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            return -signal.SIGKILL
        finally:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
            self._running.discard(process)

    def _run(self, script: Script, output: IO[bytes], lock: int | None) -> tuple[int, bool]:
        try:
            process = subprocess.Popen(
                script.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=script.environment,
                cwd=script.directory,
                start_new_session=True,
                # whoever of the script lives on keeps the lock
                pass_fds=() if lock is None else (lock,),
            )
        except OSError as error:
            output.write(f"{script.argv[0]} cannot be started: {error.strerror}\n".encode())
            return 127, False
        self._running.add(process)
        try:
            if self._ended:
                _kill_group(process)
            return process.wait(script.timeout_s), False
        except subprocess.TimeoutExpired:
            _kill_group(process)
            return -signal.SIGKILL, True
        finally:
            self._running.discard(process)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(REAP_TIMEOUT_S)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        # gone already, or stuck in the kernel: it is left behind
        return


def _output(log: str) -> IO[bytes]:
    if not log:
        return tempfile.TemporaryFile()
    descriptor = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
    return os.fdopen(descriptor, "r+b", buffering=0)


def _tail(output: IO[bytes]) -> str:
    output.flush()
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - MAX_OUTPUT_BYTES))
    return output.read().decode("utf-8", "replace")


def _lock(path: str) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ScriptBusy(
            f"an earlier run still holds {path}; end it, or wait", subject=path
        ) from None
    return descriptor
