"""What DRBD 9 says of itself."""

from __future__ import annotations

import re

import msgspec
import pytest

from storage.drbd_state import Minor, Resource
from storage.drbd_state_nine import parse_shown, parse_status
from storage.volume import Health, Link

STATUS = """[
{
  "name": "resource0",
  "node-id": 0,
  "role": "Primary",
  "suspended": false,
  "suspended-quorum": false,
  "write-ordering": "flush",
  "devices": [
    {
      "volume": 0,
      "minor": 0,
      "disk-state": "UpToDate",
      "client": false,
      "open": true,
      "quorum": true,
      "size": 51200,
      "read": 12,
      "written": 4096
    } ],
  "connections": [
    {
      "peer-node-id": 1,
      "name": "n2",
      "connection-state": "Connected",\x20
      "congested": false,
      "peer-role": "Secondary",
      "ap-in-flight": 0,
      "rs-in-flight": 0,
      "paths": [
        {
          "this_host": { "address": "192.0.2.1", "port": 11000, "family": "ipv4" },
          "remote_host": { "address": "192.0.2.2", "port": 11000, "family": "ipv4" },
          "established": true
        } ],
      "peer_devices": [
        {
          "volume": 0,
          "replication-state": "Established",
          "peer-disk-state": "UpToDate",
          "peer-client": false,
          "resync-suspended": "no",
          "received": 0,
          "sent": 4096,
          "out-of-sync": 0,
          "pending": 0,
          "unacked": 0,
          "has-sync-details": false,
          "has-online-verify-details": false,
          "percent-in-sync": 100.00
        } ]
    } ]
}
]
"""
SYNC_DETAILS = """"has-sync-details": true,
          "has-online-verify-details": false,
          "percent-in-sync": 62.50,
          "rs-total": 76800,
          "rs-dt-start-ms": 9000,
          "rs-paused-ms": 0,
          "rs-dt0-ms": 3000,
          "rs-db0-sectors": 12800,
          "rs-dt1-ms": 6000,
          "rs-db1-sectors": 25600,
          "rs-failed": 0,
          "want": 0.00,
          "db0/dt0 [MiB/s]": 2.08,
          "db1/dt1 [MiB/s]": 2.08,
          "estimated-seconds-to-finish": 9,
          "db/dt [MiB/s]": 2.08,
          "percent-resync-done": 50.00"""
SYNCING = (
    STATUS.replace('"role": "Primary"', '"role": "Secondary"', 1)
    .replace('"peer-role": "Secondary"', '"peer-role": "Primary"')
    .replace('"disk-state": "UpToDate"', '"disk-state": "Inconsistent"', 1)
    .replace("Established", "SyncTarget")
    .replace(
        '"has-sync-details": false,\n          "has-online-verify-details": false,\n'
        '          "percent-in-sync": 100.00',
        SYNC_DETAILS,
    )
)
SHOW = """resource "resource0" {
    options {
        auto-promote    \tno;
    }
    _this_host {
        node-id\t\t\t0;
        volume 0 {
            device\t\t\tminor 0;
            disk\t\t\t"/dev/xenvg/u.disk0_data";
            meta-disk\t\t\t"/dev/xenvg/u.disk0_meta";
            disk {
                size            \t102400s; # bytes
                on-io-error     \tdetach;
            }
        }
    }
    connection {
        _peer_node_id 1;
        path {
            _this_host ipv4 192.0.2.1:11000;
            _remote_host ipv4 192.0.2.2:11000;
        }
        net {
            cram-hmac-alg   \t"md5";
            shared-secret   \t"abcdef";
            timeout         \t25; # 1/10 seconds
            _name           \t"n2";
        }
        volume 0 {
            disk {
                resync-rate     \t61440k; # bytes/second
                c-plan-ahead    \t0; # 1/10 seconds
            }
        }
    }
}

"""
HALF = """resource "resource0" {
    options {
        auto-promote    \tno;
    }
    _this_host {
        node-id\t\t\t0;
        volume 0 {
            device\t\t\tminor 0;
        }
    }
}

"""
FOUND = Resource(
    name="resource0",
    data="/dev/xenvg/u.disk0_data",
    meta="/dev/xenvg/u.disk0_meta",
    size_mib=50,
    local="ipv4:192.0.2.1:11000",
    peer="ipv4:192.0.2.2:11000",
    secret="abcdef",
    minor=0,
    peer_id=1,
)
PARTED = msgspec.structs.replace(FOUND, parted=True)


def test_a_connected_pair() -> None:
    assert parse_status(STATUS, 0) == Minor(
        state="Connected",
        role="Primary",
        peer_role="Secondary",
        disk="UpToDate",
        peer_disk="UpToDate",
    )
    assert parse_status(STATUS, 1) is None
    assert parse_status("[\n]\n", 0) is None
    assert parse_status("", 0) is None
    with pytest.raises(msgspec.DecodeError):
        parse_status("DRBD module version: 9.2", 0)


