"""Seed disks for cloud-init: what stands on them, and that they are the same wherever made."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pycdlib
import pytest

from clusterd.model import CloudInit, Instance, Nic
from clusterd.opcodes.instance_create import InstanceCreate
from clusterd.opcodes.seeding import seed
from clusterd.seed_disk import SIZE_BYTES, seed_disk
from clusterd.seeds import EMPTY_USER_DATA, seed_files
from clusterd.verbs.seeds import place
from jobqueue.errors import Refused
from tests.unit.small_cluster import NETWORK, SmallCluster

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8 me@home"
FILES = {"meta-data": "instance-id: x\n", "user-data": "#cloud-config\n", "network-config": "{}"}


def read(disk: bytes) -> dict[str, str]:
    """The files, by the names that Linux shows."""
    image = pycdlib.PyCdlib()
    image.open_fp(io.BytesIO(disk))
    found = {}
    for entry in image.list_children(joliet_path="/"):
        name = entry.file_identifier().decode("utf-16-be") if entry.is_file() else ""
        if name:
            text = io.BytesIO()
            image.get_file_from_iso_fp(text, joliet_path=f"/{name}")
            found[name] = text.getvalue().decode()
    image.close()
    return found


def test_the_disk_has_the_label_and_the_files_and_is_always_the_same() -> None:
    disk = seed_disk(FILES)
    assert read(disk) == FILES
    assert disk[16 * 2048 + 40 :].startswith(b"cidata ")
    assert len(disk) == SIZE_BYTES
    assert seed_disk(dict(reversed(FILES.items()))) == disk
    assert seed_disk(FILES | {"user-data": "x" * 200_000}) != disk
    # nothing that looks like a time of this century but ours
    times = set(re.findall(rb"20\d{14}", disk[16 * 2048 : 19 * 2048]))
    assert times == {b"2020010100000000"}


def test_a_seed_is_replaced_at_once_and_left_alone_when_it_is_as_wanted(tmp_path: Path) -> None:
    path = Path(place(tmp_path / "seeds", "web1", FILES))
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.stat()
    assert place(tmp_path / "seeds", "web1", FILES) == str(path)
    assert path.stat().st_ino == before.st_ino
    with path.open("rb") as running:
        place(tmp_path / "seeds", "web1", FILES | {"user-data": "#!/bin/sh\n"})
        assert read(running.read()) == FILES
    assert read(path.read_bytes())["user-data"] == "#!/bin/sh\n"
    for _ in range(2):
        assert place(tmp_path / "seeds", "web1", {}) == ""
    assert list((tmp_path / "seeds").iterdir()) == []


def instance(**changes: Any) -> Instance:
    return Instance(
        **{
            "uuid": "u1",
            "name": "web1.example.com",
            "primary_node": "n",
            "hypervisor": "kvm",
            "os": "",
            "disk_template": "diskless",
            "cloud_init": CloudInit(ssh_keys=(KEY,)),
            **changes,
        }
    )


def test_what_the_guest_is_told() -> None:
    view = SmallCluster().view()
    cards = (
        Nic(uuid="c0", mac="aa:00:00:00:00:01", ip="203.0.113.7", network=NETWORK.uuid),
        Nic(uuid="c1", mac="aa:00:00:00:00:02", ip="198.51.100.7"),
    )
    files = seed_files(view, instance(nics=cards))
    assert files is not None
    assert files["meta-data"].splitlines() == [
        "instance-id: u1",
        "local-hostname: web1.example.com",
        "public-keys:",
        f'  - "{KEY}"',
    ]
    assert files["user-data"] == EMPTY_USER_DATA
    assert json.loads(files["network-config"]) == {
        "version": 2,
        "ethernets": {
            "nic0": {
                "match": {"macaddress": "aa:00:00:00:00:01"},
                "addresses": ["203.0.113.7/28"],
                "routes": [{"to": "0.0.0.0/0", "via": "203.0.113.1"}],
            },
            "nic1": {"match": {"macaddress": "aa:00:00:00:00:02"}, "dhcp4": True},
        },
    }
    assert seed_files(view, instance(cloud_init=None)) is None
    assert "network-config" not in (seed_files(view, instance()) or {})


OWN = "version: 2\nethernets:\n  eth0:\n    dhcp6: true\n"


def test_the_operators_own_network_configuration_wins() -> None:
    view = SmallCluster().view()
    seeded = CloudInit(network_config=OWN)
    for cards in ((), (Nic(uuid="c0", mac="aa:00:00:00:00:01"),)):
        files = seed_files(view, instance(cloud_init=seeded, nics=cards))
        assert files is not None
        assert files["network-config"] == OWN


@pytest.mark.parametrize(
    "text",
    [
        OWN,
        "network:\n  version: 1\n  config: disabled\n",
        '{"version": 2, "ethernets": {}}',
        "# of ours\n\nnetwork: {version: 2}\n",
        "",
        "\n",
    ],
)
def test_network_configuration_of_each_kind_is_taken(text: str) -> None:
    former = CloudInit(network_config="version: 1\n")
    found = seed(asked(network_config=text), former)
    assert found == CloudInit(network_config=text.strip() and text)


@pytest.mark.parametrize("text", ["auto eth0\niface eth0 inet dhcp\n", "conversion: 2\n"])
def test_other_network_configuration_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        asked(network_config=text)


def asked(**fields: Any) -> InstanceCreate:
    base: dict[str, Any] = {"instance_name": "web1", "disks": (), "nics": ()}
    return msgspec.convert(base | fields, InstanceCreate)


def test_a_seed_is_there_when_something_is_told_or_it_is_asked_for() -> None:
    former = CloudInit(user_data="#!/bin/sh\n", ssh_keys=(KEY,))
    assert seed(asked()) is None
    assert seed(asked(), former) == former
    assert seed(asked(cloud_init=True)) == CloudInit()
    assert seed(asked(cloud_init=False), former) is None
    assert seed(asked(ssh_keys=[KEY])) == CloudInit(ssh_keys=(KEY,))
    assert seed(asked(user_data=""), former) == CloudInit(ssh_keys=(KEY,))
    assert seed(asked(user_data="x"), CloudInit(network_config=OWN)) == CloudInit(
        user_data="x", network_config=OWN
    )
    for field in ({"user_data": "x"}, {"network_config": OWN}):
        with pytest.raises(Refused, match="at the same time"):
            seed(asked(cloud_init=False, **field))
    for bad in ("no key", "ssh-rsa AAAA\nmore: 1", 'ssh-rsa "quoted"'):
        with pytest.raises(msgspec.ValidationError):
            asked(ssh_keys=[bad])
