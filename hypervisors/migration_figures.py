"""libvirt's figures of a job as a migration's status. Pure.

Memory figures, not data figures: a mirrored disk's blocks do not travel with the guest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from hypervisors.guest import MigrationStatus

BYTES_PER_MIB = 1024 * 1024

State = Literal["none", "running", "completed", "failed", "cancelled"]


def from_job(
    state: State,
    figures: Mapping[str, Any],
    *,
    extra_downtime_ms: int = 0,
    took_ms: int | None = None,
    message: str = "",
) -> MigrationStatus:
    """The status; figures that libvirt does not give are zero, an unknown downtime is None.

    ``took_ms``: how long it took in all, where that is known. libvirt's own count leaves out that
    QEMU was started on the target.
    """
    downtime = figures.get("downtime") if state == "completed" else None
    return MigrationStatus(
        state=state,
        transferred_mib=_mib(figures, "processed"),
        remaining_mib=_mib(figures, "remaining"),
        total_mib=_mib(figures, "total"),
        iteration=int(figures.get("memory_iteration", 0)),
        elapsed_ms=int(figures.get("time_elapsed", 0)) if took_ms is None else took_ms,
        downtime_ms=None if downtime is None else int(downtime) + extra_downtime_ms,
        message=message,
        disks_total_mib=_whole(figures.get("disk_total", 0)),
        disks_remaining_mib=_whole(figures.get("disk_remaining", 0)),
    )


def _mib(figures: Mapping[str, Any], what: str) -> float:
    value = figures.get(f"memory_{what}", figures.get(f"data_{what}", 0))
    return _whole(value)


def _whole(value: Any) -> float:
    return round(float(value) / BYTES_PER_MIB, 2)
