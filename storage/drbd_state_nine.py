"""What DRBD 9 says of itself, as the values of ``drbd_state``. Pure: no commands here.

Two sources: ``drbdsetup status --json RESOURCE`` (states) and ``drbdsetup show RESOURCE`` (what is
configured). A resource has one volume and one peer here. What a version does not tell is taken as
unknown, never as good.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from storage.drbd_state import SECTORS_PER_MIB, Minor, Resource, endpoint_of, path_of

NO_ESTIMATE = 987654321
"""DRBD's number of seconds while nothing is copied."""
STALLED_MS = 180_000
"""As in 8.4: nothing was synchronised for three minutes."""
_SYNCING = frozenset({"SyncSource", "SyncTarget", "PausedSyncS", "PausedSyncT"})
_NOT_A_NUMBER = re.compile(r":\s*-?(?:nan|inf)\b")
_LINE = re.compile(r"\s*(?P<words>[^{};#]*?)\s*(?P<end>[{;}])")


class _Kebab(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """Read from what DRBD prints; unknown fields are newer than this."""


class _PeerDevice(_Kebab, frozen=True, kw_only=True):
    volume: int = 0
    replication_state: str = "Off"
    peer_disk_state: str = "DUnknown"
    resync_suspended: str = "no"
    percent_in_sync: float | None = None
    percent_resync_done: float | None = None
    estimated_seconds_to_finish: float | None = None
    rs_dt1_ms: float = 0


class _Connection(_Kebab, frozen=True, kw_only=True):
    connection_state: str = "StandAlone"
    peer_role: str = "Unknown"
    peer_devices: list[_PeerDevice] = msgspec.field(default_factory=list, name="peer_devices")


class _Device(_Kebab, frozen=True, kw_only=True):
    minor: int
    volume: int = 0
    disk_state: str = "Diskless"


class _Status(_Kebab, frozen=True, kw_only=True):
    role: str = "Unknown"
    devices: list[_Device] = []
    connections: list[_Connection] = []


def parse_status(text: str, minor: int) -> Minor | None:
    """The device in the output of ``drbdsetup status --json``; None when there is none.

    Raises msgspec.DecodeError for what is no status.
    """
    # a volume without size has a share of nothing, which C prints as no number
    readable = _NOT_A_NUMBER.sub(": null", text)
    for status in msgspec.json.decode(readable or "[]", type=list[_Status]):
        for device in status.devices:
            if device.minor == minor:
                return _minor(status, device)
    return None


def _minor(status: _Status, device: _Device) -> Minor:
    connection = status.connections[0] if status.connections else _Connection()
    peer = next(
        (one for one in connection.peer_devices if one.volume == device.volume), _PeerDevice()
    )
    state = _state(connection, peer)
    syncing = state in _SYNCING
    percent = peer.percent_resync_done
    if percent is None:
        percent = peer.percent_in_sync
    seconds = peer.estimated_seconds_to_finish
    known = seconds is not None and seconds < NO_ESTIMATE
    return Minor(
        state=state,
        role=status.role,
        peer_role=connection.peer_role,
        disk=device.disk_state,
        peer_disk=peer.peer_disk_state,
        sync_percent=percent if syncing else None,
        sync_seconds_left=int(seconds) if syncing and seconds is not None and known else None,
        stalled=syncing
        and (
            state.startswith("PausedSync")
            or peer.resync_suspended != "no"
            or peer.rs_dt1_ms > STALLED_MS
        ),
    )


def _state(connection: _Connection, peer: _PeerDevice) -> str:
    """8.4's one word for what 9 tells apart: the connection, and what goes over it."""
    if connection.connection_state != "Connected":
        return connection.connection_state
    if peer.replication_state == "Established":
        return "Connected"
    return "WFReportParams" if peer.replication_state == "Off" else peer.replication_state


def parse_shown(text: str) -> Resource | None:
    """The resource in the output of ``drbdsetup show RESOURCE``; None when there is none."""
    name = None
    values: dict[str, str] = {}
    for place, words in _statements(text):
        if place and place[0].startswith("resource "):
            name = name or place[0].split(None, 1)[1].strip('"')
        key, _, value = words.partition(" ")
        values.setdefault(_key(place, key), value.strip().strip('"'))
    if name is None:
        return None
    size = re.match(r"(\d+)s", values.get("disk size", ""))
    minor = re.fullmatch(r"minor (\d+)", values.get("device", ""))
    peer_id = re.fullmatch(r"\d+", values.get("_peer_node_id", ""))
    return Resource(
        name=name,
        data=path_of(values.get("disk")),
        meta=path_of(values.get("meta-disk")),
        size_mib=int(size[1]) // SECTORS_PER_MIB if size else None,
        local=endpoint_of(values.get("path _this_host")),
        peer=endpoint_of(values.get("path _remote_host")),
        secret=values.get("net shared-secret", ""),
        two_primaries=values.get("net allow-two-primaries") == "yes",
        minor=int(minor[1]) if minor else None,
        peer_id=int(peer_id[0]) if peer_id else None,
        parted="_is_standalone" in values or values.get("_cstate") == "StandAlone",
    )


def _key(place: tuple[str, ...], key: str) -> str:
    """The value's name with its section where other sections have the same name."""
    section = place[-1].split(" ")[0] if place else ""
    return f"{section} {key}" if section in ("path", "net", "disk", "options") else key


def _statements(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """(sections that it is in, words) of each statement, and of each section's beginning."""
    place: list[str] = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        words = re.sub(r"\s+", " ", match["words"])
        if match["end"] == "{":
            place.append(words)
            yield tuple(place), ""
        elif match["end"] == "}":
            place = place[:-1]
        else:
            yield tuple(place), words
