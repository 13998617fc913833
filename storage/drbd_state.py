"""What DRBD says of itself, as values, and how 8.4 says it. Pure: no commands here.

Three sources in 8.4: ``/proc/drbd`` (states, costs no process), ``drbdsetup show`` (what is
configured) and ``drbdsetup get-gi`` or ``drbdmeta get-gi`` (the generations of the local data).
"""

from __future__ import annotations

import re

import msgspec

from storage.volume import Health, Link, Role

SECTORS_PER_MIB = 2048
JUST_CREATED = 4
"""DRBD's generation of metadata that never belonged to any data."""

_MINOR = re.compile(
    r"^\s*(?P<minor>\d+): cs:(?P<cs>\w+)(?: ro:(?P<ro>\w+)/(?P<peer_ro>\w+)"
    r" ds:(?P<ds>\w+)/(?P<peer_ds>\w+))?"
)
_PERCENT = re.compile(r"sync'ed:\s*([\d.]+)%")
_STALLED = "(stalled)"
"""DRBD's word when nothing was synchronised for three minutes."""
_FINISH = re.compile(r"finish: (\d+):(\d+):(\d+)")

LINKS = {
    "Unconfigured": Link.NONE,
    "StandAlone": Link.STANDALONE,
    "Disconnecting": Link.CONNECTING,
    "Unconnected": Link.CONNECTING,
    "Timeout": Link.CONNECTING,
    "BrokenPipe": Link.CONNECTING,
    "NetworkFailure": Link.CONNECTING,
    "ProtocolError": Link.CONNECTING,
    "TearDown": Link.CONNECTING,
    "WFConnection": Link.CONNECTING,
    "Connecting": Link.CONNECTING,
    "WFReportParams": Link.CONNECTING,
    "Connected": Link.CONNECTED,
    "VerifyS": Link.CONNECTED,
    "VerifyT": Link.CONNECTED,
    "StartingSyncS": Link.SYNCING,
    "StartingSyncT": Link.SYNCING,
    "WFBitMapS": Link.SYNCING,
    "WFBitMapT": Link.SYNCING,
    "WFSyncUUID": Link.SYNCING,
    "SyncSource": Link.SYNCING,
    "SyncTarget": Link.SYNCING,
    "PausedSyncS": Link.SYNCING,
    "PausedSyncT": Link.SYNCING,
    "Ahead": Link.SYNCING,
    "Behind": Link.SYNCING,
}
"""Every connection state of DRBD 8.4, and the one that 9 renamed; others count as connecting."""


class Minor(msgspec.Struct, frozen=True, kw_only=True):
    """One device in DRBD 8.4's words; ``state`` is that of the connection."""

    state: str = "Unconfigured"
    role: str = "Unknown"
    peer_role: str = "Unknown"
    disk: str = "Diskless"
    peer_disk: str = "DUnknown"
    sync_percent: float | None = None
    sync_seconds_left: int | None = None
    stalled: bool = False
    """A synchronisation that was begun does not go on, or was paused."""

    @property
    def link(self) -> Link:
        """The connection, folded."""
        return LINKS.get(self.state, Link.CONNECTING)

    @property
    def health(self) -> Health:
        """The local data."""
        return health_of(self.disk, self.link)

    @property
    def peer_health(self) -> Health:
        """The peer's data as far as it is known."""
        return health_of(self.peer_disk, self.link)


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One device's configuration as ``drbdsetup show`` prints it. None: not configured."""

    name: str
    data: str | None = None
    meta: str | None = None
    size_mib: int | None = None
    local: str | None = None
    """``ipv4:ADDRESS:PORT``, as drbdsetup takes it."""
    peer: str | None = None
    secret: str = ""
    two_primaries: bool = False
    minor: int | None = None
    """Told by DRBD 9 only, where a resource may still be without."""
    peer_id: int | None = None
    """What DRBD 9 calls the peer. It is known longer than it is connected to."""
    parted: bool = False
    """DRBD 9 knows the peer and does not try to connect."""

    @property
    def bare(self) -> bool:
        """True while it has neither disk nor network: its making was interrupted."""
        return self.data is None and self.peer is None


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """The identity of the local data."""

    current: int
    bitmap: int
    """Not 0 while there are local changes that the peer has not got."""

    @property
    def fresh(self) -> bool:
        """True when the data never were up to date."""
        return self.current == JUST_CREATED


