"""A member of etcd whose machine lost its power in the midst of a write: what was acknowledged is
there, what was half written is not, and it goes on."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.contracts.store import keys_of, put
from tests.etcd_cluster import etcd_cluster
from tests.waiting import run

pytestmark = pytest.mark.real

SECTOR_BYTES = 512
COUNT = 40
TORN = b"\x5a" * 64
"""What the half that arrived is full of."""


def tear(log: Path) -> None:
    """A record was on its way: its length and a part of it are on the disk, further sectors are
    as they were before, zero."""
    content = log.read_bytes()
    end = len(content.rstrip(b"\0"))
    end += -end % 8  # records begin at multiples of eight
    head = struct.pack("<q", 8 * SECTOR_BYTES)
    part = SECTOR_BYTES - (end + len(head)) % SECTOR_BYTES
    if part < len(TORN):  # too little to be found again
        part += SECTOR_BYTES
    with log.open("r+b") as file:
        file.seek(end)
        file.write(head + TORN[:1] * part)


def test_a_torn_write_is_taken_back_and_nothing_else(tmp_path: Path) -> None:
    with etcd_cluster(tmp_path / "etcd", size=1) as cluster:
        (member,) = cluster.members

        async def write(first: int) -> list[str]:
            link = cluster.link()
            store = link.store(f"writer-{first}")
            for number in range(first, first + COUNT):
                await store.commit(put((f"line/{number:04}", b"x" * 300)))
            there = await keys_of(store, "line/")
            await store.close()
            await link.close()
            return list(there)

        acknowledged = run(lambda: write(0))
        cluster.kill(member)
        (log,) = (member.data / "member" / "wal").glob("*.wal")
        tear(log)
        before = log.read_bytes().rstrip(b"\0")
        cluster.start(member)
        run(cluster.ready)
        assert TORN in before
        after = run(lambda: write(COUNT))
        assert after[:COUNT] == acknowledged
        assert len(after) == 2 * COUNT
        assert TORN not in log.read_bytes()
