"""What is told to DRBD 9, held against drbd-utils 9 themselves: no kernel of that version is needed
for what commands take, nor for metadata in a file.
"""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

import pytest

from storage.drbd_kernel import Nine
from storage.drbd_options import DrbdParameters
from storage.drbd_plan import Argv, clean_generation, exchange
from storage.drbd_plan_nine import (
    allow_two_primaries,
    bring_up,
    connect,
    create_metadata,
    live_generation,
    primary,
    secondary,
    start_clean,
    stored_generation,
)
from storage.drbd_state import JUST_CREATED, Generation, Resource, parse_generation
from storage.logical_volumes import device_path
from storage.volume import Mirror, Template, Volume

pytestmark = pytest.mark.real

UUID = "00000000-0000-4000-8000-000000000001"
MIRROR = Mirror(
    minor=3,
    port=11000,
    secret="5ec3e7" * 6,
    local_name="n1",
    local_address="192.0.2.1",
    peer_name="n2",
    peer_address="2001:db8::2",
    peer_minor=4,
    meta_pool="xenvg",
    meta_name=f"{UUID}.disk0_meta",
)
VOLUME = Volume(
    template=Template.DRBD,
    uuid=UUID,
    pool="xenvg",
    name=f"{UUID}.disk0_data",
    size_mib=1024,
    owner="o",
    label="web1",
    mirror=MIRROR,
)
FOUND = Resource(
    name="resource3", data="/dev/x", local="ipv4:1:2", peer="ipv4:3:4", minor=3, peer_id=1
)
DYNAMIC = DrbdParameters(
    dynamic_resync=True,
    disk_barriers="bfd",
    meta_barriers=True,
    protocol="A",
    disk_custom="--al-extents=1237 --fencing=resource-only",
    net_custom="--max-buffers=8000 --always-asbp",
)


@cache
def grammar(command: str) -> tuple[int, dict[str, ET.Element]]:
    """How many arguments a command of drbdsetup takes, and its options."""
    run = subprocess.run(
        ["drbdsetup", "xml-help", command], capture_output=True, text=True, timeout=20, check=True
    )
    root = ET.fromstring(run.stdout)
    options = {option.attrib["name"]: option for option in root.iter("option")}
    return len(root.findall("argument")) + len(root.findall("group")), options


def refused(argv: Argv) -> str:
    """Why drbdsetup would not take a command; empty if it would."""
    wanted, options = grammar(argv[1])
    arguments = [word for word in argv[2:] if not word.startswith("--")]
    if len(arguments) != wanted:
        return f"{wanted} arguments, not {arguments}"
    for word in argv[2:]:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            option = options.get(name)
            if option is None:
                return f"no option {name}"
            if equals and not _takes(option, value):
                return f"{name} does not take {value!r}"
    return ""


def _takes(option: ET.Element, value: str) -> bool:
    kind = option.attrib["type"]
    if kind == "boolean":
        return value in ("yes", "no")
    if kind == "handler":
        return value in [one.text for one in option.findall("handler")]
    if kind == "numeric":
        low, high = (int(option.findtext(end) or "0") for end in ("min", "max"))
        return low <= int(value.removesuffix("M")) <= high
    return kind == "string"


PLANNED: dict[str, tuple[Argv, ...]] = {
    "new": bring_up(VOLUME, MIRROR, DrbdParameters(), None),
    "new with every parameter": bring_up(VOLUME, MIRROR, DYNAMIC, None),
    "another peer": connect(MIRROR, DYNAMIC, FOUND),
    "giving up changes": connect(MIRROR, DYNAMIC, FOUND, discard_local=True),
    "other data": exchange(Nine.plan, VOLUME, MIRROR, DYNAMIC, FOUND),
    "window": (
        allow_two_primaries(MIRROR, FOUND, "A", allowed=True),
        allow_two_primaries(MIRROR, FOUND, "A", allowed=False),
    ),
    "roles": (
        primary(MIRROR, FOUND, overwrite=True),
        primary(MIRROR, FOUND, overwrite=False),
        secondary(MIRROR, FOUND),
    ),
    "looking": (
        live_generation(MIRROR),
        ("drbdsetup", "status", "--json", "resource3"),
        ("drbdsetup", "show", "resource3"),
    ),
    "the backend's own": (
        ("drbdsetup", "resize", "3", "--size=2048M"),
        ("drbdsetup", "down", "resource3"),
    ),
}


@pytest.mark.parametrize("name", sorted(PLANNED))
def test_drbdsetup_takes_what_is_planned(name: str) -> None:
    told = [argv for argv in PLANNED[name] if argv[0] == "drbdsetup"]
    assert told
    assert {argv: refused(argv) for argv in told if refused(argv)} == {}


def test_the_check_itself_refuses() -> None:
    assert refused(("drbdsetup", "attach", "0", "/dev/d")) != ""
    assert "resync-rate" in refused(("drbdsetup", "disk-options", "0", "--resync-rate=1"))
    assert "Z" in refused(("drbdsetup", "new-peer", "r", "1", "--protocol=Z"))


def test_metadata_of_version_nine_start_equal(tmp_path: Path) -> None:
    meta = tmp_path / "meta"
    with meta.open("wb") as file:
        file.truncate(MIRROR.meta_size_mib * 2**20)

    def told(argv: Argv) -> str:
        place = device_path(MIRROR.meta_pool, MIRROR.meta_name)
        words = [str(meta) if word == place else word for word in argv]
        return subprocess.run(words, capture_output=True, text=True, timeout=20, check=True).stdout

    told(create_metadata(MIRROR))
    assert parse_generation(told(stored_generation(MIRROR))) == Generation(
        current=JUST_CREATED, bitmap=0
    )
    argv, text = start_clean(VOLUME, MIRROR)
    assert text is None
    told(argv)
    begun = parse_generation(told(stored_generation(MIRROR)))
    assert begun == Generation(current=clean_generation(VOLUME, MIRROR), bitmap=0)
    apply_al = next(argv for argv in PLANNED["new"] if argv[-1] == "apply-al")
    told(apply_al)
    assert parse_generation(told(stored_generation(MIRROR))) == begun
