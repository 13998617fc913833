"""The documents name what is there: commands, paths, ports, users, packages."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from cli import catalogue
from cli.arguments import EVERYWHERE
from cli.command import Command
from clusterd import names
from clusterd.settings import Settings
from tests.meta.sources import CHECKOUT

DOCUMENTS = sorted(
    [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *(CHECKOUT / "docs").rglob("*.md")]
)
INSTALL = CHECKOUT / "docs/install.md"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


def make_targets() -> set[str]:
    """What ``make`` can be asked for."""
    return set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_make_commands_exist(document: Path) -> None:
    text = document.read_text()
    wanted = set(re.findall(r"(?:^    |`)make ([a-z-]+)", text, re.MULTILINE))
    assert wanted <= make_targets()


def test_every_target_of_the_makefile_is_phony_and_known_to_help() -> None:
    text = (CHECKOUT / "Makefile").read_text()
    phony = set(re.search(r"\.PHONY: ((?:.*\\\n)*.*)", text)[1].replace("\\\n", " ").split())  # type: ignore[index]
    assert phony == make_targets()


def test_the_build_server_runs_the_test_command_of_the_readme() -> None:
    command = (CHECKOUT / ".ci/run").read_text().splitlines()[-1]
    assert command.endswith("exec make check")
    assert "\n    make check " in (CHECKOUT / "README.md").read_text()


def test_the_installation_names_the_real_places() -> None:
    text = INSTALL.read_text()
    for place in (
        names.CONFIG_DIRECTORY,
        names.STATE_DIRECTORY,
        names.RUN_DIRECTORY,
        names.LOG_DIRECTORY,
        f"{names.CONFIG_DIRECTORY}/{names.SETTINGS_FILE}",
        str(names.NODE_PORT),
        str(names.RAPI_PORT),
        f"{names.FIRST_DRBD_PORT}-{names.LAST_DRBD_PORT}",
        Settings().rapi.user,
        str(Settings().users_path),
        "/opt/clusterd",
    ):
        assert place in text, f"docs/install.md does not name {place}"
    for unit in (CHECKOUT / "clusterd/share/systemd").glob("*.service"):
        assert unit.stem in text


def packages(text: str) -> set[str]:
    """The package names after ``apt-get install`` in a document's block."""
    found = re.search(r"apt-get install --no-install-recommends((?: \\\n|.)*)", text)
    assert found
    return set(found[1].replace("\\\n", " ").split())


def test_the_installations_packages_are_tested_ones() -> None:
    """What production needs is part of the list that the checks install, but what only a real
    machine has (its boot, its bridge) or an operator (git).
    """
    listed = (CHECKOUT / ".ci/system-packages.txt").read_text()
    tested = {line for line in listed.splitlines() if line and not line.startswith("#")}
    assert packages(INSTALL.read_text()) - tested <= {"bridge-utils", "git"}


def test_nothing_speaks_of_the_machine_it_was_written_on() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    own = f"{CHECKOUT}/".encode()
    wrong = [
        name
        for name in tracked
        if name and (CHECKOUT / name).is_file() and own in (CHECKOUT / name).read_bytes()
    ]
    assert wrong == []


ROOMS = ("clusterd", "jobqueue", "storage", "hypervisors", "cli", "rapi", "tests", "docs", ".ci")
PLACEHOLDER = re.compile(r"[A-Z]{3}|[*{<$]")
ON_NODES = {"rapi/users", "clusterd/data/"}
"""Paths below the state directory, and a prefix of keys in a store, that begin like our folders."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_paths_lead_somewhere(document: Path) -> None:
    text = document.read_text().replace("```", "")
    words = [(span.split() or [""])[0] for span in re.findall(r"`([^`\n]+)`", text)]
    named = [word for word in words if "/" in word and word.split("/")[0] in ROOMS]
    for word in named:
        if not PLACEHOLDER.search(word) and word not in ON_NODES:
            assert (CHECKOUT / word).exists(), f"{document.name} names {word}"


def command_lines(text: str) -> list[list[str]]:
    """Each ``gnt-...`` of a document, in blocks and in spans, as words; without comments."""
    joined = text.replace("\\\n", " ")
    spans = re.findall(r"`(gnt-[^`]+)`", joined)
    blocks = re.findall(r"^ *(?:\$ )?(gnt-[^\n#|]+)", joined, re.MULTILINE)
    return [re.sub(r"'[^']*'|\"[^\"]*\"", "TEXT", line).split() for line in (*spans, *blocks)]


def spoken(words: list[str]) -> tuple[Command, list[str]] | None:
    """The command of a line and the words after it; None where a line names a tool only."""
    tool, *rest = words
    names = [word for word in rest if re.fullmatch(r"[a-z][a-z0-9-]*", word)][:2]
    if not names or rest[0] != names[0]:
        return None
    for count in (2, 1):
        word = "-".join(rest[:count])
        found = catalogue.find(tool.removeprefix("gnt-"), word) if len(rest) >= count else None
        if found is not None:
            return found, rest[count:]
    raise AssertionError(f"there is no '{tool} {names[0]}'")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_their_options_exist(document: Path) -> None:
    for words in command_lines(document.read_text()):
        one = spoken(words)
        if one is None or not one[0].served:
            continue
        known = {name for option in (*one[0].options, *EVERYWHERE) for name in option.names}
        for word in one[1]:
            option = re.match(r"--[a-z][a-z-]*|-[A-Za-z]\b", word)
            if option is not None:
                assert option[0] in known, f"{document.name}: {' '.join(words)}: {option[0]}"
