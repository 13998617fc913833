"""The commands as a whole: nothing is missing, everything has help, and reading starts at once."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import catalogue, completion, declarations, manual
from cli.arguments import option_of
from cli.catalogue import Effect
from cli.command import Command
from cli.compatibility import INTERNAL, SPELLINGS
from cli.session import RealSession
from cli.spelling import Spelling
from cli.tools import TOOLS
from cli.unserved import UNSERVED
from tests.unit.cli_stage import Stage, job_answers, log, stage_in


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as made:
        yield made


COMMANDS: list[tuple[str, Command]] = [
    (tool, command) for tool in TOOLS for command in catalogue.commands(tool)
]
IDS = [f"{tool} {command.name}" for tool, command in COMMANDS]


def test_the_tools_are_those_that_are_installed() -> None:
    # run, setup.py would install; its table is read instead
    text = (Path(__file__).parents[2] / "setup.py").read_text()
    _, _, rest = text.partition("GNT_COMMANDS = ")
    installed = ast.literal_eval(rest.partition(")")[0] + ")")
    assert sorted(TOOLS) == sorted(installed) == sorted(UNSERVED)


def test_every_opcode_is_a_command_or_said_to_be_internal() -> None:
    opcodes = {name for name in declarations.modules() if declarations.load(name) is not None}
    spelled = {spelling.opcode for spelling in SPELLINGS if spelling.opcode}
    assert spelled <= opcodes
    assert opcodes >= INTERNAL
    assert not spelled & INTERNAL
    derived = set()
    for tool in TOOLS:
        derived |= {
            spelling.opcode for spelling in catalogue._unspelled(tool, declarations.modules())
        }
    assert opcodes == spelled | INTERNAL | (derived & opcodes)


@pytest.mark.parametrize("spelling", SPELLINGS, ids=[f"{s.tool} {s.name}" for s in SPELLINGS])
def test_rows_name_fields_that_exist(spelling: Spelling) -> None:
    declaration = (
        declarations.load_request(spelling.request)
        if spelling.request
        else declarations.load(spelling.opcode)
    )
    assert declaration is not None
    named = {option.field for option in spelling.options if option.field}
    named |= {*spelling.hidden, *spelling.positional, *spelling.fixed}
    assert named <= set(declaration.fields)


def test_an_opcode_without_a_row_is_a_command_all_the_same(stage: Stage) -> None:
    spelling = Spelling(tool="cluster", name="verify-config", opcode="cluster_verify_config")
    command = catalogue.derived(spelling, Effect())
    assert command is not None
    assert command.summary == "Verify the configuration"
    names = {name for option in command.options for name in option.names}
    assert names >= {"--error-codes", "--ignore-errors", "--verbose", "--submit", "--dry-run"}


def test_a_field_makes_an_option_by_its_type() -> None:
    declaration = declarations.load("instance_create")
    assert declaration is not None
    kinds = {name: field.kind for name, field in declaration.fields.items()}
    assert kinds["start"] == "unflag"
    assert kinds["ip_check"] == "flag"
    assert kinds["no_install"] == "switch"
    assert kinds["tags"] == "names"
    assert kinds["hvparams"] == "params"
    assert kinds["file_driver"] == "choice"
    assert kinds["helper_startup_timeout"] == "integer"
    assert kinds["disks"] == "json"
    assert option_of(declaration.fields["start"]).names == ("--no-start",)
    cluster = declarations.load("cluster_set_params")
    assert cluster is not None
    assert cluster.fields["hvparams"].kind == "nested"
    assert option_of(cluster.fields["hvparams"]).many


@pytest.mark.parametrize("tool", TOOLS)
def test_without_a_command_all_are_shown(stage: Stage, tool: str) -> None:
    ended = stage.run(tool)
    assert ended.code == 1
    assert ended.out[0] == f"Usage: gnt-{tool} {{command}} [options...] [argument...]"
    shown = {line.split()[0] for line in ended.out[4:] if line[:1] == " " and line[1:2] != " "}
    assert shown == set(catalogue.entries(tool))
    assert stage.run(tool, "nosuchcommand") == ended
    helped = stage.run(tool, "--help")
    assert (helped.code, helped.out) == (0, ended.out)
    assert stage.run(tool, "--version").out[0].startswith(f"gnt-{tool} (clusterd ")


@pytest.mark.parametrize(("tool", "command"), COMMANDS, ids=IDS)
def test_every_command_has_help_with_all_its_options(
    stage: Stage, tool: str, command: Command
) -> None:
    ended = stage.run(tool, command.name, "--help")
    assert (ended.code, ended.err) == (0, [])
    text = "\n".join(ended.out)
    assert text.startswith(f"Usage\n=====\n  gnt-{tool} {command.name}")
    names = [name for option in command.options for name in option.names]
    assert all(f"{name}=" in text or name in text for name in names)
    assert len(names) == len(set(names)), f"spelled twice: {sorted(names)}"
    keys = [option.key for option in command.options]
    assert len(keys) == len(set(keys)), f"one key twice: {sorted(keys)}"
    assert all(option.words for option in command.options)
    for alias in command.aliases:
        assert stage.run(tool, alias, "-h").out == ended.out


@pytest.mark.parametrize(
    ("tool", "command"),
    [row for row in COMMANDS if not row[1].served],
    ids=[name for name, row in zip(IDS, COMMANDS, strict=True) if not row[1].served],
)
def test_what_is_not_served_is_refused_plainly(stage: Stage, tool: str, command: Command) -> None:
    ended = stage.run(tool, command.name, "x")
    assert (ended.code, ended.out) == (1, [])
    assert ended.err == [f"gnt-{tool} {command.name} is not served yet by this version"]
    assert stage.responder.calls == []


READING = """
import sys
from cli.main import run
from cli.session import RealSession
code = run(sys.argv[1], sys.argv[2:], RealSession({"CLUSTERD_ROOT": "/nonexistent"}))
print(code, sorted({name.partition(".")[0] for name in sys.modules}
      & {"twisted", "asyncio", "rich", "paramiko", "cryptography", "pyparsing", "structlog"}))
