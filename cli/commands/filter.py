"""``gnt-filter``: lists; what changes job filters is not served yet."""

from __future__ import annotations

from cli.command import Command
from cli.listing import Kind, list_command, list_fields_command

KIND = Kind(
    what="filter",
    plural="job filters",
    columns=("uuid", "watermark", "priority", "predicates", "action", "reason_trail"),
    key="uuid",
)

COMMANDS: tuple[Command, ...] = (list_command(KIND), list_fields_command(KIND))
