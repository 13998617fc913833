"""What a mirrored instance costs beside the commands of LVM and DRBD: a real master, TLS links and
node daemons, whose disks are the twin of ``drbd`` and take no time of their own.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from tests.bench.figures import Figure, from_samples
from tests.bench.house import SQLITE, House, create, opened

ADDED = 30
DISK_MIB = 1024


def added() -> Iterable[Figure]:
    """One figure."""
    with opened(SQLITE) as house:
        templates = ("--enabled-disk-templates=diskless,drbd", "--vg-name=xenvg")
        house.run("gnt-cluster", "modify", *templates, "--drbd-usermode-helper=/bin/true")
        yield from_samples("drbd_add_ms", "ms", [_add(house, at) for at in range(ADDED)])


def _add(house: House, at: int) -> float:
    """From the job's submission to its end, in milliseconds; the guest runs then."""
    primary, secondary = (house.names[(at + more) % len(house.names)] for more in (0, 1))
    opcode = {
        **create(f"d{at}.example.com", primary),
        "disk_template": "drbd",
        "disks": [{"size": DISK_MIB}],
        "snode": secondary,
        "wait_for_sync": False,
    }
    began = time.perf_counter()
    house.do(opcode)
    return (time.perf_counter() - began) * 1000
