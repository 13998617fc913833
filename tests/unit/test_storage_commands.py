"""Running programs: environment, exit codes, time limits, secrets."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from storage.commands import ThreadedCommands, shown
from storage.errors import CommandFailed, CommandTimedOut
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
    with pytest.raises(CommandTimedOut, match=r"within 0\.5 s"):
        finish(COMMANDS.run("sh", "-c", script, timeout_s=0.5))
    assert time.monotonic() - started < 5
    child = Path(f"/proc/{pid_file.read_text().strip()}/stat")
    deadline = time.monotonic() + 5
    while child.exists() and ") Z " not in child.read_text():
        assert time.monotonic() < deadline, "the child was left behind"
        time.sleep(0.02)


def test_system_file_is_read_and_absence_is_empty(tmp_path: Path) -> None:
    assert finish(COMMANDS.read("/proc/self/comm"))
    assert finish(COMMANDS.read(str(tmp_path / "nothing"))) == ""
