"""The OS definitions that ship with the product, run as a node runs them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SHARE = Path(__file__).resolve().parents[2] / "clusterd" / "share" / "os"
DEMO = SHARE / "demo-guest"
MIB = 1024 * 1024
STAMP_OFFSET, COUNTER_OFFSET = 524288, 528384
SCRIPTS = ("create", "export", "import", "rename", "verify")


def run(script: Path, *argv: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    env = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run([str(script), *argv], env=env, capture_output=True, check=False)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A disk that was used before."""
    path = tmp_path / "disk"
    path.write_bytes(b"\xff" * (4 * MIB))
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(b"boot" + bytes(2 * MIB - 4))
    return path


def create(disk: Path, image: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    settings = {"DISK_COUNT": "1", "DISK_0_PATH": str(disk), "INSTANCE_NAME": "i1.example"}
    return run(DEMO / "create", **{"OSP_IMAGE": str(image), **settings, **environment})


def stamp(disk: Path) -> str:
    return disk.read_bytes()[STAMP_OFFSET:COUNTER_OFFSET].decode().rstrip()


@pytest.mark.parametrize("name", ["noop", "demo-guest"])
def test_definitions_are_complete(name: str) -> None:
    assert (SHARE / name / "ganeti_api_version").read_text() == "20\n"
    assert (SHARE / name / "parameters.list").is_file()
    for script in SCRIPTS:
        assert os.access(SHARE / name / script, os.X_OK), script


def test_noop_leaves_the_disk_alone(disk: Path) -> None:
    before = disk.read_bytes()
    settings = {"DISK_COUNT": "1", "DISK_0_PATH": str(disk), "INSTANCE_NAME": "i1.example"}
    assert run(SHARE / "noop" / "create", **settings).returncode == 0
    assert run(SHARE / "noop" / "rename", **settings, OLD_INSTANCE_NAME="i0").returncode == 0
    assert run(SHARE / "noop" / "verify", "parameters").returncode == 0
    assert disk.read_bytes() == before


def test_create_writes_image_and_stamp_and_keeps_the_size(disk: Path, image: Path) -> None:
    done = create(disk, image, OSP_TICK="0.2", NIC_0_IP="10.0.0.5")
    assert done.returncode == 0, done.stderr
    content = disk.read_bytes()
    assert len(content) == 4 * MIB
    assert content[:4] == b"boot"
    assert content[COUNTER_OFFSET : COUNTER_OFFSET + 4096] == bytes(4096)
    assert content[2 * MIB :] == b"\xff" * (2 * MIB)
    words = stamp(disk).split()
    assert words[:3] == ["clusterd-guest", "name=i1.example", "tick=0.2"]
    assert "ip4=10.0.0.5/24" in words


def test_rename_writes_the_new_name_only(disk: Path, image: Path) -> None:
    create(disk, image)
    before = disk.read_bytes()
    settings = {"DISK_0_PATH": str(disk), "INSTANCE_NAME": "i2.example"}
    assert run(DEMO / "rename", OLD_INSTANCE_NAME="i1.example", **settings).returncode == 0
    assert "name=i2.example" in stamp(disk).split()
    after = disk.read_bytes()
    assert after[:STAMP_OFFSET] == before[:STAMP_OFFSET]
    assert after[COUNTER_OFFSET:] == before[COUNTER_OFFSET:]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"OSP_IMAGE": "/no/such/image"}, "no guest image /no/such/image"),
        ({"DISK_COUNT": "0"}, "needs a disk"),
        ({"OSP_TICK": "fast"}, "tick: 'fast' is not a number"),
        ({"OSP_DIRTY_MIB": "1.5"}, "whole number"),
        ({"OSP_IP4": "10.0.0.1"}, "ADDRESS/PREFIX"),
        ({"INSTANCE_NAME": "a b"}, "cannot be told"),
    ],
)
def test_create_refuses(disk: Path, image: Path, settings: dict[str, str], said: str) -> None:
    done = create(disk, image, **settings)
    assert done.returncode == 1
    assert said in done.stderr.decode()
    assert disk.read_bytes() == b"\xff" * (4 * MIB)


def test_disk_that_is_too_small(disk: Path, image: Path) -> None:
    disk.write_bytes(bytes(MIB))
    done = create(disk, image)
    assert done.returncode == 1
    assert "has 1 MiB, the image needs 2 MiB" in done.stderr.decode()


def test_verify_checks_parameters() -> None:
    assert run(DEMO / "verify", "parameters", OSP_TICK="1").returncode == 0
    assert run(DEMO / "verify", "parameters", OSP_TICK="x").returncode == 1
    assert run(DEMO / "verify", "something").returncode == 1


@pytest.mark.parametrize("name", ["noop", "demo-guest"])
def test_exported_disk_is_imported_again(name: str, disk: Path, tmp_path: Path) -> None:
    disk.write_bytes(os.urandom(3 * MIB))
    reading, writing = os.pipe()
    env = {"PATH": os.environ["PATH"], "EXPORT_DISK_PATH": str(disk), "EXP_SIZE_FD": str(writing)}
    done = subprocess.run(
        [str(SHARE / name / "export")], env=env, capture_output=True, pass_fds=[writing], check=True
    )
    os.close(writing)
    with open(reading) as size:
        assert size.read() == "3\n"
    target = tmp_path / "target"
    target.write_bytes(bytes(3 * MIB))
    subprocess.run(
        [str(SHARE / name / "import")],
        env={"PATH": os.environ["PATH"], "IMPORT_DISK_PATH": str(target)},
        input=done.stdout,
        check=True,
    )
    assert target.read_bytes() == disk.read_bytes()
