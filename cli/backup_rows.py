"""The rows of ``gnt-backup``."""

from __future__ import annotations

from typing import Any

from cli import readers
from cli.command import Option
from cli.exits import WrongInput
from cli.notation import size_mib
from cli.rows import (
    BACKEND,
    FORCE_ONLY,
    IALLOCATOR,
    OS_PARAMS,
    OS_PARAMS_PRIVATE,
    OS_PARAMS_SECRET,
    TAGS,
    not_,
    row,
    sets,
    spread,
)
from cli.spelling import Spelling
from clusterd.names import MAX_DISKS, MAX_NICS


def imported(body: dict[str, Any]) -> dict[str, Any]:
    """Disks and cards as they were exported, unless they are given."""
    body = dict(body)
    single, disks = body.pop("single_disk", None), body.pop("disks", None)
    if disks is not None and single is not None:
        raise WrongInput("Please use either the '--disk' or '-s' option")
    given = [(0, {"size": single})] if single is not None else disks or []
    specs = readers.in_order(given, MAX_DISKS, "Disk") if given else []
    body["disks"] = [readers.new_disk(index, spec) for index, spec in enumerate(specs)]
    nics = body.pop("nics", None)
    if body.pop("no_nics", False) and nics is not None:
        raise WrongInput("Please use either the '--net' or '--no-nics' option")
    cards = readers.in_order(nics, MAX_NICS, "Network card") if nics else []
    body["nics"] = [readers.new_nic(spec) for spec in cards]
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
            BACKEND,
            row("disks", "--disk", many=True, reads=readers.sequence("disk"),
                metavar="N:size=SIZE,..."),
            row("disk_template", "-t", "--disk-template", metavar="TEMPLATE"),
            row("file_storage_dir", "--file-storage-dir", metavar="DIR"),
            row("file_driver", "--file-driver"),
            spread("-H", "--hypervisor-parameters", reads=readers.hypervisor,
                   metavar="HYPERVISOR:KEY=VALUE,...", words="Hypervisor and its parameters"),
            IALLOCATOR,
            row("nics", "--net", many=True, reads=readers.sequence("network card"),
                metavar="N:KEY=VALUE,..."),
            sets("--no-nics", words="Accepted: without --net cards are as exported",
                 no_nics=True),
            spread("-n", "--node", reads=readers.node_pair, metavar="PNODE[:SNODE]",
                   words="Primary and secondary node", completes="node"),
            row("group_name", "-g", "--node-group", metavar="GROUP", completes="group"),
            not_("conflicts_check", "--no-conflicts-check", words="Allow addresses in use"),
            not_("wait_for_sync", "--no-wait-for-sync", words="Do not wait for mirrors"),
            sets("--no-ip-check", words="The default; accepted for older scripts", ip_check=False),
            sets("--no-name-check", words="The default; accepted for older scripts",
                 name_check=False),
            OS_PARAMS, OS_PARAMS_PRIVATE, OS_PARAMS_SECRET,
            Option(names=("-s", "--os-size"), reads=size_mib, metavar="SIZE",
                   words="One disk of this size", fields=lambda size: {"single_disk": size}),
            TAGS,
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
