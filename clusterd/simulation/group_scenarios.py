"""The scenarios of tags, node groups and networks.

All are changes of the configuration alone, so one or two nodes do, and several opcodes that write
once each share a job.
"""

from __future__ import annotations

from clusterd.opcodes.group_add import GroupAdd
from clusterd.opcodes.group_assign_nodes import GroupAssignNodes
from clusterd.opcodes.group_evacuate import GroupEvacuate
from clusterd.opcodes.group_remove import GroupRemove
from clusterd.opcodes.group_rename import GroupRename
from clusterd.opcodes.group_set_params import GroupSetParams
from clusterd.opcodes.tags_del import TagsDel
from clusterd.opcodes.tags_get import TagsGet
from clusterd.opcodes.tags_search import TagsSearch
from clusterd.opcodes.tags_set import TagsSet
from clusterd.simulation.scenario import Scenario, create

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
OTHER_GROUP = (
    GroupAdd(group_name="rack2"),
    GroupAssignNodes(group_name="rack2", nodes=("node2",)),
)
NODE_GROUPS = (
    Scenario(
        name="groups",
        nodes=1,
        act=(
            GroupAdd(group_name="rack2", alloc_policy="last_resort"),
            GroupSetParams(group_name="rack2", ndparams={"spindle_count": 3}),
            GroupRename(group_name="rack2", new_name="rack3"),
            GroupAssignNodes(group_name="rack3", nodes=("node1",)),
            GroupRemove(group_name="default"),
        ),
    ),
    Scenario(
        name="group-evacuate",
        nodes=2,
        given=(*OTHER_GROUP, create("sharedfile", start=False)),
        act=(GroupEvacuate(group_name="default"),),
    ),
)
GROUPS = (*TAGS, *NODE_GROUPS)
