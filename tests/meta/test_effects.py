"""Nothing but the composing files reaches for the world by itself."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from tests.meta.allowed import ALLOWED
from tests.meta.effects import Effect, effects_of
from tests.meta.reading import read
from tests.meta.sources import name_of, nodes_of, product_files


@cache
def used() -> dict[tuple[str, Effect], int]:
    """(file, effect) -> line, over the six packages."""
    return {
        (name_of(path), effect): line
        for path in product_files()
        for effect, line in read(path).effects.items()
    }


def test_only_named_files_touch_the_world() -> None:
    wrong = [
        f"{name}:{line} uses {effect} without being in tests/meta/allowed.py"
        for (name, effect), line in sorted(used().items())
        if (name, effect) not in ALLOWED
    ]
    assert not wrong, "\n".join(wrong)


def test_the_list_of_named_files_has_no_dead_entry() -> None:
    present = used()
    dead = [
        f"{name}: {effect}" for name, effect in sorted(ALLOWED) if (name, effect) not in present
    ]
    assert not dead, f"not used any more: {dead}"


@pytest.mark.parametrize(
    ("source", "effects"),
    [
        ("import time\ntime.sleep(1)", {Effect.CLOCK}),
        ("from time import monotonic as now", {Effect.CLOCK}),
        ("import datetime as d\nd.datetime.now()", {Effect.CLOCK}),
        ("from datetime import datetime\ndatetime.now()", {Effect.CLOCK}),
        ("import uuid\nuuid.uuid4()", {Effect.RANDOM}),
        ("import uuid\nuuid.UUID(text)", set()),
        ("import os\nos.urandom(4)", {Effect.RANDOM}),
        ("import os.path\nos.fork()", {Effect.PROCESS}),
        ("from twisted.internet import reactor", {Effect.REACTOR}),
        ("from twisted.internet import threads", {Effect.THREAD}),
        ("from twisted.internet.threads import deferToThread", {Effect.THREAD}),
        ("import asyncio", {Effect.ASYNCIO}),
        ("import time\ntime.strftime('%Y')", set()),
        ("clock.monotonic()", set()),
    ],
)
def test_effects_are_seen_through_aliases(source: str, effects: set[Effect]) -> None:
    assert set(effects_of(nodes_of(ast.parse(source)))) == effects
