"""What DRBD 8.4 prints, and what is decided from it."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import errors
from storage.drbd_options import DrbdParameters, disk_options, endpoints, net_options
from storage.drbd_plan import (
    clean_generation,
    must_change_sharing,
    occupant,
    refuse_open,
)
from storage.drbd_plan_eight import allow_two_primaries, bring_up, clean_metadata, connect
from storage.drbd_state import (
    LINKS,
    Generation,
    Minor,
    Resource,
    parse_generation,
    parse_minors,
    parse_resource,
)
from storage.plugin import checked_parameters
from storage.volume import Health, Link, Mirror, Template, Volume

PROC = """version: 8.4.11 (api:1/proto:86-101)
srcversion: 059B1B470318F053F5077D5
 0: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----
    ns:0 nr:0 dw:0 dr:0 al:8 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:50944
 1: cs:Unconfigured
 2: cs:StandAlone ro:Secondary/Unknown ds:UpToDate/DUnknown   r-----
    ns:0 nr:0 dw:0 dr:0 al:8 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:50944
12: cs:SyncTarget ro:Secondary/Primary ds:Inconsistent/UpToDate C r-----
    ns:0 nr:65536 dw:65536 dr:0 al:8 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:458752
\t[=>..................] sync'ed: 12.5% (458752/524288)K
\tfinish: 1:01:10 speed: 10,240 (10,240) want: 0 K/sec
"""
SHOW = """resource resource0 {
    options {
    }
    net {
        timeout         \t25; # 1/10 seconds
        allow-two-primaries\tyes;
        cram-hmac-alg   \t"md5";
        shared-secret   \t"abcdef";
    }
    _remote_host {
        address\t\t\tipv4 192.0.2.2:11000;
    }
    _this_host {
        address\t\t\tipv4 192.0.2.1:11000;
        volume 0 {
            device\t\t\tminor 0;
            disk\t\t\t"/dev/xenvg/u.disk0_data";
            meta-disk\t\t\t"/dev/xenvg/u.disk0_meta";
            disk {
                size            \t102400s; # bytes
                resync-rate     \t61440k; # bytes/second
            }
        }
    }
}
"""
BARE = """resource resource0 {
    options {
    }
    _this_host {
        volume 0 {
            device\t\t\tminor 0;
        }
    }
}
"""
MIRROR = Mirror(
    minor=0,
    port=11000,
    secret="abcdef",
    local_name="n1",
    local_address="192.0.2.1",
    peer_name="n2",
    peer_address="192.0.2.2",
    peer_minor=3,
    meta_pool="xenvg",
    meta_name="u.disk0_meta",
)
VOLUME = Volume(
    template=Template.DRBD,
    uuid="u",
    pool="xenvg",
    name="u.disk0_data",
    size_mib=50,
    owner="o",
    label="web1",
    mirror=MIRROR,
)
FOUND = Resource(
    name="resource0",
    data="/dev/xenvg/u.disk0_data",
    meta="/dev/xenvg/u.disk0_meta",
    size_mib=50,
    local="ipv4:192.0.2.1:11000",
    peer="ipv4:192.0.2.2:11000",
    secret="abcdef",
)
DEFAULTS = DrbdParameters()


def test_minors_of_the_kernel() -> None:
    minors = parse_minors(PROC)
    assert sorted(minors) == [0, 1, 2, 12]
    assert minors[0] == Minor(
        state="Connected",
        role="Primary",
        peer_role="Secondary",
        disk="UpToDate",
        peer_disk="UpToDate",
    )
    assert (minors[1].link, minors[2].link) == (Link.NONE, Link.STANDALONE)
    assert (minors[12].health, minors[12].peer_health) == (Health.SYNC, Health.OK)
    assert (minors[12].sync_percent, minors[12].sync_seconds_left) == (12.5, 3670)
    assert parse_minors("") == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [("want: 0 K/sec", "want: 0 K/sec (stalled)"), ("cs:SyncTarget", "cs:PausedSyncT")],
)
def test_a_synchronisation_that_stands_still(old: str, new: str) -> None:
    assert not parse_minors(PROC)[12].stalled
    minor = parse_minors(PROC.replace(old, new))[12]
    assert minor.stalled
    assert (minor.link, minor.sync_percent) == (Link.SYNCING, 12.5)


def test_resource_as_shown() -> None:
    wanted = msgspec.structs.replace(FOUND, two_primaries=True)
    assert parse_resource(SHOW) == wanted
    bare = parse_resource(BARE)
    assert bare == Resource(name="resource0")
    assert bare is not None
    assert bare.bare
    assert parse_resource("") is None


def test_generations() -> None:
    text = "noise\n1234567890ABCDE0:0000000000000004:0000000000000000:0000000000000000:1:1:0:0:0\n"
    assert parse_generation(text) == Generation(current=0x1234567890ABCDE0, bitmap=4)
    assert parse_generation("Device is unconfigured") is None
    assert Generation(current=4, bitmap=0).fresh


def test_nothing_there_is_brought_up_whole() -> None:
    commands = bring_up(VOLUME, MIRROR, DEFAULTS, None)
    words = [command[1] if command[0] == "drbdsetup" else command[-1] for command in commands]
    assert words == ["new-resource", "new-minor", "apply-al", "attach", "connect"]
    assert "--size=50M" in commands[3]
    assert commands[4][2:5] == ("resource0", "ipv4:192.0.2.1:11000", "ipv4:192.0.2.2:11000")


@pytest.mark.parametrize(
    ("found", "missing"),
    [
        (Resource(name="resource0"), ["apply-al", "attach", "connect"]),
        (msgspec.structs.replace(FOUND, local=None, peer=None), ["connect"]),
        (msgspec.structs.replace(FOUND, data=None, meta=None), ["apply-al", "attach"]),
        (msgspec.structs.replace(FOUND, peer="ipv4:192.0.2.9:11000"), ["disconnect", "connect"]),
        (msgspec.structs.replace(FOUND, secret="old"), ["disconnect", "connect"]),
        (FOUND, []),
    ],
)
def test_half_done_is_finished(found: Resource, missing: list[str]) -> None:
    commands = bring_up(VOLUME, MIRROR, DEFAULTS, found)
    words = [command[1] if command[0] == "drbdsetup" else command[-1] for command in commands]
    assert words == missing


def test_giving_up_changes_needs_a_new_connection() -> None:
    old, new = connect(MIRROR, DEFAULTS, FOUND, discard_local=True)
    assert old == ("drbdsetup", "disconnect", FOUND.local, FOUND.peer)
    assert "--discard-my-data=yes" in new


def test_minor_of_another_volume() -> None:
    other = msgspec.structs.replace(FOUND, data="/dev/xenvg/x.disk0_data")
    assert isinstance(occupant(VOLUME, other), errors.VolumeBusy)
    for ours in (None, FOUND, Resource(name="resource0")):
        assert occupant(VOLUME, ours) is None


DISKS = ("UpToDate", "Consistent", "Inconsistent", "Outdated", "Diskless", "Attaching", "Failed")
GENERATIONS = (None, Generation(current=4, bitmap=0), Generation(current=10, bitmap=8))


@pytest.mark.parametrize(
    ("state", "generation", "force", "refusal"),
    [
        (Minor(state="Connected", disk="UpToDate"), None, False, None),
        (Minor(state="SyncSource", disk="UpToDate"), None, False, None),
        (Minor(state="WFConnection", disk="UpToDate"), None, False, errors.NotUpToDate),
        (Minor(state="WFConnection", disk="UpToDate"), None, True, None),
        (Minor(state="StandAlone", disk="UpToDate"), GENERATIONS[2], False, errors.SplitBrain),
        (Minor(state="StandAlone", disk="UpToDate"), GENERATIONS[2], True, None),
        (Minor(state="StandAlone", disk="UpToDate"), GENERATIONS[1], False, errors.NotUpToDate),
        (Minor(state="Connected", disk="Inconsistent"), GENERATIONS[1], True, None),
        (Minor(state="Connected", disk="Inconsistent"), None, False, errors.NotUpToDate),
        (
            Minor(state="WFConnection", disk="Inconsistent"),
            GENERATIONS[2],
            True,
            errors.NotUpToDate,
        ),
        (Minor(state="SyncTarget", disk="Inconsistent"), GENERATIONS[1], True, errors.NotUpToDate),
        (Minor(state="WFConnection", disk="Outdated"), GENERATIONS[2], True, errors.NotUpToDate),
    ],
)
def test_who_may_become_primary(
    state: Minor, generation: Generation | None, force: bool, refusal: type[Exception] | None
) -> None:
    found = refuse_open(VOLUME, state, FOUND, generation, force=force)
    assert (type(found) if found else None) is refusal


def test_no_state_at_all_opens_beside_a_primary_or_on_bad_data() -> None:
    cases = itertools.product(
        sorted(LINKS), DISKS, ("Primary", "Secondary", "Unknown"), GENERATIONS, (False, True)
    )
    for state, disk, peer_role, generation, force in cases:
        minor = Minor(state=state, disk=disk, peer_role=peer_role)
        refusal = refuse_open(VOLUME, minor, FOUND, generation, force=force)
        if peer_role == "Primary":
            assert isinstance(refusal, errors.SecondPrimary)
        elif disk == "Inconsistent":
            fresh = generation is not None and generation.fresh
            allowed = force and fresh and minor.link is not Link.SYNCING
            assert (refusal is None) is allowed
        elif disk != "UpToDate":
            assert isinstance(refusal, errors.NotUpToDate)
        else:
            lonely = minor.link not in (Link.CONNECTED, Link.SYNCING)
            assert (refusal is None) is (force or not lonely)


def test_sharing_is_changed_once_and_needs_a_peer() -> None:
    connected = Minor(state="Connected", role="Primary", peer_role="Secondary")
    assert must_change_sharing(VOLUME, connected, FOUND, allowed=True)
    shared = msgspec.structs.replace(FOUND, two_primaries=True)
    assert not must_change_sharing(VOLUME, connected, shared, allowed=True)
    assert not must_change_sharing(VOLUME, connected, None, allowed=True)
    with pytest.raises(errors.NotUpToDate):
        must_change_sharing(VOLUME, Minor(state="WFConnection"), FOUND, allowed=True)
    both = Minor(state="Connected", role="Primary", peer_role="Primary")
    with pytest.raises(errors.VolumeBusy):
        must_change_sharing(VOLUME, both, shared, allowed=False)
    assert must_change_sharing(VOLUME, Minor(state="WFConnection"), shared, allowed=False)


@pytest.mark.parametrize(
    ("protocol", "allowed", "options"),
    [
        ("C", True, ("--allow-two-primaries=yes",)),
        ("C", False, ("--allow-two-primaries=no",)),
        ("A", True, ("--protocol=C", "--allow-two-primaries=yes")),
        ("A", False, ("--protocol=A", "--allow-two-primaries=no")),
    ],
)
def test_the_window_has_protocol_c(protocol: str, allowed: bool, options: tuple[str, ...]) -> None:
    command = allow_two_primaries(MIRROR, FOUND, protocol, allowed=allowed)
    assert command == ("drbdsetup", "net-options", FOUND.local, FOUND.peer, *options)


def other_side(mirror: Mirror) -> Mirror:
    return msgspec.structs.replace(
        mirror,
        minor=mirror.peer_minor,
        local_name=mirror.peer_name,
        local_address=mirror.peer_address,
        peer_name=mirror.local_name,
        peer_address=mirror.local_address,
        peer_minor=mirror.minor,
        side=0 if mirror.side else 1,
    )


def test_both_sides_find_the_same_first_generation_and_others_another() -> None:
    mine = clean_generation(VOLUME, MIRROR)
    assert mine == clean_generation(VOLUME, other_side(MIRROR))
    assert mine % 2 == 0
    assert mine > 4
    for change in ({"minor": 7}, {"peer_name": "n3"}, {"secret": "new"}):
        assert clean_generation(VOLUME, msgspec.structs.replace(MIRROR, **change)) != mine


@given(st.integers(1, 4 * 1024 * 1024))
def test_clean_metadata_cover_the_whole_disk(size_mib: int) -> None:
    text = clean_metadata(msgspec.structs.replace(VOLUME, size_mib=size_mib), MIRROR)
    assert f"la-size-sect {size_mib * 2048};" in text
    words = int(text.split("bm { ")[1].split()[0])
    assert (words - 1) * 64 * 4096 < size_mib * 1024 * 1024 <= words * 64 * 4096


def test_options_of_the_defaults() -> None:
    options = disk_options(DEFAULTS, 50)
    wanted = {"--size=50M", "--on-io-error=detach", "--c-plan-ahead=0", "--resync-rate=61440"}
    assert set(options) == wanted
    options = net_options(DEFAULTS, MIRROR)
    assert "--protocol=C" in options
    assert "--shared-secret=abcdef" in options
    assert not any("two-primaries" in option for option in options)


def test_every_parameter_has_its_option() -> None:
    volume = msgspec.structs.replace(
        VOLUME,
        params={
            "dynamic-resync": "true",
            "c-max-rate": "1000",
            "disk-barriers": "bf",
            "meta-barriers": True,
            "protocol": "B",
            "disk-custom": "--al-extents 1237 --on-io-error=pass_on",
            "net-custom": "--ping-int=9 --always-asbp",
        },
    )
    parameters = checked_parameters(volume, DrbdParameters)
    options = disk_options(parameters, 50)
    for option in (
        "--c-plan-ahead=20",
        "--c-max-rate=1000",
        "--disk-barrier=no",
        "--disk-flushes=no",
        "--md-flushes=no",
        "--al-extents=1237",
        "--on-io-error=pass_on",
    ):
        assert option in options
    assert len(options) == len({option.partition("=")[0] for option in options})
    network = net_options(parameters, MIRROR)
    assert {"--protocol=B", "--ping-int=9", "--always-asbp=yes"} < set(network)


@pytest.mark.parametrize(
    "params",
    [
        {"protocol": "D"},
        {"resync-rate": "fast"},
        {"resync-rate": 0},
        {"disk-barriers": "nb"},
        {"resync_rate": 1},
        {"unknown": 1},
    ],
)
def test_bad_parameters_are_refused(params: dict[str, str | int]) -> None:
    volume = msgspec.structs.replace(VOLUME, params=params)
    with pytest.raises(errors.BadParameter):
        checked_parameters(volume, DrbdParameters)


@pytest.mark.parametrize("custom", ["ping-int=3", "'--open"])
def test_bad_custom_options_are_refused(custom: str) -> None:
    with pytest.raises(errors.BadParameter):
        net_options(DrbdParameters(net_custom=custom), MIRROR)


def test_addresses_of_both_families() -> None:
    assert endpoints(MIRROR)[0] == "ipv4:192.0.2.1:11000"
    six = msgspec.structs.replace(MIRROR, peer_address="2001:db8::2")
    assert endpoints(six)[1] == "ipv6:[2001:db8::2]:11000"
