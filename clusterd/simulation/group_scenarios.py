"""The scenarios of tags, node groups and networks.

All are changes of the configuration alone, so one or two nodes do, and several opcodes that write
once each share a job.
"""

from __future__ import annotations

import msgspec

from clusterd.opcodes.group_add import GroupAdd
from clusterd.opcodes.group_assign_nodes import GroupAssignNodes
from clusterd.opcodes.group_evacuate import GroupEvacuate
from clusterd.opcodes.group_remove import GroupRemove
from clusterd.opcodes.group_rename import GroupRename
from clusterd.opcodes.group_set_params import GroupSetParams
from clusterd.opcodes.instance_set_params import InstanceSetParams
from clusterd.opcodes.network_add import NetworkAdd
from clusterd.opcodes.network_connect import NetworkConnect
from clusterd.opcodes.network_disconnect import NetworkDisconnect
from clusterd.opcodes.network_remove import NetworkRemove
from clusterd.opcodes.network_rename import NetworkRename
from clusterd.opcodes.network_set_params import NetworkSetParams
from clusterd.opcodes.tags_del import TagsDel
from clusterd.opcodes.tags_get import TagsGet
from clusterd.opcodes.tags_search import TagsSearch
from clusterd.opcodes.tags_set import TagsSet
from clusterd.simulation.scenario import NAME, Scenario, create

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
NETWORK = NetworkAdd(network_name="net1", network="192.0.2.0/29", gateway="192.0.2.1")
CONNECTED = (
    NETWORK,
    NetworkConnect(
        group_name="default", network_name="net1", network_mode="bridged", network_link="br0"
    ),
)
POOLED = create("diskless", start=False, nics=({"network": "net1", "ip": "pool"},))
NETWORKS = (
    Scenario(
        name="networks",
        nodes=1,
        act=(
            *CONNECTED,
            NetworkSetParams(network_name="net1", add_reserved_ips=("192.0.2.5",)),
            NetworkRename(network_name="net1", new_name="net2"),
            NetworkDisconnect(group_name="default", network_name="net2"),
            NetworkRemove(network_name="net2"),
        ),
    ),
    Scenario(
        name="addresses-side-by-side",
        nodes=1,
        given=CONNECTED,
        act=(POOLED,),
        beside=(msgspec.structs.replace(POOLED, instance_name="web2"),),
        drawn_addresses=True,
    ),
    Scenario(
        name="address-changed",
        nodes=1,
        given=(*CONNECTED, POOLED),
        act=(
            InstanceSetParams(
                instance_name=NAME,
                nics=(
                    ("modify", 0, {"ip": "192.0.2.6"}),
                    ("add", -1, {"network": "net1", "ip": "pool"}),
                ),
            ),
        ),
    ),
)
GROUPS = (*TAGS, *NODE_GROUPS, *NETWORKS)
