"""The rows of ``gnt-group``."""

from __future__ import annotations

from cli import readers
from cli.rows import HV_STATE, IALLOCATOR, NODE_PARAMS, POLICY, policy, row
from cli.spelling import Spelling

_PARAMETERS = (
    row("diskparams", "-D", "--disk-parameters", many=True, reads=readers.nested_params,
        metavar="TEMPLATE:KEY=VALUE,..."),
    row("disk_state", "--disk-state", many=True, reads=readers.disk_states,
        metavar="TEMPLATE/GROUP:KEY=VALUE,..."),
    HV_STATE,
    NODE_PARAMS,
    # what a usual instance is, is the cluster's to say
    *(option for option in POLICY if option.key != "ipolicy_std_specs"),
)  # fmt: skip

GROUPS = (
    Spelling(
        tool="group", name="add", opcode="group_add", shown="<group>", hidden=("ipolicy",),
        options=_PARAMETERS, finish=policy,
    ),
    Spelling(
        tool="group", name="modify", opcode="group_set_params", shown="<group>",
        hidden=("ipolicy",), options=_PARAMETERS, finish=policy, reports_nothing_given=True,
    ),
    Spelling(tool="group", name="remove", opcode="group_remove", shown="<group>"),
    Spelling(
        tool="group", name="rename", opcode="group_rename",
        positional=("group_name", "new_name"), shown="<group> <new-name>",
    ),
    Spelling(
        tool="group", name="assign-nodes", opcode="group_assign_nodes",
        positional=("group_name", "nodes"), shown="<group> <node>...",
        options=(row("force", "-f", "--force"),),
    ),
    Spelling(
        tool="group", name="evacuate", opcode="group_evacuate", shown="<group>", common="JP",
        options=(
            row("target_groups", "--to", many=True, reads=list, metavar="GROUP",
                completes="group"),
            IALLOCATOR,
        ),
    ),
)  # fmt: skip
