"""What a program does to the cluster around its instances, with the stock client."""

from __future__ import annotations

from typing import Any

from tests.acceptance.exercise import Plan, finish


def tag(client: Any, plan: Plan, kind: str, *name: str) -> None:
    """Tags of an object are added, seen and removed. ``kind`` is the client's word; the cluster
    has no name."""

    def call(verb: str, *given: list[str]) -> Any:
        return getattr(client, f"{verb}{kind}Tags")(*name, *given)

    finish(client, plan, call("Add", ["rack:r1", "a+b"]))
    assert call("Get") == ["a+b", "rack:r1"]
    finish(client, plan, call("Delete", ["a+b"]))
    assert call("Get") == ["rack:r1"]
    finish(client, plan, call("Delete", ["rack:r1"]))
    assert call("Get") == []
