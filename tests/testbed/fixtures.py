"""pytest fixtures for tests on real node hosts; import the one you need in a conftest.

    from tests.testbed.fixtures import three_hosts  # noqa: F401

Each module has node hosts of its own, so two sessions do not meet; what a killed session left is
removed by the next one.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.settings import FILES
from tests.testbed.testbed import Testbed

PREFIX = "check-"
NUMBERS = itertools.count()
"""Each module that imports a fixture has hosts of its own."""


def remove_leftovers() -> None:
    """Take down the node hosts of test sessions that no longer run."""
    for directory in FILES.glob(f"clusterd-testbed-{PREFIX}*"):
        name = directory.name.removeprefix("clusterd-testbed-")
        pid = name.removeprefix(PREFIX).split("-")[0]
        if not Path(f"/proc/{pid}").exists():
            Testbed.named(name).down()


def session_testbed(count: int) -> Iterator[Testbed]:
    """Up, handed over, down again whatever happened; the body of a fixture."""
    remove_leftovers()
    testbed = Testbed.named(f"{PREFIX}{os.getpid()}-{count}-{next(NUMBERS)}")
    try:
        testbed.up(count)
        yield testbed
    finally:
        testbed.down()


@pytest.fixture(scope="module")
def two_hosts() -> Iterator[Testbed]:
    """Two fresh node hosts for a module; a test leaves nothing behind on them."""
    yield from session_testbed(2)


@pytest.fixture(scope="module")
def three_hosts() -> Iterator[Testbed]:
    """Three fresh node hosts for a module; a test leaves nothing behind on them."""
    yield from session_testbed(3)