"""


@pytest.mark.parametrize(
    "words", [["node", "list"], ["job", "list", "--running"], ["cluster", "info"]], ids=" ".join
)
def test_reading_imports_nothing_heavy(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READING, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "5 []\n", done.stderr


def test_the_programs_end_with_the_exit_code_and_without_a_traceback(tmp_path: Path) -> None:
    with stage_in(tmp_path) as stage:
        stage.answer(QueryConfigValues=["n1"], Query={"fields": [], "data": []})
        environment = {**os.environ, "FORCE_LUXI_SOCKET": str(stage.responder.path)}

        def program(name: str, *words: str) -> subprocess.CompletedProcess[str]:
            code = f"import sys; from cli.main import {name}; sys.exit({name}())"
            return subprocess.run(
                [sys.executable, "-c", code, *words],
                capture_output=True,
                text=True,
                check=False,
                env=environment,
                timeout=60,
            )

        done = program("cluster", "getmaster")
        assert (done.returncode, done.stdout, done.stderr) == (0, "n1\n", "")
        done = program("os", "list")
        assert (done.returncode, done.stdout, done.stderr) == (0, "Name\n", "")
        done = program("filter", "add")
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)


def test_a_reader_that_goes_away_is_no_failure_worth_words(tmp_path: Path) -> None:
    code = "import sys; from cli.main import instance; sys.exit(instance())"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_completion_in_bash(tmp_path: Path) -> None:
    script = tmp_path / "completion"
    script.write_text(completion.script())
    cases = {
        "gnt-instance mig": "migrate",
        "gnt-instance start": "startup start",
        "gnt-instance reboot --ty": "--type",
        "gnt-instance reboot -t s": "soft",
        "gnt-instance reboot --type = h": "hard",
        "gnt-node modify -O y": "yes",
        "gnt-instance remove w": "web1 web2",
        "gnt-instance add -n n": "n1",
        "gnt-job info 1": "12",
    }
    asked = (
        "gnt-instance() { echo web1; echo web2; }; gnt-node() { echo n1; }; gnt-job() { echo 12; }"
    )
    for line, expected in cases.items():
        words = line.split(" ")
        done = subprocess.run(
            [
                "bash",
                "-c",
                f"source {script}; {asked}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1};"
                ' _clusterd_complete; echo "${COMPREPLY[@]}"',
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert (done.stdout.strip(), done.stderr) == (expected, ""), line


def test_manual_pages(tmp_path: Path) -> None:
    assert manual.main([str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"gnt-{t}.8" for t in TOOLS)
    for tool in TOOLS:
        text = (tmp_path / f"gnt-{tool}.8").read_text()
        for name in catalogue.entries(tool):
            assert f".SS {manual.escaped(name)}" in text
        assert all(line[:1] != "'" for line in text.split("\n"))
    assert "\\-\\-disk\\-template" in (tmp_path / "gnt-instance.8").read_text()
    assert manual.escaped(".x\n'y\\") == "\\&.x\n\\&'y\\e"
    assert manual.main([]) == 2


def typed(text: str) -> bool:
    """The answer of a person who types ``text``."""
    person, terminal = pty.openpty()
    session = RealSession({}, terminal=os.ttyname(terminal))
    try:
        os.write(person, text.encode())
        return session.ask("Go on?")
    finally:
        os.close(person)
        os.close(terminal)


@pytest.mark.parametrize(
    ("text", "answer"),
    [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("?\nwhat\ny\n", True)],
)
def test_questions_are_asked_on_the_terminal(text: str, answer: bool) -> None:
    assert typed(text) is answer


def test_without_a_terminal_the_answer_is_no_and_the_question_is_told(tmp_path: Path) -> None:
    err = io.StringIO()
    assert RealSession({}, err=err, terminal=str(tmp_path / "none")).ask("Remove web1?") is False
    assert err.getvalue().splitlines() == [
        "Nothing was done, as there is no terminal to ask on: Remove web1?",
        "See --help for what answers yes",
    ]


def on_a_terminal(code: str, words: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """The exit code and all that a terminal shows of a program."""
    screen, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment,
        start_new_session=True,
    ) as program:
        os.close(terminal)
        shown = b""
        # the terminal's end is an error when the last program has closed it
        with contextlib.suppress(OSError):
            while data := os.read(screen, 65536):
                shown += data
        code_ = program.wait(60)
    os.close(screen)
    return code_, shown.decode()


def test_a_person_who_watches_sees_the_lines_and_what_moves(tmp_path: Path) -> None:
    answers = [
        [["running"], [log(1, "* copying [x] 42.5% done")]],
        [["success"], [log(2, "* starting")]],
    ]

    def change(*_args: Any) -> Any:
        time.sleep(0.3)
        return answers.pop(0)

    with stage_in(tmp_path) as stage:
        stage.answer(**job_answers() | {"WaitForJobChange": change})
        code, shown = on_a_terminal(
            "import sys; from cli.main import node; sys.exit(node())",
            ["remove", "n2"],
            {**os.environ, "FORCE_LUXI_SOCKET": str(stage.responder.path), "TERM": "xterm"},
        )
    assert code == 0
    assert " * copying [x] 42.5% done\r\n" in shown
    assert " * starting\r\n" in shown
    assert "job 12 submitted" in shown
    assert "job 12 running * copying [x]" in shown
