"""What the cluster decides for all disks: whether new ones are wiped, and where files lie."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clusterd.model import Disk
from clusterd.opcodes import cluster_set_params, drafts
from clusterd.opcodes.cluster_set_params import ClusterSetParams
from clusterd.view import View
from clusterd.volumes import volume_on
from jobqueue.errors import Refused
from storage.gluster import GlusterBackend
from storage.plugin import StorageSettings
from storage.volume import Template
from tests.contracts.storage import InPlace, finish
from tests.unit.small_cluster import NODES, WEB1, SmallCluster, instance
from tests.unit.test_storage_backends import Mounts, volume_of

POOL = "192.0.2.1:24007/gv0"
FILES = {"file_storage_dir": "/srv/files", "shared_file_storage_dir": "/srv/shared"}


def view_of(*more: Any, **fields: Any) -> View:
    small = SmallCluster(*more)
    small.commit(small.configuration.changed(small.configuration.cluster, 1.0, **fields))
    return small.view()


def disk(template: str, **fields: Any) -> Disk:
    return Disk(uuid="d9", template=template, size_mib=1024, label="l", number=0, **fields)


# -- wiping ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "wiped"),
    [("plain", True), ("file", False), ("sharedfile", False), ("rbd", False), ("gluster", False)],
)
def test_new_volumes_on_lvm_are_wiped_where_the_cluster_says_so(template: str, wiped: bool) -> None:
    for asked in (True, False):
        view = view_of(prealloc_wipe_disks=asked)
        volume = volume_on(view, WEB1, disk(template, pool="xenvg"), NODES[0])
        assert bool(volume.params.get("wipe", False)) is (asked and wiped)


def test_both_sides_of_a_mirror_are_wiped() -> None:
    view = view_of(prealloc_wipe_disks=True)
    for node in NODES[:2]:
        assert volume_on(view, WEB1, WEB1.disks[0], node).params["wipe"] is True


def test_the_template_can_be_wiped_alone() -> None:
    view = view_of(diskparams={"drbd": {"wipe": True}})
    assert volume_on(view, WEB1, WEB1.disks[0], NODES[0]).params["wipe"] is True
    plain = volume_on(view, WEB1, disk("plain", pool="xenvg"), NODES[0])
    assert plain.params["wipe"] is False


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "below", "pool"),
    [
        ("file", None, "/srv/files"),
        ("file", "fast", "/srv/files/fast"),
        ("file", "fast/a", "/srv/files/fast/a"),
        ("sharedfile", None, "/srv/shared"),
        ("sharedfile", "fast", "/srv/shared/fast"),
    ],
)
def test_files_lie_below_the_clusters_directory(
    template: str, below: str | None, pool: str
) -> None:
    draft = drafts.disk(view_of(**FILES), 0, {"size": 1024}, template, NODES[:1], below)
    assert draft.pool == pool


@pytest.mark.parametrize("below", ["/etc", "..", "../etc", "a/../../etc", "a/.."])
def test_no_file_lies_elsewhere(below: str) -> None:
    with pytest.raises(Refused, match="must be relative, without"):
        drafts.disk(view_of(**FILES), 0, {"size": 1024}, "file", NODES[:1], below)


def test_without_a_directory_there_are_no_files() -> None:
    with pytest.raises(Refused, match="has no directory for template 'file'"):
        drafts.disk(view_of(), 0, {"size": 1024}, "file", NODES[:1])


def changed(view: View, **fields: Any) -> dict[str, Any]:
    opcode = ClusterSetParams(**fields)
    cluster_set_params.check(opcode, view)
    return cluster_set_params.changes(opcode, view)


@pytest.mark.parametrize(
    "field", ["file_storage_dir", "shared_file_storage_dir", "gluster_storage_dir"]
)
def test_directories_of_the_cluster_are_absolute(field: str) -> None:
    view = view_of()
    assert changed(view, **{field: "/srv/new"}) == {field: "/srv/new"}
    assert changed(view, **{field: ""}) == {field: ""}
    for wrong in ("srv", "/srv/../etc", "/", "//"):
        with pytest.raises(Refused, match="no absolute path"):
            changed(view, **{field: wrong})


# -- mounts of gluster -----------------------------------------------------------------------------


def test_the_clusters_directory_for_mounts_reaches_each_volume() -> None:
    given = disk("gluster", pool=POOL)
    assert volume_on(view_of(), WEB1, given, NODES[0]).params["directory"] == ""
    view = view_of(gluster_storage_dir="/srv/mounts")
    for node in NODES[:2]:
        assert volume_on(view, WEB1, given, node).params["directory"] == "/srv/mounts"
    assert "directory" not in volume_on(view, WEB1, WEB1.disks[0], NODES[0]).params


def test_no_single_disk_says_where_it_is_mounted() -> None:
    spec = {"size": 1024, "directory": "/etc"}
    with pytest.raises(Refused, match="unknown parameter 'directory'"):
        drafts.disk(view_of(), 0, spec, "gluster", NODES[:1])


def test_mounts_do_not_move_below_a_guest() -> None:
    uses = instance("gl1.example.com", disk_template="gluster", disks_active=True)
    with pytest.raises(Refused, match=r"'gl1\.example\.com' uses its disks"):
        changed(view_of(uses), gluster_storage_dir="/srv/mounts")
    stopped = msgspec.structs.replace(uses, disks_active=False)
    assert changed(view_of(stopped), gluster_storage_dir="/srv/mounts")
    same = view_of(uses, gluster_storage_dir="/srv/mounts")
    assert changed(same, gluster_storage_dir="/srv/mounts")


def test_a_volume_is_mounted_where_it_is_told() -> None:
    with tempfile.TemporaryDirectory() as own, tempfile.TemporaryDirectory() as other:
        threads = InPlace()
        mounts = Mounts(threads)
        backend = GlusterBackend(mounts, threads, StorageSettings(gluster_directory=own))
        described = volume_of(Template.GLUSTER, 1, 32)
        volume = msgspec.structs.replace(described, pool=POOL, name=f"{described.owner}.0")
        moved = msgspec.structs.replace(volume, params={"directory": other})
        finish(backend.ensure(moved))
        assert mounts.there == [f"{other}/192.0.2.1,24007,gv0"]
        path = finish(backend.attach(moved))
        assert Path(path).parent.parent.parent == Path(other)
        assert [one.pool for one in finish(backend.capacity())] == [POOL]
        assert len(finish(backend.list())) == 1
        finish(backend.look(volume))
        assert mounts.there[1:] == [f"{own}/192.0.2.1,24007,gv0"]
        # the same Gluster volume is told of once
        assert [one.pool for one in finish(backend.capacity())] == [POOL]
