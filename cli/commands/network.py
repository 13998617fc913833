"""``gnt-network``: lists; what changes networks is not served yet."""

from __future__ import annotations

from cli.asking import list_tags_command
from cli.command import Command
from cli.listing import Kind, list_command, list_fields_command

KIND = Kind(
    what="network",
    plural="networks",
    columns=("name", "network", "gateway", "mac_prefix", "group_list", "tags"),
    formats={
        "group_list": lambda rows: ", ".join(
            row if isinstance(row, str) else f"{row[0]} ({', '.join(row[1:])})" for row in rows
        )
    },
)

COMMANDS: tuple[Command, ...] = (
    list_command(KIND),
    list_fields_command(KIND),
    list_tags_command("network"),
)
