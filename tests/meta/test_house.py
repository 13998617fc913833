"""The house holds together: layers, imports, entry points, the lists that must agree."""

from __future__ import annotations

import configparser
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from clusterd import names
from tests.meta.sources import CHECKOUT, PACKAGES, module_of, product_files

UNITS = sorted((CHECKOUT / "clusterd/share/systemd").glob("*.service"))
ROOT_ENTRIES = {
    *PACKAGES,
    *("tests", "docs", "newsfragments", ".ci", ".git", ".gitignore"),
    *("README.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "setup.py", "pyproject.toml"),
}


def test_arrows_go_down_only() -> None:
    done = subprocess.run(
        [CHECKOUT / ".venv/bin/lint-imports"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_top_of_the_tree_is_as_designed() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {path.split("/")[0] for path in listed} - ROOT_ENTRIES == set()


@pytest.mark.parametrize("module", [module_of(path) for path in product_files()])
def test_every_module_imports(module: str) -> None:
    importlib.import_module(module)


def test_importing_the_product_starts_no_reactor() -> None:
    modules = [module_of(path) for path in product_files() if path.name != "daemons.py"]
    code = (
        f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\n"
        "sys.exit('twisted.internet.reactor' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"a module imports the reactor: {done.stderr[-2000:]}"


def scripts() -> set[str]:
    """The commands that setup.py installs, found where they were installed."""
    text = (CHECKOUT / "setup.py").read_text()
    groups = re.search(r"GNT_COMMANDS = \((.*?)\)", text, re.DOTALL)
    assert groups
    commands = {f"gnt-{name}" for name in re.findall(r'"(\w+)"', groups[1])}
    return commands | set(re.findall(r'"(clusterd-\w+) = ', text))


@pytest.mark.parametrize("name", sorted(scripts()))
def test_every_command_is_installed_and_its_entry_point_exists(name: str) -> None:
    script = (CHECKOUT / ".venv/bin" / name).read_text()
    found = re.search(r"from (\S+) import (\S+)", script)
    assert found, script
    assert callable(getattr(importlib.import_module(found[1]), found[2]))


def test_there_is_one_unit_a_daemon() -> None:
    daemons = {name for name in scripts() if name.startswith("clusterd-")}
    assert {path.stem for path in UNITS} == daemons


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_starts_its_daemon_again_and_outlives_the_journal(unit: Path) -> None:
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    assert parsed.read(unit)
    service = parsed["Service"]
    assert service["ExecStart"] == f"/opt/clusterd/bin/{unit.stem} --foreground"
    assert service["Type"] == "notify"
    assert service["Restart"] == "always"
    assert service["IgnoreSIGPIPE"] == "yes"
    assert parsed["Unit"]["StartLimitIntervalSec"] == "0", "systemd must never give up"
    assert parsed["Unit"]["ConditionPathExists"].startswith(names.CONFIG_DIRECTORY + "/") or (
        parsed["Unit"]["ConditionPathExists"].startswith(names.STATE_DIRECTORY + "/")
    )


def test_systemd_understands_the_units() -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *UNITS],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if "is not executable" not in line]
    assert not said, "\n".join(said)
