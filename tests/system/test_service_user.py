"""The RAPI gives up root's rights: what it says when its user may not read the program."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusterd.settings import Settings
from tests.ports import free_port
from tests.unit.places import CHECKOUT, node_settings

pytestmark = pytest.mark.real

USER = "nobody"
PACKAGES = ("cli", "clusterd", "hypervisors", "jobqueue", "rapi", "storage")
START = "from cli.daemons import rapi; rapi()"


@pytest.fixture
def place() -> Iterator[Path]:
    """A program and its virtual environment, where everybody may go, unlike pytest's own places."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        os.chmod(directory, 0o755)
        place = Path(directory)
        for package in PACKAGES:
            unwanted = shutil.ignore_patterns("__pycache__")
            shutil.copytree(CHECKOUT / package, place / "program" / package, ignore=unwanted)
        (place / "venv/bin").mkdir(parents=True)
        (place / "venv/bin/python").symlink_to(os.path.realpath(sys.executable))
        (place / "venv/pyvenv.cfg").write_text("home = /usr/bin\n")
        yield place


@pytest.mark.parametrize("closed", ["program", "venv"])
def test_a_program_that_its_user_may_not_read_is_told(place: Path, closed: str) -> None:
    text = node_settings(free_port()).override("rapi", "test", user=USER).to_toml()
    settings = Settings.parse(text, source="test", root=str(place / "root"))
    settings.config_directory.mkdir(parents=True)
    settings.path.write_text(text)
    (place / closed).chmod(0o700)
    libraries = [str(place / "program"), *site.getsitepackages()]
    done = subprocess.run(
        [place / "venv/bin/python", "-c", START],
        env={"CLUSTERD_ROOT": str(place / "root"), "PYTHONPATH": ":".join(libraries)},
        cwd=place,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    named = {"program": place / "program/cli", "venv": place / "venv"}[closed]
    assert done.returncode == 1
    assert f"user {USER} may not read the program in {named}: install clusterd" in done.stderr
