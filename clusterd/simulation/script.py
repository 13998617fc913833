"""What an operator asks "what if" about: events in order, with times.

    power-off node3
    at 30s power-off node3; after 1m gnt-instance failover web1

One statement a line or between semicolons. ``at`` counts from the beginning, ``after`` from the
statement before; without either it follows when that one has ended.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import pyparsing as pp

from clusterd.errors import ClusterError

Verb = Literal[
    "power-off",
    "power-on",
    "cut",
    "mend",
    "fail-disk",
    "kill",
    "start",
    "wait",
    "command",
]
UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
MASTER = "master"


class BadScript(ClusterError):
    """What cannot be understood, where, and what could."""

    code = "wrong_input"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One statement. ``words``: nodes, the daemon and its node, or the command's words."""

    text: str
    verb: Verb
    words: tuple[str, ...] = ()
    at_s: float | None = None
    after_s: float = 0.0


KNOWN = (
    "power-off NODE, power-on NODE, cut NODE NODE, mend NODE NODE, fail disk NODE, "
    "kill master, kill daemon NODE, start master, start daemon NODE, wait TIME, or a gnt command"
)


def parse(text: str) -> tuple[Event, ...]:
    """All statements; raises BadScript."""
    events = []
    for statement in text.replace("\n", ";").split(";"):
        if statement.strip():
            events.append(_event(statement.strip()))
    if not events:
        raise BadScript(f"Nothing is asked; known are {KNOWN}")
    return tuple(events)


def _event(text: str) -> Event:
    try:
        found = _STATEMENT.parse_string(text, parse_all=True)
    except pp.ParseException as error:
        where = f"'{text[error.loc :]}'" if text[error.loc :] else "its end"
        raise BadScript(f"'{text}' is not understood at {where}; known are {KNOWN}") from None
    verb, *words = found["act"]
    times = found.as_dict()
    return Event(
        text=text,
        verb=verb,
        words=tuple(words),
        at_s=times.get("at"),
        after_s=times.get("after", 0.0),
    )


def _statement() -> pp.ParserElement:
    time = pp.Regex(r"(?P<number>\d+(\.\d+)?)(?P<unit>[smh]?)(?!\S)")
    time.set_parse_action(lambda found: float(found["number"]) * UNITS_S[found["unit"]])
    name = pp.Regex(r"[A-Za-z0-9][A-Za-z0-9._-]*")
    one = pp.one_of("power-off power-on", as_keyword=True) + name
    two = pp.one_of("cut mend", as_keyword=True) + name + name
    disk = pp.Keyword("fail").suppress() + pp.Keyword("disk").suppress() + name
    disk.set_parse_action(lambda found: ["fail-disk", found[0]])
    daemon = pp.Keyword("daemon").suppress() + name | pp.Keyword(MASTER)
    process = pp.one_of("kill start", as_keyword=True) + daemon
    wait = pp.Keyword("wait") + time.copy().add_parse_action(lambda found: str(found[0]))
    quoted = pp.QuotedString("'", esc_char="\\") | pp.QuotedString('"', esc_char="\\")
    command = pp.Regex(r"gnt-[a-z]+") + pp.ZeroOrMore(quoted | pp.Regex(r"[^\s'\"]+"))
    command.set_parse_action(lambda found: ["command", *found])
    act = pp.Group(one | disk | two | process | wait | command)("act")
    when = pp.Keyword("at").suppress() + time("at") | pp.Keyword("after").suppress() + time("after")
    return pp.Optional(when) + act


_STATEMENT = _statement()
