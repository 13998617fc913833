"""Job filter rules as they are queried."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from clusterd.queries.field import Field, Resource, by_name, plain
from clusterd.queries.sources import Sources
from jobqueue.filters import Rule

FIELDS = tuple(
    Field(name, title, kind, doc, plain(attrgetter(name)))
    for name, title, kind, doc in (
        ("uuid", "UUID", "text", "UUID of the rule"),
        ("watermark", "Watermark", "number", "Last job when the rule was made"),
        ("priority", "Priority", "number", "Smaller is asked first"),
        ("predicates", "Predicates", "other", "Which jobs it is about"),
        ("action", "Action", "other", "What is done with them"),
        ("reason_trail", "ReasonTrail", "other", "Why it was made"),
    )
)


def find(sources: Sources, uuid: Any) -> Rule | None:
    """A rule by uuid; there are few."""
    return next((rule for rule in sources.jobs.rules if rule.uuid == uuid), None)


RESOURCE = Resource(
    what="filter",
    word="Filter",
    key="uuid",
    fields=by_name(FIELDS),
    all=lambda sources: sources.jobs.rules,
    find=find,
    name_of=lambda rule: rule.uuid,
)