def test_a_synchronisation_with_its_share_and_estimate() -> None:
    found = parse_status(SYNCING, 0)
    assert found is not None
    assert (found.link, found.health, found.peer_health) == (Link.SYNCING, Health.SYNC, Health.OK)
    assert (found.sync_percent, found.sync_seconds_left, found.stalled) == (50.0, 9, False)


def test_older_versions_tell_the_share_of_the_whole_only() -> None:
    old = re.sub(r"(62\.50),.*?(50\.00)", r"\1", SYNCING, flags=re.DOTALL)
    assert "percent-resync-done" not in old
    found = parse_status(old, 0)
    assert found is not None
    assert (found.link, found.sync_percent, found.sync_seconds_left) == (Link.SYNCING, 62.5, None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"resync-suspended": "no"', '"resync-suspended": "user,peer"'),
        ('"rs-dt1-ms": 6000', '"rs-dt1-ms": 180001'),
        ('"SyncTarget"', '"PausedSyncT"'),
    ],
)
def test_a_synchronisation_that_stands_still(old: str, new: str) -> None:
    assert old in SYNCING
    text = SYNCING.replace(old, new).replace('to-finish": 9', 'to-finish": 987654321')
    found = parse_status(text, 0)
    assert found is not None
    assert found.stalled
    assert (found.link, found.sync_seconds_left) == (Link.SYNCING, None)


@pytest.mark.parametrize(
    ("connection", "replication", "link"),
    [
        ("StandAlone", "Off", Link.STANDALONE),
        ("Disconnecting", "Off", Link.CONNECTING),
        ("Unconnected", "Off", Link.CONNECTING),
        ("Timeout", "Off", Link.CONNECTING),
        ("BrokenPipe", "Off", Link.CONNECTING),
        ("NetworkFailure", "Off", Link.CONNECTING),
        ("ProtocolError", "Off", Link.CONNECTING),
        ("TearDown", "Off", Link.CONNECTING),
        ("Connecting", "Off", Link.CONNECTING),
        ("Connected", "Off", Link.CONNECTING),
        ("Connected", "Established", Link.CONNECTED),
        ("Connected", "StartingSyncS", Link.SYNCING),
        ("Connected", "StartingSyncT", Link.SYNCING),
        ("Connected", "WFBitMapS", Link.SYNCING),
        ("Connected", "WFBitMapT", Link.SYNCING),
        ("Connected", "WFSyncUUID", Link.SYNCING),
        ("Connected", "SyncSource", Link.SYNCING),
        ("Connected", "SyncTarget", Link.SYNCING),
        ("Connected", "VerifyS", Link.CONNECTED),
        ("Connected", "VerifyT", Link.CONNECTED),
        ("Connected", "PausedSyncS", Link.SYNCING),
        ("Connected", "PausedSyncT", Link.SYNCING),
        ("Connected", "Ahead", Link.SYNCING),
        ("Connected", "Behind", Link.SYNCING),
        ("Connected", "SomethingNew", Link.CONNECTING),
    ],
)
def test_every_state_of_a_connection(connection: str, replication: str, link: Link) -> None:
    text = STATUS.replace('"Connected"', f'"{connection}"').replace("Established", replication)
    found = parse_status(text, 0)
    assert found is not None
    assert found.link is link


def test_without_a_peer_it_stands_alone() -> None:
    head, _, _ = STATUS.partition('  "connections": [')
    found = parse_status(head + '  "connections": [ ]\n}\n]\n', 0)
    assert found is not None
    assert (found.link, found.peer_role, found.peer_disk) == (
        Link.STANDALONE,
        "Unknown",
        "DUnknown",
    )


@pytest.mark.parametrize("text", ["nan", "-nan", "inf"])
def test_a_share_of_nothing_is_none(text: str) -> None:
    found = parse_status(SYNCING.replace("50.00", text).replace("62.50", text), 0)
    assert found is not None
    assert found.sync_percent is None


def test_what_is_configured() -> None:
    assert parse_shown(SHOW) == FOUND
    alone = SHOW.replace("        net {", "        _is_standalone;\n        net {")
    assert parse_shown(alone) == PARTED
    newer = SHOW.replace("        net {", "        _cstate StandAlone;\n        net {")
    assert parse_shown(newer) == PARTED
    two = SHOW.replace("            timeout", "            allow-two-primaries\tyes;\n  timeout")
    assert parse_shown(two) == msgspec.structs.replace(FOUND, two_primaries=True)
    assert parse_shown(HALF) == Resource(name="resource0", minor=0)
    six = SHOW.replace("ipv4 192.0.2.2", "ipv6 [2001:db8::2]")
    shown = parse_shown(six)
    assert shown is not None
    assert shown.peer == "ipv6:[2001:db8::2]:11000"
    assert parse_shown("") is None
    assert parse_shown("# No currently configured DRBD found.\n") is None
