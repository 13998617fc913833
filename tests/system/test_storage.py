"""The storage contracts on real LVM and DRBD, and what only real parts can show."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec
import pytest

from storage import errors
from storage.drbd import DrbdBackend
from storage.lvm import PlainBackend
from storage.volume import Health, Link, Role, Template
from tests.contracts.storage import backend_contract, finish
from tests.contracts.storage_mirror import Mirrored, mirror_contract
from tests.contracts.storage_snapshots import SNAPSHOT, clone_of, up
from tests.system.real_storage import (
    GROUP,
    DyingCommands,
    Killed,
    RealPair,
    RealWorld,
    SshCommands,
    held_open,
    mirror_volumes,
    plain_volume,
    prepare,
    second_disk,
)
from tests.system.real_thin import POOL, ThinWorld
from tests.testbed.testbed import Testbed

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("storage hosts")]
CHANGES_MAX = 8


class _Hosts:
    """The session's node hosts, for worlds that are made without a fixture's help."""

    testbed: Testbed | None = None


@pytest.fixture(scope="module", autouse=True)
def hosts(storage_hosts: Testbed) -> Iterator[Testbed]:
    _Hosts.testbed = storage_hosts
    yield storage_hosts
    SshCommands.end_all()


def current() -> Testbed:
    assert _Hosts.testbed is not None
    return _Hosts.testbed


TestPlain = backend_contract(lambda: RealWorld(current(), Template.PLAIN))
TestMirrorAlone = backend_contract(lambda: RealWorld(current(), Template.DRBD))
TestMirror = mirror_contract(lambda: RealPair(current()))


@pytest.fixture
def pair(hosts: Testbed) -> Iterator[RealPair]:
    with contextlib.closing(RealPair(hosts)) as world:
        yield world


def test_verbs_take_few_programs(hosts: Testbed) -> None:
    node = hosts.nodes()[0]
    prepare(node)
    commands = SshCommands(node)
    backend = DrbdBackend(commands, (GROUP,))
    volume = mirror_volumes(hosts.nodes()[:2])[0]
    volume = msgspec.structs.replace(volume, params={})
    counts: dict[str, list[int]] = {}
    for verb, options in (
        ("ensure", {}),
        ("ensure", {}),
        ("capacity", None),
        ("attach", {"clean": True}),
        ("attach", {}),
        ("open", {"force": True}),
        ("look", {}),
        ("close", {}),
        ("detach", {}),
        ("look", {}),
        ("forget", {}),
    ):
        before = commands.count
        asked = getattr(backend, verb)
        finish(asked() if options is None else asked(volume, **options))
        counts.setdefault(verb, []).append(commands.count - before)
    assert counts == {
        "ensure": [5, 1],
        "capacity": [1],
        "attach": [9, 1],
        "open": [2],
        "look": [1, 1],
        "close": [2],
        "detach": [2],
        "forget": [4],
    }


KILLED_AFTER = {
    Template.PLAIN: {"lvcreate", "lvremove"},
    Template.DRBD: {
        *("lvcreate", "lvremove", "blkdiscard", "create-md", "restore-md"),
        *("new-resource", "new-minor", "apply-al", "attach", "down"),
    },
}
"""The programs after which a verb still has something to do, so that being killed there matters."""


@pytest.mark.parametrize("template", sorted(KILLED_AFTER))
def test_killed_after_each_change_and_done_again(hosts: Testbed, template: Template) -> None:
    """Lives of a daemon that are killed after one change, or more where one leads nowhere new."""
    node = hosts.nodes()[0]
    prepare(node)
    plain = template is Template.PLAIN
    volume = plain_volume() if plain else mirror_volumes(hosts.nodes()[:2])[0]
    kind = PlainBackend if plain else DrbdBackend
    options = {"attach": {"clean": True}, "open": {"force": True}}
    killed_after = set()
    for verb in ("ensure", "attach", "open", "close", "forget"):
        seen: set[tuple[str, ...]] = set()
        changes, done = 1, False
        while not done:
            commands = DyingCommands(node, changes)
            try:
                finish(getattr(kind(commands, (GROUP,)), verb)(volume, **options.get(verb, {})))
                done = True
            except Killed:
                killed_after.add(commands.changed[-1])
            changes = changes + 1 if tuple(commands.changed) in seen else 1
            seen.add(tuple(commands.changed))
            assert changes <= CHANGES_MAX, f"{verb} never comes to an end"
        status = finish(kind(SshCommands(node), (GROUP,)).look(volume))
        assert status.present is (verb != "forget")
        if verb == "open":
            assert status.health is Health.OK
            assert plain or status.role is Role.PRIMARY
    assert killed_after >= KILLED_AFTER[template]
    left = node.run("lvs --noheadings; cat /proc/drbd; drbdsetup show all").stdout
    assert volume.name not in left


def test_wrong_peer_address_and_secret_are_corrected(pair: RealPair) -> None:
    disk = Mirrored(pair)
    right = disk.volumes
    mirror = right[0].mirror
    assert mirror is not None
    for change in ({"peer_address": "192.0.2.77"}, {"secret": "other"}):
        wrong = msgspec.structs.replace(mirror, **change)
        disk.volumes = (msgspec.structs.replace(right[0], mirror=wrong), right[1])
        disk.up(0, clean=False)
        assert disk.look(0).link is Link.CONNECTING
    disk.volumes = right
    disk.up(clean=False)
    disk.until_link(Link.CONNECTED, Link.CONNECTED)


def test_minor_of_another_volume_is_left_alone(pair: RealPair) -> None:
    disk, other = Mirrored(pair), Mirrored(pair)
    disk.up(0, clean=True)
    backend, volume = other.on(0)
    assert volume.mirror is not None
    taken = msgspec.structs.replace(volume.mirror, minor=disk.volumes[0].mirror.minor)  # type: ignore[union-attr]
    intruder = msgspec.structs.replace(volume, mirror=taken)
    # its data and metadata need no minor yet: a mirror gets new ones while its minor is in use
    finish(backend.ensure(intruder))
    with pytest.raises(errors.VolumeBusy):
        finish(backend.attach(intruder))
    assert finish(backend.look(intruder)).path is None
    finish(backend.forget(intruder))
    assert not finish(backend.look(intruder)).present
    assert disk.look(0).path is not None


def test_new_data_never_inherit_old_metadata(pair: RealPair) -> None:
    disk = Mirrored(pair)
    disk.up(clean=True)
    disk.until_link(Link.CONNECTED, Link.CONNECTED)
    disk.verb("open", 0)
    disk.write(0)
    disk.verb("detach", 1)
    name = f"{GROUP}/{disk.volumes[1].name}"
    pair.nodes[1].run(["lvremove", "-y", "-f", name])
    assert not disk.look(1).present
    disk.up(1, clean=False)
    disk.until_synced()
    assert disk.equal()


def test_strangers_called_clean_refuse_each_other(pair: RealPair) -> None:
    disk = Mirrored(pair)
    disk.up(clean=True)
    disk.until_link(Link.CONNECTED, Link.CONNECTED)
    disk.verb("open", 0)
    disk.write(0)
    kept = pair.content(0, disk.volumes[0])
    disk.verb("forget", 1)
    mirror = disk.volumes[1].mirror
    assert mirror is not None
    moved = msgspec.structs.replace(mirror, minor=mirror.minor + 50)
    disk.volumes = (disk.volumes[0], msgspec.structs.replace(disk.volumes[1], mirror=moved))
    disk.up(1, clean=True)
    disk.until("refused", lambda: disk.look(1).link is Link.STANDALONE)
    assert pair.content(0, disk.volumes[0]) == kept
    disk.verb("forget", 1)


def test_bad_parameters_are_named(hosts: Testbed) -> None:
    node = hosts.nodes()[0]
    prepare(node)
    backend = PlainBackend(SshCommands(node), (GROUP,))
    striped = msgspec.structs.replace(plain_volume(), params={"stripes": 3})
    with pytest.raises(errors.BadParameter, match="stripes"):
        finish(backend.ensure(striped))
    assert not finish(backend.look(striped)).present


def test_foreign_volumes_of_our_shape_are_listed(hosts: Testbed) -> None:
    node = hosts.nodes()[0]
    prepare(node)
    volume = plain_volume()
    node.run(["lvcreate", "-q", "-y", "-L", "8m", "-n", volume.name, GROUP])
    node.run(["lvcreate", "-q", "-y", "-L", "8m", "-n", "root", GROUP])
    backend = PlainBackend(SshCommands(node), (GROUP,))
    found = {stored.name: stored.owner for stored in finish(backend.list())}
    assert found[volume.name] is None
    assert "root" not in found
    finish(backend.forget(volume))
    node.run(["lvremove", "-y", "-f", f"{GROUP}/root"])


def test_signatures_and_contents_of_former_owners(hosts: Testbed) -> None:
    node = hosts.nodes()[0]
    prepare(node)
    backend = PlainBackend(SshCommands(node), (GROUP,))
    first = plain_volume()
    finish(backend.ensure(first))
    path = finish(backend.attach(first))
    node.run(f"yes secret | dd of={path} bs=1M count=32 iflag=fullblock oflag=direct 2>/dev/null")
    node.run(["mke2fs", "-q", "-t", "ext4", "-E", "nodiscard", path])
    finish(backend.forget(first))
    for wipe in (False, True):
        volume = msgspec.structs.replace(plain_volume(), params={"wipe": wipe})
        finish(backend.ensure(volume))
        path = finish(backend.attach(volume))
        assert not node.run(["blkid", "-p", path], check=False).ok
        secrets = node.run(f"grep -c -a secret {path}", check=False).stdout.strip()
        assert (secrets == "0") is wipe
        finish(backend.forget(volume))


def test_disks_in_a_thin_pool(hosts: Testbed) -> None:
    """The way of the snapshots' contract in as few programs as it can be gone: all of it passes
    there (``snapshot_contract`` of this world), in two minutes."""
    with contextlib.closing(ThinWorld(hosts.nodes()[0])) as world:
        volume = up(world, world.volume())
        for verb in (world.backend.snapshot, world.backend.revert):
            with pytest.raises((errors.Unsupported, errors.VolumeMissing)):
                finish(verb(msgspec.structs.replace(volume, params={}, name="no"), "x"))
        world.put(volume, "old")
        for _ in range(2):
            finish(world.backend.snapshot(volume, SNAPSHOT))
        world.put(volume, "new")
        clone = up(world, clone_of(world, volume, size_mib=64))
        assert (world.get(clone), finish(world.backend.look(clone)).size_mib) == ("old", 64)
        path = finish(world.backend.attach(volume))
        with world.used(path), pytest.raises(errors.VolumeBusy):
            finish(world.backend.revert(volume, SNAPSHOT))
        finish(world.backend.revert(volume, SNAPSHOT))
        assert world.get(volume) == "old"
        assert [one.name for one in finish(world.backend.look(volume)).snapshots] == [SNAPSHOT]
        finish(world.backend.fill(clone, world.image_file("fresh", 8), "raw"))
        assert world.get(clone) == "fresh"
        pool = {one.pool: one for one in finish(world.backend.capacity())}[f"{GROUP}/{POOL}"]
        assert pool.total_mib - pool.free_mib < 8  # zeros take no room
        large = world.volume(pool.free_mib + 4)
        with pytest.raises(errors.NoSpace, match=rf"{pool.total_mib} MiB, \d+ MiB of them in use"):
            finish(world.backend.ensure(large))
        finish(world.backend.forget(volume))
        assert world.get(clone) == "fresh"
        assert volume.name not in world.node.run("lvs --noheadings").stdout


def test_adopted_volumes_get_their_owner_and_are_given_back_as_nobodys(hosts: Testbed) -> None:
    node = hosts.nodes()[0]
    prepare(node)
    backend = PlainBackend(SshCommands(node), (GROUP,))
    node.run(["lvcreate", "-q", "-y", "-Wn", "-L", "8m", "--addtag", "site", "-n", "old", GROUP])
    node.run(f"echo kept | dd of=/dev/{GROUP}/old conv=fsync status=none")
    volume = plain_volume(8)
    before = msgspec.structs.replace(volume, name="old", owner="", label="")
    only = f"-S 'lv_name=old || lv_name={volume.name}'"
    tags = f"lvs --noheadings -o lv_name,lv_tags {only} {GROUP}"
    with held_open(node, f"/dev/{GROUP}/old"), pytest.raises(errors.VolumeBusy):
        finish(backend.adopt(volume, "old"))
    for _ in range(2):
        finish(backend.adopt(volume, "old"))
        finish(backend.ensure(volume))
    owned = node.run(tags).stdout.split()
    assert owned[0] == volume.name
    assert sorted(owned[1].split(",")) == [
        f"clusterd.owner+{volume.owner}",
        f"originstname+{volume.label}",
        "site",
    ]
    for _ in range(2):
        finish(backend.adopt(before, volume.name))
    assert node.run(tags).stdout.split() == ["old", "site"]
    assert node.run(f"head -c 4 /dev/{GROUP}/old").stdout == "kept"
    finish(backend.adopt(volume, "old"))
    finish(backend.forget(volume))
    assert node.run(tags).stdout == ""
    with pytest.raises(errors.VolumeMissing):
        finish(backend.adopt(volume, "old"))


def test_stripes_lie_on_several_disks(hosts: Testbed) -> None:
    node = hosts.nodes()[0]
    prepare(node)
    backend = PlainBackend(SshCommands(node), (GROUP,))
    volume = msgspec.structs.replace(plain_volume(12), params={"stripes": 2})
    with second_disk(node) as second:
        node.run(["vgextend", "-q", "-y", GROUP, second])
        try:
            for _ in range(2):
                finish(backend.ensure(volume))
            told = node.run(f"lvs --noheadings -o stripes,lv_size --units m {GROUP}/{volume.name}")
            assert told.stdout.split() == ["2", "16.00m"]
            finish(backend.grow(msgspec.structs.replace(volume, size_mib=24)))
            finish(backend.ensure(msgspec.structs.replace(volume, size_mib=24)))
        finally:
            finish(backend.forget(volume))
            node.run(["vgreduce", "-q", GROUP, second])
