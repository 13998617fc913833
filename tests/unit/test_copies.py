"""Which disks can be copied into others, byte by byte."""

from __future__ import annotations

import pytest

from clusterd.model import Disk, DiskOrigin, Instance, Params
from clusterd.opcodes import copies
from clusterd.steps.streams import file_limit_mib
from jobqueue.errors import Refused
from tests.unit.small_cluster import NODES, SmallCluster, instance

ORIGIN = DiskOrigin(image="image-uuid", pool="/srv", name="i.image", snapshot="image", size_mib=512)


def held(template: str, origin: DiskOrigin | None = None, **params: str) -> Instance:
    own: Params = dict(params)
    disk = Disk(uuid="d0", template=template, size_mib=1024, pool="/srv", params=own, origin=origin)
    return instance("web3.example.com", disk_template=template, disks=(disk,))


def check(one: Instance, *, to: str = "plain") -> None:
    view = SmallCluster(one).view()
    disks = (Disk(uuid="", template=to, size_mib=1024, pool="xenvg"),)
    copies.check(view, one, disks, [NODES[0]])


@pytest.mark.parametrize("format", ["raw", "qcow2"])
def test_files_of_both_formats_are_copied(format: str) -> None:
    check(held("file", format=format))


def test_a_file_that_reads_from_another_is_not() -> None:
    with pytest.raises(Refused, match="'gnt-instance flatten' first"):
        check(held("file", ORIGIN, format="qcow2"))
    # a raw file has shared blocks at most, so nothing is missing in it
    check(held("file", ORIGIN, format="raw"))


def test_what_the_guest_alone_reaches_is_not() -> None:
    with pytest.raises(Refused, match="needs access=kernelspace"):
        check(held("rbd"))
    check(held("rbd", access="kernelspace"))
    with pytest.raises(Refused, match="Disk 0 of instance"):
        check(held("plain"), to="rbd")


def test_a_file_of_another_format_may_be_larger_than_what_is_in_it() -> None:
    assert file_limit_mib(64) == 64 + 1 + 16
    assert file_limit_mib(1024 * 1024) == 1024 * 1024 + 16 * 1024 + 16
