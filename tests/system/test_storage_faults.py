"""What can go wrong with real LVM and DRBD: no room on one side, commands that hang, names that
others have, power lost in the middle of a synchronisation, daemons killed. What was written is read
back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from storage import errors
from storage.drbd import DrbdBackend
from storage.interface import USUAL, Backend, Output, Surroundings
from storage.lvm import PlainBackend
from storage.volume import Health, Link, Role, Volume
from tests.contracts.storage import finish
from tests.contracts.storage_mirror import Mirrored, renamed
from tests.system.real_storage import (
    GROUP,
    DyingCommands,
    Killed,
    RealPair,
    SshCommands,
    mirror_volumes,
    plain_volume,
    prepare,
    second_disk,
)
from tests.system.real_thin import ThinWorld
from tests.testbed.node import Node
from tests.testbed.testbed import Testbed

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("storage hosts")]

SECOND = "fast"
IMPATIENT_S = 2.0
LIVES_MAX = 30


@pytest.fixture(scope="module", autouse=True)
def hosts(storage_hosts: Testbed) -> Iterator[Testbed]:
    for node in storage_hosts.nodes():
        prepare(node)
    yield storage_hosts
    SshCommands.end_all()


@pytest.fixture
def pair(hosts: Testbed) -> Iterator[RealPair]:
    with contextlib.closing(RealPair(hosts)) as world:
        yield world


def in_use(world: RealPair, *, slow: bool = False) -> Mirrored:
    """A mirror that is connected, open on the first node, and written to."""
    disk = Mirrored(world, slow=slow)
    disk.up(clean=not slow)
    disk.until_link(Link.CONNECTED, Link.CONNECTED)
    disk.verb("open", 0, force=slow)
    disk.write(0)
    return disk


@contextlib.contextmanager
def filled(node: Node) -> Iterator[None]:
    """Somebody has taken all that was free in the volume group."""
    node.run(["lvcreate", "-q", "-y", "-Wn", "-Zn", "-l", "100%FREE", "-n", "filler", GROUP])
    try:
        yield
    finally:
        node.run(["lvremove", "-q", "-y", f"{GROUP}/filler"])


def names_on(node: Node) -> set[str]:
    return set(node.run(["lvs", "--noheadings", "-o", "lv_name"]).stdout.split())


def size_mib(disk: Mirrored, node: int, volume: Volume) -> int | None:
    """Of the device, or of what lies below it."""
    return finish(disk.world.backends[node].look(volume)).size_mib


def test_no_room_on_one_side_changes_nothing_on_the_other(pair: RealPair) -> None:
    disk = in_use(pair)
    small = disk.volumes
    large = (replace(small[0], size_mib=48), replace(small[1], size_mib=48))
    before = names_on(pair.nodes[1])
    with filled(pair.nodes[1]):
        disk.volumes = large
        with pytest.raises(errors.NoSpace, match="too little free space"):
            disk.verb("grow", 1)
        other = Mirrored(pair)
        with pytest.raises(errors.NoSpace, match="too little free space"):
            other.verb("ensure", 1)
        assert not other.look(1).present
        assert names_on(pair.nodes[1]) == before | {"filler"}
    disk.verb("grow", 1)
    with filled(pair.nodes[0]):
        # the secondary is larger already: the mirror goes on in its old size
        with pytest.raises(errors.NoSpace):
            disk.verb("grow", 0)
        disk.volumes = small
        disk.write(0)
        status = disk.look(0)
        assert (status.size_mib, status.link, status.degraded) == (32, Link.CONNECTED, False)
        assert disk.equal()
    disk.volumes = large
    for node in (1, 0):
        disk.verb("grow", node)
    disk.verb("resize", 0)
    disk.until("larger", lambda: disk.look(0).size_mib == disk.look(1).size_mib == 48)
    disk.until_synced()
    disk.write(0)
    assert disk.equal()


class ImpatientCommands(SshCommands):
    """Gives up after seconds rather than after a minute."""

    async def run(
        self,
        *argv: str,
        timeout_s: float = 60.0,
        check: bool = True,
        stdin: str | None = None,
        around: Surroundings = USUAL,
    ) -> Output:
        return await super().run(
            *argv, timeout_s=IMPATIENT_S, check=check, stdin=stdin, around=around
        )


def test_a_hung_command_is_named_and_ended(hosts: Testbed) -> None:
    """LVM's own lock of the group is held by somebody who never lets go: reports are made, changes
    wait for ever."""
    node, volume = hosts.nodes()[0], plain_volume()
    backend = PlainBackend(ImpatientCommands(node), (GROUP,))
    before = names_on(node)
    lock = f"/run/lock/lvm/V_{GROUP}"
    held = f"flock -s {lock} sleep 300 >/dev/null 2>&1 </dev/null & echo $!"
    pid = node.run(held).stdout.strip()
    try:
        told = rf"^lvcreate .*{volume.name}.* did not end within 2 s and was killed; look at this"
        with pytest.raises(errors.CommandTimedOut, match=told) as caught:
            finish(backend.ensure(volume))
        assert caught.value.retryable
        assert not finish(backend.look(volume)).present
        assert node.run("pgrep -x lvcreate", check=False).stdout == ""
    finally:
        node.run(f"pkill -P {pid}; while [ -e /proc/{pid} ]; do sleep 0.05; done")
    assert names_on(node) == before
    finish(backend.ensure(volume))
    finish(backend.forget(volume))


def test_what_others_call_so_is_left_alone(hosts: Testbed) -> None:
    node = hosts.nodes()[0]
    plain, mirror = plain_volume(8), mirror_volumes(hosts.nodes()[:2], 8)[0]
    assert mirror.mirror is not None
    commands = SshCommands(node)
    cases: tuple[tuple[Backend, Volume, str, str], ...] = (
        (PlainBackend(commands, (GROUP,)), plain, plain.name, "clusterd.owner+another"),
        (DrbdBackend(commands, (GROUP,)), mirror, mirror.mirror.meta_name, ""),
    )
    for backend, volume, taken, mark in cases:
        before = names_on(node)
        tag = ["--addtag", mark] if mark else []
        size = f"{volume.mirror.meta_size_mib if volume.mirror else 8}m"
        make = ["lvcreate", "-q", "-y", "-Wn", *tag, "-L", size, "-n", taken]
        node.run([*make, GROUP])
        node.run(f"echo theirs | dd of=/dev/{GROUP}/{taken} conv=fsync status=none")
        with pytest.raises(errors.NameTaken, match=f"{taken} exists already and belongs to"):
            finish(backend.ensure(volume))
        finish(backend.forget(volume))
        assert names_on(node) == before | {taken}
        assert node.run(f"head -c 6 /dev/{GROUP}/{taken}").stdout == "theirs"
        node.run(["lvremove", "-q", "-y", f"{GROUP}/{taken}"])


def test_the_peer_loses_power_in_the_middle_of_its_synchronisation(pair: RealPair) -> None:
    disk = in_use(pair, slow=True)
    disk.until_link(Link.SYNCING, Link.SYNCING)
    pair.power_off(1)
    disk.write(0)
    disk.until_link(Link.CONNECTING)
    pair.power_on(1)
    assert disk.look(1).path is None
    # its metadata are unclean and its data are half: attached again, and never opened so
    disk.verb("attach", 1)
    disk.until_link(Link.SYNCING, Link.SYNCING)
    assert disk.look(1).health is Health.SYNC
    with pytest.raises((errors.NotUpToDate, errors.SecondPrimary)):
        disk.verb("open", 1, force=True)
    for node, volume in zip(pair.nodes, disk.volumes, strict=True):
        assert volume.mirror is not None
        node.run(f"drbdsetup disk-options {volume.mirror.minor} --resync-rate=100M")
    disk.until_synced()
    disk.write(0)
    assert disk.equal()


def test_data_and_metadata_in_several_volume_groups(hosts: Testbed) -> None:
    node = hosts.nodes()[0]
    with second_disk(node, mib=192) as device:
        node.run(["vgcreate", "-q", SECOND, device])
        commands = SshCommands(node)
        groups = (GROUP, SECOND)
        plain = replace(plain_volume(16), pool=SECOND)
        described = mirror_volumes(hosts.nodes()[:2], 16)[0]
        assert described.mirror is not None
        mirror = replace(described, mirror=replace(described.mirror, meta_pool=SECOND))
        backends: tuple[tuple[Backend, Volume], ...] = (
            (PlainBackend(commands, groups), plain),
            (DrbdBackend(commands, groups), mirror),
        )
        room = {one.pool: one.free_mib for one in finish(backends[0][0].capacity())}
        # a thin pool that another test keeps on these hosts is told as GROUP/POOL
        assert sorted(pool for pool in room if "/" not in pool) == sorted(groups)
        for backend, volume in backends:
            finish(backend.ensure(volume))
            path = finish(backend.attach(volume))
            finish(backend.open(volume, force=True))
            node.run(f"echo kept | dd of={path} conv=fsync status=none")
        told = node.run("lvs --noheadings -o vg_name,lv_name").stdout.split()
        found = set(zip(told[::2], told[1::2], strict=True))
        assert {(SECOND, plain.name), (GROUP, mirror.name)} <= found
        assert (SECOND, described.mirror.meta_name) in found
        assert (SECOND, plain.name) in {
            (one.pool, one.name) for one in finish(backends[0][0].list())
        }
        for backend, volume in backends:
            finish(backend.detach(volume))
            finish(backend.attach(volume))
            read = f"lvchange -ay {volume.pool}/{volume.name}; head -c 4 /dev/{volume.pool}/"
            assert node.run(f"{read}{volume.name}").stdout == "kept"
            finish(backend.forget(volume))
        node.run(["vgremove", "-q", "-y", SECOND])


def lives(make: Any, node: Node, verb: str, *words: Any) -> set[str]:
    """Do it with daemons that die after one change more each time that nothing new was done; the
    last programs of those that died."""
    died_after: set[str] = set()
    seen: set[tuple[str, ...]] = set()
    changes = 1
    for _ in range(LIVES_MAX):
        commands = DyingCommands(node, changes)
        try:
            finish(getattr(make(commands, (GROUP,)), verb)(*words))
        except Killed:
            died_after.add(commands.changed[-1])
        else:
            return died_after
        changes = changes + 1 if tuple(commands.changed) in seen else 1
        seen.add(tuple(commands.changed))
    raise AssertionError(f"{verb} never comes to an end")


def test_killed_while_data_are_exchanged_or_adopted(pair: RealPair) -> None:
    disk = in_use(pair)
    node = pair.nodes[0]
    backend, old = disk.on(0)
    new = renamed(old)
    finish(backend.ensure(new))
    died = lives(DrbdBackend, node, "swap", new, old)
    assert died >= {"lvchange", "drbdsetup"}
    disk.volumes = (new, disk.volumes[1])
    disk.write(0)
    disk.until_synced()
    assert disk.equal()
    assert disk.look(0).role is Role.PRIMARY
    finish(backend.forget(old))
    kept = pair.content(0, new)
    for side in (0, 1):
        disk.verb("detach", side)
    # as a conversion does: the data of the mirror become a plain volume, and a mirror again
    plain = replace(plain_volume(), owner=new.owner, label="web2.example.com")
    finish(PlainBackend(SshCommands(node), (GROUP,)).adopt(plain, new.name))
    assert lives(DrbdBackend, node, "adopt", new, plain.name) == {"lvrename"}
    assert pair.content(0, new) == kept
    finish(backend.forget(new))


def test_killed_while_a_thin_disk_is_reverted(hosts: Testbed) -> None:
    with contextlib.closing(ThinWorld(hosts.nodes()[0])) as world:
        volume = world.volume(8)
        finish(world.backend.ensure(volume))
        world.put(volume, "old")
        finish(world.backend.snapshot(volume, "before"))
        finish(world.backend.detach(volume))
        assert lives(PlainBackend, world.node, "revert", volume, "before") >= {"lvremove"}
        assert world.get(volume) == "old"
        assert [one.name for one in finish(world.backend.look(volume)).snapshots] == ["before"]
