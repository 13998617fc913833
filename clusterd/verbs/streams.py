"""Contents of disks that travel between nodes: from a device, a dump or a script's output to one.

The receiver is told first; the sender's answer comes when everything is safe on the other side.
Both use the node's ``Streams``; here what a call names is made into files and scripts of this node.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from clusterd.verbs.declare import DAY_S, verb
from clusterd.verbs.errors import WrongInput
from clusterd.verbs.exports import NEW
from clusterd.verbs.host import Host, Script
from clusterd.verbs.os import os_script
from clusterd.world import StreamEnd

COMPRESSIONS = ("none", "gzip-fast", "gzip", "gzip-slow")
_TOKEN = re.compile(r"[0-9a-f]{8,64}\Z")
_DUMP = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]*{re.escape(NEW)}/[A-Za-z0-9][A-Za-z0-9._-]*\Z")


@verb(subject="stream", named_by=("end", "place"))
async def accept_stream(host: Host, token: str, end: StreamEnd) -> None:
    """The node takes the contents that will be sent under ``token``; an earlier stream to the same
    place is broken off."""
    _check(token, end)
    place = end.place
    if end.kind == "file":
        if not _DUMP.match(place):
            raise WrongInput(f"'{place}' is no file of an unfinished export", subject=place)
        place = str(host.places.exports[0] / place)
    await host.streams.accept(
        token, msgspec.structs.replace(end, place=place), await _script(host, end)
    )


@verb(subject="stream", named_by=("end", "place"), deadline_s=7 * DAY_S)
async def send_stream(
    host: Host, token: str, peer: str, end: StreamEnd, compress: str, say: Callable[[str], None]
) -> int:
    """Send contents to ``peer``, which accepted ``token``; answers the bytes once they are safe
    there. Raises StreamBroken when either side was lost or failed."""
    _check(token, end)
    if compress not in COMPRESSIONS:
        raise WrongInput(f"compression '{compress}' is none of {', '.join(COMPRESSIONS)}")
    script = await _script(host, end)
    return await host.streams.send((token, peer), end, script, compress, say)


@verb(subject="stream-end", named_by=("place",))
async def stop_stream(host: Host, place: str) -> None:
    """Nothing is received for this place any more."""
    if _DUMP.match(place):
        place = str(host.places.exports[0] / place)
    await host.streams.stop(place)


def _check(token: str, end: StreamEnd) -> None:
    if not _TOKEN.match(token):
        raise WrongInput(f"'{token}' is not the token of a stream")
    if end.kind == "disk" and not Path(end.place).is_absolute():
        raise WrongInput(
            f"'{end.place}' is not a device or file of this node: disks of this kind are reached by"
            " guests alone",
            subject=end.place,
        )


async def _script(host: Host, end: StreamEnd) -> Script | None:
    if end.kind != "script":
        return None
    if end.run is None or end.run.action not in ("export", "import"):
        raise WrongInput("a stream's script is 'export' or 'import'", subject=end.place)
    return await os_script(host, end.run)
