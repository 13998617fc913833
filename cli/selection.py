"""Which instances a command is done to: by name, all, by node or by tags.

Decided here: the options that choose, and that more than one instance asks first.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cli.command import Call, Option
from cli.exits import WrongInput

LISTED_MAX = 30
"""Names shown in a question."""


class Mode(msgspec.Struct, frozen=True, kw_only=True):
    """One way to choose; ``method`` is the door's query, ``fields`` those with instance names."""

    key: str
    names: tuple[str, ...]
    words: str
    method: str = "QueryInstances"
    fields: tuple[str, ...] = ("name",)
    by_tags: bool = False


MODES = (
    Mode(key="instance", names=("--instance",), words="The arguments are instances (the default)"),
    Mode(key="all", names=("--all",), words="All instances of the cluster"),
    Mode(
        key="node",
        names=("--node",),
        words="The arguments are nodes: all their instances",
        method="QueryNodes",
        fields=("pinst_list", "sinst_list"),
    ),
    Mode(
        key="primary",
        names=("--primary",),
        words="The arguments are nodes: instances that run there",
        method="QueryNodes",
        fields=("pinst_list",),
    ),
    Mode(
        key="secondary",
        names=("--secondary",),
        words="The arguments are nodes: instances mirrored there",
        method="QueryNodes",
        fields=("sinst_list",),
    ),
    Mode(
        key="tags",
        names=("--tags",),
        words="The arguments are tags of instances",
        by_tags=True,
    ),
    Mode(
        key="node_tags",
        names=("--node-tags",),
        words="The arguments are tags of nodes: all their instances",
        method="QueryNodes",
        fields=("pinst_list", "sinst_list"),
        by_tags=True,
    ),
    Mode(
        key="pri_node_tags",
        names=("--pri-node-tags",),
        words="The arguments are tags of nodes: instances that run there",
        method="QueryNodes",
        fields=("pinst_list",),
        by_tags=True,
    ),
    Mode(
        key="sec_node_tags",
        names=("--sec-node-tags",),
        words="The arguments are tags of nodes: instances mirrored there",
        method="QueryNodes",
        fields=("sinst_list",),
        by_tags=True,
    ),
)

FORCE_MULTIPLE = Option(
    names=("--force-multiple",), flag=True, words="Do not ask when it is done to several"
)
OPTIONS = (
    *(Option(names=mode.names, flag=True, words=mode.words) for mode in MODES),
    FORCE_MULTIPLE,
)


def mode_of(call: Call) -> Mode:
    """The one that was chosen; raises WrongInput for two."""
    chosen = [mode for mode in MODES if call.given(mode.key)]
    if len(chosen) > 1:
        named = ", ".join(mode.names[0] for mode in chosen)
        raise WrongInput(f"Only one of these options can be given: {named}")
    mode = chosen[0] if chosen else MODES[0]
    if mode.key == "all" and call.arguments:
        raise WrongInput("No names can be given together with --all")
    if mode.key != "all" and not call.arguments:
        wanted = "tags" if mode.by_tags else ("instance" if mode.key == "instance" else "node")
        raise WrongInput(f"No {wanted} names passed" if wanted != "tags" else "No tags passed")
    return mode


def selected(call: Call) -> list[str]:
    """Full names, each once, in the order of the question."""
    mode = mode_of(call)
    asked = [] if mode.by_tags else list(call.arguments)
    fields = (*mode.fields, "tags") if mode.by_tags else mode.fields
    rows = call.session.door.query_names(mode.method, asked, fields)
    wanted = set(call.arguments)
    found: dict[str, None] = {}
    for row in rows:
        if mode.by_tags and wanted.isdisjoint(row[-1]):
            continue
        for value in row[: len(mode.fields)]:
            found.update(dict.fromkeys([value] if isinstance(value, str) else value))
    return list(found)


def confirmed(call: Call, names: Sequence[str], operation: str) -> bool:
    """One named instance needs no question."""
    several = mode_of(call).key != "instance" or len(names) > 1
    if not several or call.given("force_multiple"):
        return True
    shown = "\n".join(f"  {name}" for name in names[:LISTED_MAX])
    more = f"\n  and {len(names) - LISTED_MAX} more" if len(names) > LISTED_MAX else ""
    return call.session.ask(
        f"The {operation} will be done to {len(names)} instances:\n{shown}{more}\nGo on?"
    )
