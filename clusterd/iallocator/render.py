"""The answer of the built-in allocator as the protocol writes it. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from clusterd.iallocator.answers import Answer
from clusterd.iallocator.requests import ChangeGroup, MultiAllocate, NodeEvacuate, Request


def answer_text(request: Request, answer: Answer) -> str:
    """``{"success":..., "info":..., "result":...}``"""
    if isinstance(request, MultiAllocate):
        result: Any = [
            [[name, list(nodes)] for name, nodes in answer.allocated],
            [name for name, _why in answer.failed],
        ]
        return reply(True, answer.info, result)
    if isinstance(request, NodeEvacuate | ChangeGroup):
        moved = [[name, group, list(nodes)] for name, group, nodes in answer.moved]
        failed = [[name, why] for name, why in answer.failed]
        return reply(True, answer.info, [moved, failed, [list(job) for job in answer.jobs]])
    return reply(bool(answer.nodes), answer.info, list(answer.nodes))


def reply(success: bool, info: str, result: Any) -> str:
    """The three keys, with hail's words in front of the information."""
    told = f"Request {'successful' if success else 'failed'}: {info}"
    body = {"success": success, "info": told, "result": result}
    return msgspec.json.encode(body).decode()
