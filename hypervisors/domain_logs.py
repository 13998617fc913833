"""What libvirt's log of a guest says of how the guest ended here. Pure but for reading the file.

A daemon that did not live through a migration learns from it that the guest has left: that nothing
of it is here would be so, too, if it had gone on here and ended. libvirt writes such a line at each
end of a QEMU (``shutting down, reason=migrated``), and one at each beginning (``starting up``).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from hypervisors.host import Host

LOG = "/var/log/libvirt/qemu/{name}.log"
TAIL_BYTES = 64 * 1024
"""What a guest's QEMU says after its end fits in here by far."""

_LINE = re.compile(
    r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.\d+\+0000: (?:starting up|shutting down, reason=(\w+))",
    re.MULTILINE,
)


def has_left(host: Host, name: str) -> bool:
    """The guest's last run on this machine, since it started, ended as it had migrated away."""
    try:
        tail, booted_s = host.tail(LOG.format(name=name), TAIL_BYTES), host.booted_s()
    except OSError:
        return False
    return left(tail, booted_s)


def left(tail: str, booted_s: float) -> bool:
    """``tail`` is the end of the log, ``booted_s`` when the machine started, since the epoch."""
    found = _LINE.findall(tail)
    if not found:
        return False
    written, reason = found[-1]
    ended = datetime.strptime(written, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return bool(reason == "migrated" and ended.timestamp() >= booted_s)
