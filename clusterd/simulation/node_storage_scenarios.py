"""The scenarios of operations on nodes' storage; see ``scenarios``."""

from __future__ import annotations

from clusterd.opcodes.node_modify_storage import NodeModifyStorage
from clusterd.opcodes.node_query_storage import NodeQueryStorage
from clusterd.opcodes.node_queryvols import NodeQueryvols
from clusterd.opcodes.repair_node_storage import RepairNodeStorage
from clusterd.simulation.scenario import RUNS, Scenario

STORAGE = (
    Scenario(name="list-storage", act=(NodeQueryStorage(output_fields=("node", "name")),)),
    Scenario(name="list-volumes", given=RUNS, act=(NodeQueryvols(output_fields=("name",)),)),
    Scenario(
        name="modify-storage",
        act=(
            NodeModifyStorage(
                node_name="node2",
                storage_type="lvm-pv",
                name="/dev/sdb",
                changes={"allocatable": False},
            ),
        ),
    ),
    Scenario(
        name="repair-storage",
        act=(RepairNodeStorage(node_name="node2", storage_type="lvm-vg", name="xenvg"),),
    ),
)
