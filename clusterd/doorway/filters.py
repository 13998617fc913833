"""Changing job filters at the door. What a filter is and does stands in ``jobqueue.filters``."""

from __future__ import annotations

import re
from typing import Any, Protocol

from clusterd.doorway.desk import Desk
from jobqueue.errors import Refused
from jobqueue.filters import Rule, new_rule

MAX_FILTERS = 1000
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Caller(Protocol):
    """One request's surroundings."""

    @property
    def desk(self) -> Desk:
        """What stands behind the door."""


async def replace(
    caller: Caller, uuid: str | None, priority: int, predicates: list[Any], action: Any, why: Any
) -> str:
    """Add a filter, or put this in the place of one; its uuid. A filter that is changed is a new
    one: its watermark is the last job of now. Who chose the uuid may ask twice, as in Ganeti: it
    is added when there is none."""
    jobs = caller.desk.jobs
    if uuid is not None and not UUID.fullmatch(uuid):
        raise Refused(f"'{uuid:.80}' is not the UUID of a job filter", "wrong_input")
    fresh = all(rule.uuid != uuid for rule in jobs.rules)
    if fresh and len(jobs.rules) >= MAX_FILTERS:
        raise Refused(f"There are {MAX_FILTERS} job filters already", "wrong_state")
    rule = Rule(
        uuid=uuid or caller.desk.draw_uuid(),
        watermark=jobs.last_id,
        priority=priority,
        predicates=tuple(predicates),
        action=action,
        reason_trail=tuple(why),
    )
    await jobs.put_rule(new_rule(rule))
    return rule.uuid


async def delete(caller: Caller, uuid: str) -> None:
    """Forget a filter; jobs that it held back may run."""
    if all(rule.uuid != uuid for rule in caller.desk.jobs.rules):
        raise Refused(f"Job filter '{uuid:.80}' not known", "unknown_entity")
    await caller.desk.jobs.delete_rule(uuid)
