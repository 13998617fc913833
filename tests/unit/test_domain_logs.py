"""What libvirt's log of a guest says of its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypervisors.domain_logs import has_left, left
from hypervisors.host import Host

STARTING = "2026-11-22 04:00:01.100+0000: starting up libvirt version: 9.0.0, package: 9.0.0-4\n"
QEMU = "2026-11-22T04:00:02.5Z qemu-system-x86_64: terminating on signal 15 from pid 7\n"
MIGRATED = "2026-11-22 04:00:50.123+0000: shutting down, reason=migrated\n"
CRASHED = MIGRATED.replace("migrated", "crashed")
LONG_AGO_S = 1_700_000_000.0
SINCE_S = 1_795_320_060.0
"""After the lines were written."""


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        ("", False),
        (STARTING, False),
        (STARTING + QEMU + MIGRATED, True),
        ("...cut off\n" + MIGRATED + QEMU, True),
        (STARTING + CRASHED, False),
        (STARTING + MIGRATED + STARTING, False),
        (STARTING + MIGRATED + STARTING + CRASHED, False),
        (STARTING + CRASHED + STARTING + MIGRATED, True),
        ("guest says: " + MIGRATED, False),
    ],
)
def test_the_last_end_counts(tail: str, expected: bool) -> None:
    assert left(tail, LONG_AGO_S) is expected


def test_an_end_before_the_machine_started_does_not_count() -> None:
    assert not left(STARTING + MIGRATED, SINCE_S)


def test_read_from_the_machine(tmp_path: Path) -> None:
    host, log = Host(tmp_path), tmp_path / "var/log/libvirt/qemu/web1.log"
    assert not has_left(host, "web1")
    log.parent.mkdir(parents=True)
    log.write_text("x" * 200_000 + "\n" + MIGRATED)
    assert not has_left(host, "web1")  # when the machine started is not known
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text(f"cpu 1 2 3\nbtime {LONG_AGO_S:.0f}\nprocesses 7\n")
    assert has_left(host, "web1")
    assert not has_left(host, "web2")
