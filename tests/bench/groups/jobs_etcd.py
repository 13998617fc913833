"""Jobs through the door of a real master on an etcd of three members, all on loopback."""

from __future__ import annotations

from collections.abc import Iterable

from tests.bench.etcd_members import put, three_members
from tests.bench.figures import Figure
from tests.bench.house import StoreKind
from tests.bench.job_figures import measured

ETCD = StoreKind(("--store=etcd",), put, three_members)


def measure() -> Iterable[Figure]:
    """See ``tests.bench.job_figures``."""
    return measured(ETCD)
