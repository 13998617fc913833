"""The rows of ``gnt-backup``."""

from __future__ import annotations

from typing import Any

from cli.new_instance import NEW_INSTANCE, take_cards, take_disks
from cli.rows import (
    FORCE_ONLY,
    not_,
    row,
    sets,
)
from cli.spelling import Spelling


def imported(body: dict[str, Any]) -> dict[str, Any]:
    """Disks and cards as they were exported, unless they are given."""
    body = dict(body)
    body["disks"] = take_disks(body) or []
    body["nics"] = take_cards(body) or []
    return {**body, "start": False}


BACKUPS = (
    Spelling(
        tool="backup", name="export", opcode="backup_export", shown="<instance>",
        hidden=("mode", "x509_key_name", "destination_x509_ca"), extra=(FORCE_ONLY,),
        options=(
            row("target_node", "-n", "--node", metavar="NODE", completes="node"),
            row("compress", "--transport-compression"),
            not_("shutdown", "--noshutdown", words="Do not stop the instance"),
        ),
    ),
    Spelling(
        tool="backup", name="import", opcode="instance_create", shown="<instance>",
        usage="[...] -n node[:secondary-node] [--src-node=node] [--src-dir=dir]",
        fixed={"mode": "import"}, finish=imported,
        options=(
            *NEW_INSTANCE,
            sets("--no-nics", words="Accepted: without --net cards are as exported",
                 no_nics=True),
            row("identify_defaults", "--identify-defaults",
                words="Leave to the cluster what equals its defaults"),
            row("src_node", "--src-node", metavar="NODE", completes="node"),
            row("src_path", "--src-dir", metavar="DIR"),
        ),
        hidden=(
            "hypervisor", "hvparams", "pnode", "snode", "source_handshake", "start", "os_type",
            "source_instance_name", "source_shutdown_timeout", "source_x509_ca", "source",
            "image", "no_install", "force_variant", "instance_communication", "forthcoming",
            "commit",
        ),
    ),
    Spelling(
        tool="backup", name="remove", opcode="backup_remove", shown="<name>",
    ),
)  # fmt: skip
