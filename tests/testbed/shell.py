"""Running commands on this machine for the testbed, and what is said when one fails."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import msgspec

OUTPUT_SHOWN = 2000
"""Characters of a failed command's output that its error repeats."""


class TestbedError(Exception):
    """The testbed could not do what it was asked."""

    __test__ = False


class Completed(msgspec.Struct, frozen=True):
    """How a command ended."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """True if the command answered 0."""
        return self.code == 0


class CommandFailed(TestbedError):
    """A command answered something else than 0, or did not end in time."""

    def __init__(self, where: str, completed: Completed) -> None:
        said = (completed.stderr.strip() or completed.stdout.strip())[-OUTPUT_SHOWN:]
        command = " ".join(completed.argv)[:400]
        super().__init__(f"{where}: {command!r} answered {completed.code}: {said}")
        self.completed = completed


def run(
    argv: Sequence[str],
    *,
    where: str = "this machine",
    shown: Sequence[str] | None = None,
    timeout_s: float = 60.0,
    check: bool = True,
    stdin: str = "",
) -> Completed:
    """Run ``argv`` and wait for it. ``shown`` is what messages call it.

    A command that does not end in time is killed and raises CommandFailed with code 124, checked or
    not: nobody can go on from a half-done command.
    """
    named = tuple(shown if shown is not None else argv)
    try:
        done = subprocess.run(
            list(argv), input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except FileNotFoundError as error:
        raise TestbedError(f"{argv[0]} is not installed: run 'make setup' first") from error
    except subprocess.TimeoutExpired as error:
        late = Completed(named, 124, _text(error.stdout), f"no end within {timeout_s:g} s")
        raise CommandFailed(where, late) from None
    completed = Completed(named, done.returncode, done.stdout, done.stderr)
    if check and not completed.ok:
        raise CommandFailed(where, completed)
    return completed


def _text(output: bytes | str | None) -> str:
    if output is None:
        return ""
    return output.decode(errors="replace") if isinstance(output, bytes) else output
