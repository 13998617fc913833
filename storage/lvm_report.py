"""What LVM's reports say, as values. Pure: no commands here.

Read from ``lvs`` and ``vgs`` with ``--reportformat json --units b --nosuffix``.
"""

from __future__ import annotations

import math
import re

import msgspec

MIB = 1024 * 1024
LV_FIELDS = (
    "vg_name,lv_name,lv_size,vg_extent_size,stripes,lv_tags,lv_active,lv_device_open,"
    "segtype,pool_lv,data_percent,metadata_percent,lv_time"
)
REPORT_TIMES = ("--config", 'report/time_format="%s"')
VG_FIELDS = "vg_name,vg_size,vg_free"
BOTH_FIELDS = f"{LV_FIELDS},vg_size,vg_free"
"""Of ``lvs``: the logical volumes, and the volume groups that have any."""
REPORT_OPTIONS = ("--reportformat", "json", "--units", "b", "--nosuffix")

UNFINISHED_TAG = "clusterd.unfinished"
"""Stays on a logical volume until it is complete; whatever carries it holds nobody's data."""
OWNER_TAG = "clusterd.owner+"
SNAPSHOT_TAG = "clusterd.snapshot+"
"""The name of the snapshot that a thin volume is."""
LABEL_TAG = "originstname+"
"""Ganeti's tag for the instance's name."""
_UNFIT_IN_TAG = re.compile(r"[^A-Za-z0-9_+.\-/=!:&#]")
_MISSING_POOL = re.compile(r'Volume group "([^"]+)" not found')


class LogicalVolume(msgspec.Struct, frozen=True, kw_only=True):
    """One logical volume as ``lvs`` reports it."""

    group: str
    name: str
    size_bytes: int
    extent_bytes: int
    stripes: int = 1
    tags: tuple[str, ...] = ()
    active: bool = False
    opened: bool = False
    kind: str = ""
    """Type of its first segment, as LVM calls it."""
    thin_pool: str = ""
    """The pool that it is in."""
    data_percent: float | None = None
    """Of a thin pool or volume that is active: how much of it is in use."""
    metadata_percent: float | None = None
    time_s: int = 0
    """When it was made."""

    @property
    def is_thin_pool(self) -> bool:
        """Thin volumes can be in it."""
        return self.kind == "thin-pool"

    @property
    def snapshot(self) -> str | None:
        """The snapshot that it is, if it says so."""
        return next(
            (tag[len(SNAPSHOT_TAG) :] for tag in self.tags if tag.startswith(SNAPSHOT_TAG)), None
        )

    @property
    def size_mib(self) -> int:
        """Whole MiB; extents are never smaller."""
        return self.size_bytes // MIB

    @property
    def unfinished(self) -> bool:
        """True while its making was not completed."""
        return UNFINISHED_TAG in self.tags

    @property
    def owner(self) -> str | None:
        """The instance's uuid that it was made for, if it says so."""
        owners = [tag[len(OWNER_TAG) :] for tag in self.tags if tag.startswith(OWNER_TAG)]
        return owners[0] if owners else None

    @property
    def labelled(self) -> bool:
        """True when it bears the name of an instance."""
        return any(tag.startswith(LABEL_TAG) for tag in self.tags)


class VolumeGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One volume group as LVM reports it."""

    name: str
    size_bytes: int
    free_bytes: int


def tags_for(owner: str, label: str) -> tuple[str, ...]:
    """The tags that say whose a logical volume is; LVM refuses some characters."""
    wanted = ((OWNER_TAG, owner), (LABEL_TAG, label))
    return tuple(prefix + _UNFIT_IN_TAG.sub("_", value) for prefix, value in wanted if value)


def size_fits(found: LogicalVolume, size_mib: int) -> bool:
    """Whether LVM would make this size of the wanted one: it rounds up to (striped) extents."""
    step = found.extent_bytes * max(found.stripes, 1)
    return found.size_bytes == math.ceil(size_mib * MIB / step) * step


def parse_volumes(report: str) -> tuple[LogicalVolume, ...]:
    """Logical volumes of an ``lvs`` report, sorted, one each even if it has many segments."""
    found: dict[tuple[str, str], LogicalVolume] = {}
    for row in _rows(report, "lv"):
        volume = LogicalVolume(
            group=row["vg_name"],
            name=row["lv_name"],
            size_bytes=int(row["lv_size"]),
            extent_bytes=int(row["vg_extent_size"]),
            stripes=int(row["stripes"] or 1),
            tags=tuple(tag for tag in row["lv_tags"].split(",") if tag),
            active=row["lv_active"].startswith("active"),
            opened=row["lv_device_open"] == "open",
            kind=row.get("segtype", ""),
            thin_pool=row.get("pool_lv", ""),
            data_percent=_percent(row.get("data_percent")),
            metadata_percent=_percent(row.get("metadata_percent")),
            time_s=int(row.get("lv_time") or 0),
        )
        found.setdefault((volume.group, volume.name), volume)
    return tuple(found[key] for key in sorted(found))


def _percent(text: str | None) -> float | None:
    return float(text) if text else None


def parse_groups(report: str) -> tuple[VolumeGroup, ...]:
    """Volume groups of a report of ``vgs``, or of ``lvs`` with ``BOTH_FIELDS``, sorted."""
    groups = {
        row["vg_name"]: VolumeGroup(
            name=row["vg_name"], size_bytes=int(row["vg_size"]), free_bytes=int(row["vg_free"])
        )
        for kind in ("vg", "lv")
        for row in _rows(report, kind)
    }
    return tuple(groups[name] for name in sorted(groups))


def missing_groups(stderr: str) -> tuple[str, ...]:
    """Volume groups that LVM said it could not find."""
    return tuple(sorted(set(_MISSING_POOL.findall(stderr))))


def _rows(report: str, kind: str) -> list[dict[str, str]]:
    if not report.strip():
        return []
    decoded = msgspec.json.decode(report, type=dict[str, list[dict[str, list[dict[str, str]]]]])
    return [row for part in decoded["report"] for row in part.get(kind, [])]
