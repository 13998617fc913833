"""The rows of ``gnt-network``."""

from __future__ import annotations

from typing import Any

from cli.exits import WrongInput
from cli.notation import split
from cli.rows import FORCE, TAGS, not_, row
from cli.spelling import Spelling


def subnet_given(body: dict[str, Any]) -> dict[str, Any]:
    """A new network has a subnet."""
    if "network" not in body:
        raise WrongInput("The option --network is missing: which addresses does it have?")
    return body


_VALUES = (
    row("gateway", "--gateway", metavar="ADDRESS"),
    row("network6", "--network6", metavar="SUBNET"),
    row("gateway6", "--gateway6", metavar="ADDRESS"),
    row("mac_prefix", "-m", "--mac-prefix", metavar="PREFIX"),
    row("add_reserved_ips", "--add-reserved-ips", reads=split, metavar="ADDRESS,..."),
)

NETWORKS = (
    Spelling(
        tool="network", name="add", opcode="network_add", shown="<network>",
        positional=("network_name",), finish=subnet_given,
        options=(
            row("network", "--network", metavar="SUBNET"),
            *_VALUES,
            not_("conflicts_check", "--no-conflicts-check",
                 words="Do not reserve the addresses of nodes and cluster"),
            TAGS,
        ),
    ),
    Spelling(
        tool="network", name="modify", opcode="network_set_params", shown="<network>",
        reports_nothing_given=True,
        options=(
            *_VALUES,
            row("remove_reserved_ips", "--remove-reserved-ips", reads=split,
                metavar="ADDRESS,..."),
        ),
    ),
    Spelling(
        tool="network", name="remove", opcode="network_remove", shown="<network>",
        options=(FORCE,),
    ),
    Spelling(
        tool="network", name="rename", opcode="network_rename",
        positional=("network_name", "new_name"), shown="<network> <new-name>",
    ),
)  # fmt: skip
