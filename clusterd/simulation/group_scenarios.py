"""The scenarios of tags, node groups and networks. All are changes of the configuration alone, so
one node does for most."""

from __future__ import annotations

from clusterd.opcodes.tags_del import TagsDel
from clusterd.opcodes.tags_get import TagsGet
from clusterd.opcodes.tags_search import TagsSearch
from clusterd.opcodes.tags_set import TagsSet
from clusterd.simulation.scenario import Scenario

TAGS = (
    Scenario(
        name="tags",
        nodes=1,
        given=(TagsSet(kind="node", name="node1", tags=("a", "b")),),
        act=(
            TagsSet(kind="cluster", tags=("x",)),
            TagsDel(kind="node", name="node1", tags=("a",)),
            TagsGet(kind="node", name="node1"),
            TagsSearch(pattern="x"),
        ),
    ),
)
GROUPS = (*TAGS,)
