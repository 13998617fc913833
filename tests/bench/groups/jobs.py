"""Jobs through the door of a real master on SQLite with full sync; five pretended nodes."""

from __future__ import annotations

from collections.abc import Iterable

from tests.bench.figures import Figure
from tests.bench.house import SQLITE
from tests.bench.job_figures import measured
from tests.bench.lives import simulated_lives


def measure() -> Iterable[Figure]:
    """See ``tests.bench.job_figures`` and ``tests.bench.lives``."""
    yield simulated_lives()
    yield from measured(SQLITE)
