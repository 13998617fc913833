"""The demo runs to its end, in the time that the README promises."""

from __future__ import annotations

import os
import sys

import pytest
from rich.console import Console

from tests.demo.cluster import Cluster, last_words
from tests.demo.report import DemoFailed, Report
from tests.demo.steps import run_steps
from tests.testbed import Testbed
from tests.testbed.fixtures import remove_leftovers

pytestmark = pytest.mark.real


def test_every_claim_of_the_demo_is_true() -> None:
    remove_leftovers()
    testbed = Testbed.named(f"check-{os.getpid()}-demo")
    cluster = Cluster(testbed, Report(Console(file=sys.stdout, width=120)))
    try:
        run_steps(cluster)
    except DemoFailed:
        print(last_words(cluster))
        raise
    finally:
        testbed.down()
