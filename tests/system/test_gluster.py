"""The storage contract on a real Gluster volume, and what guests see of it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.contracts.storage import backend_contract, finish, made
from tests.system.gluster_lab import ADDRESS, PORT, GlusterWorld, Lab, gluster_lab

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("gluster")]


class _Server:
    """The module's server, for worlds that are made without a fixture's help."""

    lab: Lab | None = None


@pytest.fixture(scope="module", autouse=True)
def lab() -> Iterator[Lab]:
    with gluster_lab() as started:
        _Server.lab = started
        yield started


def world() -> GlusterWorld:
    assert _Server.lab is not None
    return GlusterWorld(_Server.lab)


TestGluster = backend_contract(world)


def test_by_mount_and_by_library_the_data_are_the_same(
    lab: Lab,
) -> None:
    with contextlib.closing(world()) as here:
        volume = made(here)
        direct = msgspec.structs.replace(volume, params={"access": "userspace"})
        source = finish(here.backend.look(direct)).source
        assert source is not None
        assert source.uri == f"gluster://{ADDRESS}:{PORT}/gv0/ganeti/{volume.name}"
        write = ["qemu-io", "-f", "raw", "-c", "write -P 7 0 4096", source.uri]
        subprocess.run([*lab.inside, *write], check=True, capture_output=True)
        path = Path(finish(here.backend.attach(volume)))
        assert path.read_bytes()[:4096] == b"\7" * 4096
        brick = lab.home / "brick" / "ganeti" / volume.name
        assert brick.stat().st_size == 32 * 1024 * 1024
        capacity = finish(here.backend.capacity())
        assert [room.pool for room in capacity] == [volume.pool]
