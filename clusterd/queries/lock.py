"""Locks as they are queried: only those that somebody holds or waits for."""

from __future__ import annotations

from typing import Any

from clusterd.queries.field import Field, Resource, by_name, plain, present
from clusterd.queries.sources import Sources
from jobqueue.locks import Held


def _owners(held: Held) -> list[str] | None:
    return list(held.owners) or None


def _seconds(spans: tuple[float, ...]) -> list[float] | None:
    return [round(span, 3) for span in spans] or None


def _pending(held: Held) -> list[Any] | None:
    """``[mode, [owners]]``, neighbours with the same mode together."""
    rows: list[Any] = []
    for mode, owner in held.pending:
        if rows and rows[-1][0] == mode:
            rows[-1][1].append(owner)
        else:
            rows.append([mode, [owner]])
    return rows or None


FIELDS = (
    Field("name", "Name", "text", "Name with its level", plain(lambda h: h.name)),
    Field("mode", "Mode", "other", "shared or exclusive", lambda _s, h: present(h.mode)),
    Field("owner", "Owner", "other", "Jobs that hold it", lambda _s, h: present(_owners(h))),
    Field("pending", "Pending", "other", "Jobs that wait", lambda _s, h: present(_pending(h))),
    Field(
        "held",
        "Held",
        "other",
        "For how many seconds each owner has had it",
        lambda _s, h: present(_seconds(h.held_s)),
    ),
    Field(
        "waiting",
        "Waiting",
        "other",
        "For how many seconds each of those who wait has waited",
        lambda _s, h: present(_seconds(h.waiting_s)),
    ),
)


def find(sources: Sources, name: Any) -> Held | None:
    """A lock by name."""
    return sources.jobs.locks.row(name) if isinstance(name, str) else None


RESOURCE = Resource(
    what="lock",
    word="Lock",
    key="name",
    fields=by_name(FIELDS),
    all=lambda sources: sources.jobs.locks.rows(),
    find=find,
    name_of=lambda held: held.name,
)
