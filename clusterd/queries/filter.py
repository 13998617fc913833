"""Job filter rules as they are queried. Rules cannot be made in this release, so there are none."""

from __future__ import annotations

from operator import attrgetter

from clusterd.queries.field import Field, Resource, by_name, plain

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

RESOURCE = Resource(
    what="filter",
    word="Filter",
    key="uuid",
    fields=by_name(FIELDS),
    all=lambda _sources: (),
    find=lambda _sources, _uuid: None,
    name_of=lambda rule: rule.uuid,
)
