"""Running programs: environment, exit codes, time limits, secrets."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from storage.commands import ThreadedCommands, hung, shown
from storage.errors import CommandFailed, CommandTimedOut
from storage.interface import Output
from tests.contracts.storage import InPlace, finish

COMMANDS = ThreadedCommands(InPlace())


def test_output_and_exit_code_are_answered() -> None:
    output = finish(COMMANDS.run("sh", "-c", "echo out; echo err >&2; exit 3", check=False))
    assert (output.code, output.stdout, output.stderr) == (3, "out\n", "err\n")


def test_failure_names_the_command_and_the_end_of_its_complaint() -> None:
    script = "for n in 1 2 3 4 5; do echo line $n >&2; done; exit 5"
    with pytest.raises(CommandFailed) as caught:
        finish(COMMANDS.run("sh", "-c", script))
    assert "exit code 5: line 3; line 4; line 5" in caught.value.message


def test_secrets_are_not_shown() -> None:
    with pytest.raises(CommandFailed) as caught:
        finish(COMMANDS.run("false", "--shared-secret=hush", "a b"))
    assert caught.value.message.startswith("false --shared-secret=*** 'a b' failed")
    assert "hush" not in shown(("drbdsetup", "--shared-secret=hush"))


def test_environment_is_ours_alone() -> None:
    os.environ["CLUSTERD_TEST_LEAK"] = "1"
    try:
        text = finish(COMMANDS.run("env")).stdout
    finally:
        del os.environ["CLUSTERD_TEST_LEAK"]
    assert "LC_ALL=C\n" in text
    assert "CLUSTERD_TEST_LEAK" not in text


def test_program_that_is_not_there() -> None:
    with pytest.raises(CommandFailed, match="cannot be started"):
        finish(COMMANDS.run("no-such-program-anywhere"))


def test_standard_input_can_be_read_twice_and_is_else_empty() -> None:
    twice = "cat; cat /proc/self/fd/0"
    assert finish(COMMANDS.run("sh", "-c", twice, stdin="two\n")).stdout == "two\ntwo\n"
    assert finish(COMMANDS.run("cat")).stdout == ""


def test_time_limit_kills_what_the_program_started_too(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"sleep 60 & echo $! >{pid_file}; wait"
    started = time.monotonic()
    with pytest.raises(CommandTimedOut, match=r"^sh -c .* within 0\.5 s and was killed; look at"):
        finish(COMMANDS.run("sh", "-c", script, timeout_s=0.5))
    assert time.monotonic() - started < 5
    child = Path(f"/proc/{pid_file.read_text().strip()}/stat")
    deadline = time.monotonic() + 5
    while child.exists() and ") Z " not in child.read_text():
        assert time.monotonic() < deadline, "the child was left behind"
        time.sleep(0.02)


def test_what_the_kernel_does_not_let_go_is_said_to_be_left() -> None:
    told = hung(("lvcreate", "-L", "1g"), 60.0, 4711)
    assert told.startswith(
        "lvcreate -L 1g did not end within 60 s and cannot be killed (process 4711"
    )


def test_system_file_is_read_and_absence_is_empty(tmp_path: Path) -> None:
    assert finish(COMMANDS.read("/proc/self/comm"))
    assert finish(COMMANDS.read(str(tmp_path / "nothing"))) == ""


class Hands:
    """A thread runner whose work ends when it is told to."""

    def __init__(self) -> None:
        self.begun: list[tuple[Any, Deferred[Any]]] = []

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        done: Deferred[Any] = Deferred()
        self.begun.append((args[0], done))
        return await done

    def end(self, at: int, output: Output | Exception) -> None:
        done = self.begun[at][1]
        done.callback(output) if isinstance(output, Output) else done.errback(output)


def said(text: str) -> Output:
    return Output(code=0, stdout=text, stderr="")


def test_one_report_serves_all_who_ask_while_it_runs() -> None:
    hands = Hands()
    commands = ThreadedCommands(hands)
    asked = [Deferred.fromCoroutine(commands.run("lvs", "-a")) for _ in range(3)]
    other = Deferred.fromCoroutine(commands.run("lvs", "xenvg"))
    assert [argv for argv, _ in hands.begun] == [("lvs", "-a"), ("lvs", "xenvg")]
    hands.end(0, said("all"))
    assert [one.result.stdout for one in asked] == ["all"] * 3
    assert not other.called
    Deferred.fromCoroutine(commands.run("lvs", "-a"))
    assert len(hands.begun) == 3


@pytest.mark.parametrize("ended", [False, True])
def test_a_report_that_was_begun_before_a_change_is_not_shared(ended: bool) -> None:
    hands = Hands()
    commands = ThreadedCommands(hands)
    if ended:
        Deferred.fromCoroutine(commands.run("lvremove", "xenvg/a"))
    early = Deferred.fromCoroutine(commands.run("lvs"))
    if ended:
        hands.end(0, said(""))
    else:
        Deferred.fromCoroutine(commands.run("lvcreate", "xenvg"))
    late = Deferred.fromCoroutine(commands.run("lvs"))
    reports = [at for at, (argv, _) in enumerate(hands.begun) if argv == ("lvs",)]
    assert len(reports) == 2
    hands.end(reports[0], said("old"))
    hands.end(reports[1], said("new"))
    assert (early.result.stdout, late.result.stdout) == ("old", "new")


def test_a_report_that_fails_fails_for_all_who_asked() -> None:
    hands = Hands()
    commands = ThreadedCommands(hands)
    asked = [Deferred.fromCoroutine(commands.run("vgs")) for _ in range(2)]
    hands.end(0, CommandTimedOut("late", subject="vgs"))
    for one in asked:
        with pytest.raises(CommandTimedOut):
            finish(_awaited(one))


async def _awaited(one: Deferred[Any]) -> Any:
    return await one
