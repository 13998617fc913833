"""What is left of a shared disk on a node where its instance does not live, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from clusterd.left_open import left_attached
from clusterd.model import Disk
from storage.rbd_mapped import mapped_here
from storage.volume import Stored, Template
from tests.unit.small_cluster import SmallCluster, instance

N1, N2 = "n1.example.com", "n2.example.com"
DISK = Disk(uuid="d7", template="rbd", size_mib=1024, pool="rbd", label="label7")
NAME = "label7.rbd.disk0"


def told(node: str, *, connected: bool = True, held: bool = True, **fields: Any) -> list[str]:
    """What is said where ``node`` tells of the image of an instance that lives on n1."""
    owner = instance("net1.example.com", disk_template="rbd", disks=(DISK,), **fields)
    small = SmallCluster(owner)
    image = Stored(
        template=Template.RBD,
        pool="rbd",
        name=NAME,
        size_mib=1024,
        owner=owner.uuid,
        attached=True,
        held=held,
    )
    seen = small.watch.sights[node]
    assert seen.observation is not None
    knows = msgspec.structs.replace(seen.observation, stored=(image,))
    small.watch.sights[node] = msgspec.structs.replace(seen, observation=knows, connected=connected)
    return [f"{one.name} {where.name}: {text}" for one, where, text in left_attached(small.view())]


def test_what_another_node_holds_is_told() -> None:
    said = f"net1.example.com {N2}: disk/0 is attached on {N2}, not its primary node"
    assert told(N2) == [said]


def test_what_its_own_node_holds_is_well() -> None:
    assert told(N1) == []


def test_an_image_that_its_own_node_has_open_is_seen_by_all() -> None:
    assert told(N2, held=False) == []


@pytest.mark.parametrize(
    "fields", [{"moving_to": "n2-uuid"}, {"drafted": (DISK,)}, {"primary_node": "n2-uuid"}]
)
def test_nothing_is_left_while_it_moves(fields: dict[str, Any]) -> None:
    assert told(N2, **fields) == []


def test_nothing_is_known_of_a_node_that_does_not_answer() -> None:
    assert told(N2, connected=False) == []


def mapped(devices: Path, number: int, **attributes: str) -> None:
    """A device as the kernel describes it."""
    (devices / str(number)).mkdir(parents=True)
    for name, value in attributes.items():
        (devices / str(number) / name).write_text(f"{value}\n")


def test_the_kernel_tells_what_it_maps(tmp_path: Path) -> None:
    devices = tmp_path / "devices"
    assert mapped_here(devices) == frozenset()
    mapped(devices, 0, pool="rbd", pool_ns="", name="a", current_snap="-")
    mapped(devices, 1, pool="rbd", pool_ns="blue", name="b", current_snap="-")
    mapped(devices, 2, pool="old", name="c", current_snap="-")
    mapped(devices, 3, pool="rbd", pool_ns="", name="d", current_snap="before")
    mapped(devices, 4, current_snap="-")
    expected = {("rbd", "", "a"), ("rbd", "blue", "b"), ("old", "", "c")}
    assert mapped_here(devices) == expected
