"""The RAPI gives up root's rights: what becomes of it when its user may not read the program."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusterd.settings import Settings
from tests.ports import free_port
from tests.unit.places import CHECKOUT, NODE, node_settings

pytestmark = pytest.mark.real

USER = "nobody"
PACKAGES = ("cli", "clusterd", "hypervisors", "jobqueue", "rapi", "storage")
START = "from cli.daemons import rapi; rapi()"


@pytest.fixture
def place() -> Iterator[Path]:
    """Where everybody may go, unlike pytest's own directories."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        os.chmod(directory, 0o755)
        program = Path(directory) / "program"
        for package in PACKAGES:
            unwanted = shutil.ignore_patterns("__pycache__")
            shutil.copytree(CHECKOUT / package, program / package, ignore=unwanted)
        yield Path(directory)


def started(place: Path) -> tuple[int, str, Settings]:
    """Exit code, what it said, settings."""
    text = node_settings(free_port()).override("rapi", "test", user=USER).to_toml()
    settings = Settings.parse(text, source="test", root=str(place / "root"))
    settings.config_directory.mkdir(parents=True)
    settings.path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", START],
        env={**os.environ, "CLUSTERD_ROOT": str(place / "root"), "PYTHONPATH": "."},
        cwd=place / "program",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr, settings


def test_a_program_that_its_user_may_not_read_is_told(place: Path) -> None:
    (place / "program").chmod(0o700)
    code, said, _ = started(place)
    assert code == 1
    assert f"user {USER} may not read the program in {place}/program/cli: install clusterd" in said


def test_what_is_missing_is_told_by_that_user(place: Path) -> None:
    code, said, settings = started(place)
    assert (code, said) == (11, f"clusterd-rapi cannot start: {NODE} is no master candidate\n")
    log = settings.log_path("clusterd-rapi")
    assert log.stat().st_uid == pwd.getpwnam(USER).pw_uid
