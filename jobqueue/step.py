"""A step: a value with a ``do`` and an ``undo``, the smallest thing that a job remembers.

How the executor uses a step: the intent is stored, ``do`` runs, its outcome is stored. ``do`` may
run again at any time from any state it left. ``undo`` runs for finished, failed and unknown
steps and accepts never done, half done, done and already undone. Steps never loop, wait or retry;
they raise an error with ``retryable`` and their ``patience`` says how long the executor goes on.

A step is a frozen struct: its fields are its stored arguments, its tag is API.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import msgspec

from jobqueue.store.interface import Transaction

MAX_KNOWN = 1000
"""Steps that are remembered by their stored form."""


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long the executor repeats a step that raises a retryable error."""

    for_s: float = 60.0
    limits: dict[str, float] = {}
    """Code of an error -> seconds, where that error is borne for a shorter time."""
    longer: dict[str, float] = {}
    """Code of an error -> seconds, where that error is borne for a longer time."""
    of_any: bool = False
    """Errors that call themselves final are repeated too: it must not lightly be left undone."""
    first_pause_s: float = 0.5
    longest_pause_s: float = 5.0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a step leaves: a small JSON value for the opcode's result, writes that are committed
    with the outcome itself, and jobs (lists of opcodes) that are submitted with it."""

    output: Any = None
    writes: Transaction = Transaction()
    jobs: tuple[tuple[Any, ...], ...] = ()


NOTHING = Outcome()


class Context(Protocol):
    """What a step is handed: the world it may touch and a voice."""

    world: Any
    """The application's world: everything outside that a step may touch."""

    job_id: int

    def log(self, message: str, kind: str = "message") -> None:
        """A line for people in the job's log."""


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="step"):
    """Base of all steps."""

    no_undo: ClassVar[str] = ""
    """Why there is no way back from this step; empty when ``undo`` works."""

    breakable: ClassVar[bool] = False
    """``do`` only waits: it may be left at any moment when the job is canceled."""

    seals: ClassVar[str] = ""
    """Why there is no way back for the whole opcode once this step has succeeded."""

    waits: ClassVar[bool] = False
    """True for a step that only waits: cancelling ends it also where there is no way back, and what
    the job has done stays."""

    @property
    def inward(self) -> bool:
        """True when ``do`` touches nothing outside: all its effect is in its outcome."""
        return False

    @property
    def patience(self) -> Patience:
        """How long to repeat ``do`` while it raises retryable errors."""
        return Patience()

    @property
    def undo_patience(self) -> Patience:
        """The same for ``undo``; when it is over the job is stuck."""
        return self.patience

    @property
    def tolerated(self) -> bool:
        """True when the job goes on after this step has failed for good (a warning is logged)."""
        return False

    @property
    def undo_tolerated(self) -> bool:
        """True when an undo that failed for good leaves only a visible nuisance (it is logged)."""
        return False

    async def do(self, context: Any) -> Outcome:
        """Bring the step's thing into its state."""
        raise NotImplementedError

    async def undo(self, context: Any) -> Outcome:
        """Bring the step's thing back; never done, half done and gone are fine."""
        return NOTHING

    def __str__(self) -> str:
        fields = (f"{name}={getattr(self, name)}" for name in self.__struct_fields__)
        return f"{type(self).__struct_config__.tag}({', '.join(fields)})"


class Steps:
    """The steps that can be stored and read back, by their tags."""

    def __init__(self, kinds: tuple[type[Step], ...]) -> None:
        self._kinds = {str(kind.__struct_config__.tag): kind for kind in kinds}
        self._known = functools.lru_cache(MAX_KNOWN)(self._decoded)
        """A step is asked for again and again while its opcode runs."""
        self._decode: Callable[[bytes], dict[str, Any]] = msgspec.json.Decoder(
            dict[str, Any]
        ).decode

    def encode(self, step: Step) -> bytes:
        """The stored form."""
        return msgspec.json.encode(step)

    def decode(self, data: bytes) -> Step:
        """The step again; raises JournalBroken for one that this version cannot read."""
        return self._known(data)

    def _decoded(self, data: bytes) -> Step:
        from jobqueue.errors import JournalBroken

        tag = str(self._decode(data).get("step"))
        kind = self._kinds.get(tag)
        if kind is None:
            raise JournalBroken(
                f"the stored plan has a step '{tag}' that this version does not know"
            )
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.ValidationError as error:
            raise JournalBroken(
                f"the stored plan has an unreadable step '{tag}': {error}"
            ) from None

    def kinds(self) -> dict[str, type[Step]]:
        """All kinds by tag."""
        return dict(sorted(self._kinds.items()))
