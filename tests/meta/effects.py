"""Which sources reach for the outside world by themselves instead of being handed it.

Pure: the nodes of a syntax tree in, the effects that it uses out. Names are followed through import
aliases.
"""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterator, Sequence

from tests.meta.sources import dotted


class Effect(enum.StrEnum):
    """What only the files of ``allowed.py`` may use."""

    CLOCK = "clock"
    RANDOM = "random"
    THREAD = "thread"
    PROCESS = "process"
    REACTOR = "reactor"
    ASYNCIO = "asyncio"


EFFECTS: dict[str, Effect] = {
    **dict.fromkeys(
        [f"time.{name}{unit}" for name in ("time", "monotonic") for unit in ("", "_ns")]
        + ["time.perf_counter", "time.perf_counter_ns", "time.sleep"]
        + [f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")]
        + ["datetime.date.today", "twisted.internet.task.deferLater"],
        Effect.CLOCK,
    ),
    **dict.fromkeys(
        ["random", "secrets", "uuid.uuid1", "uuid.uuid4", "os.urandom", "os.getrandom"],
        Effect.RANDOM,
    ),
    **dict.fromkeys(
        ["threading", "_thread", "concurrent.futures", "twisted.internet.threads"], Effect.THREAD
    ),
    **dict.fromkeys(
        ["subprocess", "multiprocessing", "os.system", "os.popen", "os.fork", "os.posix_spawn"]
        + [f"os.exec{form}" for form in ("v", "ve", "vp", "vpe", "l", "le", "lp", "lpe")]
        + ["twisted.internet.utils"],
        Effect.PROCESS,
    ),
    "twisted.internet.reactor": Effect.REACTOR,
    "asyncio": Effect.ASYNCIO,
}
"""A dotted name, or a module whose every name counts."""


def effects_of(nodes: Sequence[ast.AST]) -> dict[Effect, int]:
    """Effect -> the first line that uses it."""
    found: dict[Effect, int] = {}
    for name, line in _names(nodes):
        effect = _effect(name)
        if effect is not None:
            found[effect] = min(line, found.get(effect, line))
    return found


def _effect(name: str) -> Effect | None:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        effect = EFFECTS.get(".".join(parts[:length]))
        if effect is not None:
            return effect
    return None


def _names(nodes: Sequence[ast.AST]) -> Iterator[tuple[str, int]]:
    """Every full dotted name that the file imports or uses, with its line."""
    aliases: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for one in node.names:
                aliases[one.asname or one.name.split(".")[0]] = (
                    one.name if one.asname else one.name.split(".")[0]
                )
                yield one.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for one in node.names:
                aliases[one.asname or one.name] = f"{node.module}.{one.name}"
                yield f"{node.module}.{one.name}", node.lineno
    for node in nodes:
        if isinstance(node, ast.Attribute) and (used := dotted(node)):
            head, _, rest = used.partition(".")
            if head in aliases:
                yield f"{aliases[head]}.{rest}", node.lineno
