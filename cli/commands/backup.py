"""``gnt-backup``: what this version serves is derived; the rest is listed as not served."""

from __future__ import annotations

from cli.command import Command

COMMANDS: tuple[Command, ...] = ()
