"""What the nodes have of a kind of plugins of the site, shown: OS definitions, storage providers.

Decided here: how ``info`` and ``diagnose`` go through them and when they fail; both only read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cli.command import Call
from cli.exits import Exit

Plugin = Mapping[str, Any]


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """How plugins of one kind are asked for and shown."""

    what: str
    """What the master calls them in a query."""
    called: str
    """What people call one."""
    fields: tuple[str, ...]
    details: Callable[[Plugin], list[str]]
    """The lines of ``info``."""
    diagnosis: Callable[[Plugin], list[str]]
    """The lines of ``diagnose``."""
    usable: Callable[[Plugin], bool]

    def all(self, call: Call) -> list[Plugin]:
        """What the master knows of each."""
        data = call.session.door.query(self.what, self.fields)["data"]
        return [dict(zip(self.fields, (value for _, value in row), strict=True)) for row in data]

    def info(self, call: Call) -> int:
        """Those that are named, or all; fails for one that no node has."""
        known = {plugin["name"]: plugin for plugin in self.all(call)}
        missing = [name for name in call.arguments if name not in known]
        for name in call.arguments or sorted(known):
            if name in known:
                for line in self.details(known[name]):
                    call.session.out(line)
        for name in missing:
            call.session.err(f"{self.called} '{name}' is unknown")
        return Exit.FAILURE if missing else Exit.SUCCESS

    def diagnose(self, call: Call) -> int:
        """All; fails when one cannot be used."""
        broken = False
        for plugin in self.all(call):
            broken = broken or not self.usable(plugin)
            for line in self.diagnosis(plugin):
                call.session.out(line)
        return Exit.FAILURE if broken else Exit.SUCCESS