def parse_minors(text: str) -> dict[int, Minor]:
    """The devices in ``/proc/drbd``."""
    found: dict[int, Minor] = {}
    blocks = re.split(r"^(?=\s*\d+: cs:)", text, flags=re.MULTILINE)
    for block in blocks:
        match = _MINOR.match(block)
        if match is None:
            continue
        percent, finish = _PERCENT.search(block), _FINISH.search(block)
        found[int(match["minor"])] = Minor(
            state=match["cs"],
            role=match["ro"] or "Unknown",
            peer_role=match["peer_ro"] or "Unknown",
            disk=match["ds"] or "Diskless",
            peer_disk=match["peer_ds"] or "DUnknown",
            sync_percent=float(percent[1]) if percent else None,
            sync_seconds_left=_seconds(finish) if finish else None,
            stalled=_STALLED in block or match["cs"].startswith("PausedSync"),
        )
    return found


def parse_resource(text: str) -> Resource | None:
    """The resource in the output of ``drbdsetup show MINOR``; None when there is none."""
    name = re.search(r'^resource "?([^"\s{]+)"? \{', text, re.MULTILINE)
    if name is None:
        return None
    values: dict[str, str] = {}
    section = ""
    for line in text.splitlines():
        header = re.match(r"\s*(\w+)(?: \d+)? \{", line)
        if header is not None:
            # "volume" and its "disk" are inside "_this_host"; only the two hosts matter
            section = header[1] if header[1].endswith("_host") else section
            continue
        value = re.match(r'\s*([\w-]+)\s+"?([^";]*)"?;', line)
        if value is not None:
            key = f"{section} address" if value[1] == "address" else value[1]
            values[key] = value[2].strip()
    size = re.fullmatch(r"(\d+)s", values.get("size", ""))
    return Resource(
        name=name[1],
        data=path_of(values.get("disk")),
        meta=path_of(values.get("meta-disk")),
        size_mib=int(size[1]) // SECTORS_PER_MIB if size else None,
        local=endpoint_of(values.get("_this_host address")),
        peer=endpoint_of(values.get("_remote_host address")),
        secret=values.get("shared-secret", ""),
        two_primaries=values.get("allow-two-primaries") == "yes",
    )


def parse_generation(text: str) -> Generation | None:
    """The last line of ``get-gi`` that looks like generations, or None."""
    found = re.findall(r"^([0-9A-F]{16}):([0-9A-F]{16}):[0-9A-F:]+", text, re.MULTILINE)
    if not found:
        return None
    return Generation(current=int(found[-1][0], 16), bitmap=int(found[-1][1], 16))


def role_of(name: str) -> Role:
    """DRBD's word for a role, folded."""
    return {"Primary": Role.PRIMARY, "Secondary": Role.SECONDARY}.get(name, Role.UNKNOWN)


def health_of(disk: str, link: Link) -> Health:
    """DRBD's word for the state of a disk, folded."""
    if disk == "UpToDate":
        return Health.OK
    if disk == "Inconsistent" and link is Link.SYNCING:
        return Health.SYNC
    if disk in ("DUnknown", "Consistent", "Attaching", "Negotiating"):
        return Health.UNKNOWN
    return Health.FAULTY


def path_of(text: str | None) -> str | None:
    """The path of a disk, or None where there is none."""
    return text if text and text != "none" else None


def endpoint_of(text: str | None) -> str | None:
    """``ipv4 ADDRESS:PORT`` as drbdsetup takes it."""
    return ":".join(text.split(None, 1)) if text else None


def _seconds(match: re.Match[str]) -> int:
    hours, minutes, seconds = (int(part) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds
