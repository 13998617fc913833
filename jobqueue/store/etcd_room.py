"""Making room in an etcd cluster that has reached its quota, as nobody else would.

etcd keeps history until it is compacted, keeps the pages of what it compacted until it is
defragmented, and once it has run full refuses to grow until that alarm is taken back. Here all
three are done. What is still too much then is data; only deleting helps.
"""

from __future__ import annotations

import contextlib
from typing import Any

import structlog

from jobqueue.errors import StoreError
from jobqueue.store.etcd_gateway import Compacted, Gateway, Patience
from jobqueue.store.etcd_wire import AlarmAnswer, Nothing

LOG = structlog.get_logger("store")

DEFRAGMENT = Patience(member_s=60.0, all_s=60.0)
"""A member answers nothing while it copies its file: some seconds a GiB."""

GET, DROP = "GET", "DEACTIVATE"


async def make_room(gateway: Gateway) -> None:
    """Compact, defragment member by member, take the alarms back. Raises StoreError."""
    LOG.warning("etcd is full: making room")
    # somebody else has just done it
    with contextlib.suppress(Compacted):
        await gateway.ask("kv/compaction", {"revision": str(gateway.revision)}, Nothing)
    for endpoint in gateway.endpoints:
        try:
            await gateway.ask_only(endpoint, "maintenance/defragment", {}, DEFRAGMENT)
        except StoreError as error:
            LOG.warning("etcd member not defragmented", endpoint=endpoint, error=str(error))
    for alarm in await alarms(gateway):
        await gateway.ask("maintenance/alarm", {"action": DROP} | alarm, AlarmAnswer)


async def alarms(gateway: Gateway) -> list[dict[str, Any]]:
    """Those that are raised: ``memberID`` and ``alarm``."""
    answer = await gateway.ask("maintenance/alarm", {"action": GET}, AlarmAnswer)
    return list(answer.alarms)
