"""The values that a command is made of, and what its function is handed.

Decided here: nothing; parsing is ``arguments``, spellings are ``compatibility``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from clusterd.doorway.client import Door


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One option. What is left empty comes from the opcode's field of that name."""

    names: tuple[str, ...]
    field: str = ""
    """The opcode's field that it fills."""
    words: str = ""
    metavar: str = ""
    flag: bool = False
    many: bool = False
    """May be given again; ``reads`` is handed a tuple."""
    counts: bool = False
    choices: tuple[str, ...] = ()
    reads: Callable[[Any], Any] | None = None
    """Text (or texts, or True) to value; raises BadText."""
    fields: Callable[[Any], Mapping[str, Any]] | None = None
    """Value to several of the opcode's fields."""
    default: Any = None
    """The value when it is not given; None: nothing is filled."""
    completes: str = ""
    """Names of what kind complete it: node, instance, group, os, file."""

    @property
    def key(self) -> str:
        """Under which a command's function finds the value: the long name, ``no_headers``."""
        long = [name for name in self.names if name.startswith("--")] or list(self.names)
        return long[0].lstrip("-").replace("-", "_")


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """Positional arguments."""

    shown: str = ""
    """As in the usage line: ``<instance-name>``."""
    minimum: int = 0
    maximum: int | None = 0
    """None: any number."""
    completes: str = ""


class Session(Protocol):
    """The outside of a command: what it reads and writes, whom it asks, what time it is."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of the process."""

    @property
    def door(self) -> Door:
        """The master's door."""

    @property
    def live(self) -> bool:
        """True when a person watches: progress may be drawn."""

    def out(self, text: str) -> None:
        """A line on standard output."""

    def err(self, text: str) -> None:
        """A line on standard error."""

    def ask(self, question: str) -> bool:
        """Yes or no from the terminal; without one, no."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch."""

    def draw_name(self) -> str:
        """A name for a request that no other request has."""

    def pause(self, duration_s: float) -> None:
        """Let time pass."""

    def read_input(self) -> str:
        """All of standard input."""

    def replace_process(self, argv: list[str]) -> int:
        """Become another program; answers its exit code where that is not possible."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One use of a command."""

    tool: str
    """``gnt-instance``"""
    name: str
    options: dict[str, Any]
    """Only what was given or has a default."""
    arguments: tuple[str, ...]
    session: Session
    may_name: bool = False
    """Its command has the option that names the request."""

    def given(self, key: str, default: Any = None) -> Any:
        """The value of an option."""
        return self.options.get(key, default)


Run = Callable[[Call], int]


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command that can be parsed and run."""

    name: str
    summary: str
    run: Run
    arguments: Arguments = Arguments()
    options: tuple[Option, ...] = ()
    aliases: tuple[str, ...] = ()
    options_anywhere: bool = False
    """Options may follow arguments; Ganeti's commands have them before."""
    usage: str = ""
    """Of the options, in the usage line; empty: ``[options...]``."""
    details: str = ""
    """Further words of the manual page."""
    served: bool = True
