"""What the tests of several modules share: two node hosts for the contracts of storage, and one
live cluster on three."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from tests.demo.cluster import Cluster
from tests.demo.image import build_image, deliver_image, deliver_kernel, kernel_parameters
from tests.demo.report import Report
from tests.demo.steps import add_nodes, init_cluster
from tests.testbed.fixtures import session_testbed
from tests.testbed.testbed import Testbed


@pytest.fixture(scope="session")
def storage_hosts() -> Iterator[Testbed]:
    """Two node hosts with an empty disk each. Modules that use them are of the group ``storage
    hosts``, and leave nothing behind."""
    yield from session_testbed(2)


@pytest.fixture(scope="session")
def live_cluster() -> Iterator[Cluster]:
    """Three nodes joined, the guest's image on each; guests start from the image's kernel, unless
    ``OWN_DISK`` is said. Modules that use it are of the group ``live cluster``, and leave no
    instance behind."""
    with contextlib.contextmanager(session_testbed)(3) as testbed:
        made = Cluster(testbed, Report(Console(file=io.StringIO())))
        build_image(made.report.say)
        for node in testbed.nodes():
            deliver_image(node)
            deliver_kernel(node)
        init_cluster(made)
        kernel = [f"{key}={text}".replace(",", r"\,") for key, text in kernel_parameters().items()]
        made.gnt("gnt-cluster", "modify", "-H", f"kvm:{','.join(kernel)}")
        add_nodes(made)
        yield made
