"""What the tests of several modules share: one live cluster on three node hosts."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from tests.demo.cluster import Cluster
from tests.demo.image import build_image, deliver_image
from tests.demo.report import Report
from tests.demo.steps import add_nodes, init_cluster
from tests.testbed.fixtures import session_testbed


@pytest.fixture(scope="session")
def live_cluster() -> Iterator[Cluster]:
    """Three nodes joined, the guest's image on each. Modules that use it are of the group
    ``live cluster``, and leave no instance behind."""
    with contextlib.contextmanager(session_testbed)(3) as testbed:
        made = Cluster(testbed, Report(Console(file=io.StringIO())))
        build_image(made.report)
        for node in testbed.nodes():
            deliver_image(node)
        init_cluster(made)
        add_nodes(made)
        yield made
