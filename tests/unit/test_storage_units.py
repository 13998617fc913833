"""A node's storage as LVM's reports tell it, and what is done to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clusterd.verbs.errors import WrongInput
from clusterd.verbs.storage_units import (
    logical_volumes,
    repair_volume_group,
    set_allocatable,
    storage_units,
)
from storage.interface import USUAL, Output, Surroundings
from tests.unit.node_host import make_host
from tests.waiting import settled

REPORTS = {
    "vgs": '{"report":[{"vg":[{"vg_name":"xenvg","vg_size":"8589934592",'
    '"vg_free":"1073741824"}]}]}',
    "pvs": '{"report":[{"pv":[{"pv_name":"/dev/sdb","pv_size":"4294967296","pv_used":"1048576",'
    '"pv_free":"4293918720","pv_attr":"u--"},{"pv_name":"/dev/sda","pv_size":"4294967296",'
    '"pv_used":"0","pv_free":"4294967296","pv_attr":"a--"}]}]}',
    "lvs": '{"report":[{"lv":[{"vg_name":"xenvg","lv_name":"b","lv_size":"2097152",'
    '"devices":"/dev/sda(0),/dev/sdb(7)"},{"vg_name":"xenvg","lv_name":"a","lv_size":"1048576",'
    '"devices":"/dev/sda(9)"}]}]}',
}


class Told:
    """Commands that answer from reports; others are remembered."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, ...]] = []

    async def run(
        self,
        *argv: str,
        timeout_s: float = 60.0,
        check: bool = True,
        stdin: str | None = None,
        around: Surroundings = USUAL,
    ) -> Output:
        self.ran.append(argv)
        return Output(code=0, stdout=REPORTS.get(argv[0], ""), stderr="")

    async def read(self, path: str) -> str:
        return ""


def test_units_of_each_type_are_told_by_name(tmp_path: Path) -> None:
    host = replace(make_host(tmp_path), commands=Told())
    (group,) = settled(storage_units(host, "lvm-vg", ()))
    assert group == {
        "name": "xenvg", "size": 8192, "used": 7168, "free": 1024, "allocatable": True
    }  # fmt: skip
    first, second = sorted(settled(storage_units(host, "lvm-pv", ())), key=lambda row: row["name"])
    assert (first["name"], first["allocatable"], second["allocatable"]) == ("/dev/sda", True, False)
    here, absent = str(tmp_path), str(tmp_path / "absent")
    (directory,) = settled(storage_units(host, "file", (here, absent)))
    assert directory["name"] == here
    assert directory["size"] == directory["used"] + directory["free"] > 0
    with pytest.raises(WrongInput):
        settled(storage_units(host, "tape", ()))


def test_volumes_name_their_disks(tmp_path: Path) -> None:
    host = replace(make_host(tmp_path), commands=Told())
    first, second = settled(logical_volumes(host))
    assert (first["name"], first["size"], first["phys"]) == ("a", 1, ["/dev/sda"])
    assert (second["name"], second["phys"]) == ("b", ["/dev/sda", "/dev/sdb"])


def test_what_is_done_is_one_command(tmp_path: Path) -> None:
    told = Told()
    host = replace(make_host(tmp_path), commands=told)
    settled(set_allocatable(host, "/dev/sdb", False))
    settled(repair_volume_group(host, "xenvg"))
    assert told.ran == [
        ("pvchange", "--allocatable", "n", "/dev/sdb"),
        ("vgreduce", "--removemissing", "xenvg"),
    ]
