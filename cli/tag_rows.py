"""The rows of ``add-tags``, ``remove-tags`` and ``search-tags``, the same for all tools."""

from __future__ import annotations

from typing import Any

from cli import readers
from cli.command import Option
from cli.exits import WrongInput
from cli.spelling import Spelling

KINDS = {
    "cluster": "cluster",
    "node": "node",
    "instance": "instance",
    "group": "nodegroup",
    "network": "network",
}
"""Tool -> kind of object that it tags."""

FROM = Option(
    names=("--from",),
    reads=readers.file_words,
    metavar="FILE",
    completes="file",
    words="Take tags from this file too; - is standard input",
    fields=lambda tags: {"from": tags},
)


def together(body: dict[str, Any]) -> dict[str, Any]:
    """Tags of the command line and of the file; there must be some."""
    body = dict(body)
    body["tags"] = [*body.get("tags", ()), *body.pop("from", ())]
    if not body["tags"]:
        raise WrongInput("No tags given")
    return body


def _changes(tool: str, name: str, opcode: str) -> Spelling:
    named = tool != "cluster"
    return Spelling(
        tool=tool,
        name=name,
        opcode=opcode,
        positional=("name", "tags") if named else ("tags",),
        shown=f"<{tool}> [<tag>...]" if named else "[<tag>...]",
        fixed={"kind": KINDS[tool]},
        hidden=() if named else ("name",),
        options=(FROM,),
        finish=together,
        common="JP",
    )


TAGS = (
    *(
        _changes(tool, name, opcode)
        for tool in KINDS
        for name, opcode in (("add-tags", "tags_set"), ("remove-tags", "tags_del"))
    ),
    Spelling(
        tool="cluster", name="search-tags", opcode="tags_search", shown="<pattern>", common="P"
    ),
)
