"""Ganeti's spellings of opcodes: one row a command, one row an option.

Decided here: names of commands and options, and which text fills which field. A field that no row
names has the option that its type makes; an opcode that no row names is a command all the same.
"""

from __future__ import annotations

from typing import Any

from cli import readers
from cli.backup_rows import BACKUPS
from cli.command import Option
from cli.disk_rows import DISKS
from cli.group_rows import GROUPS
from cli.instance_rows import INSTANCES
from cli.network_rows import NETWORKS
from cli.notation import boolean, integer, split
from cli.placement_rows import MOVES
from cli.rows import (
    BACKEND,
    DISK_STATE,
    FORCE,
    FORCE_ONLY,
    HV_STATE,
    NODE_PARAMS,
    POLICY,
    not_,
    policy,
    row,
    sets,
)
from cli.spelling import Spelling
from cli.tag_rows import TAGS

INTERNAL = frozenset(
    {
        "cluster_post_init",
        "group_verify_disks",
        "node_query_storage",
        "node_queryvols",
        "cluster_query",
        "cluster_verify_config",
        "cluster_verify_group",
        "instance_console",
        "instance_multi_alloc",
        "instance_query_data",
        "query",
        "test_allocator",
        "backup_prepare",
        "network_connect",
        "network_disconnect",
        "tags_get",
    }
)
"""Opcodes that are no command of their own; a hand-written command submits them."""

TOOL_OF = {"test": "debug"}
"""First word of an opcode's module -> tool, where they differ."""


def verify(body: dict[str, Any]) -> dict[str, Any]:
    """The checks to leave out, by their names in the opcode."""
    body = dict(body)
    checks = {"skip_nplus1": "nplusone_mem", "skip_hvparams": "hvparam_assessment"}
    skipped = [check for flag, check in checks.items() if body.pop(flag, False)]
    if skipped:
        body["skip_checks"] = skipped
    return body


NODES = (
    Spelling(
        tool="node", name="add", opcode="node_add", shown="<node-name>", common="P",
        extra=(
            Option(names=("--no-ssh-key-check",), flag=True,
                   words="Take a host key that is not known"),
            Option(names=("--force-join",), flag=True,
                   words="Although the machine is part of a cluster"),
            Option(names=("--no-node-setup",), flag=True,
                   words="The machine has its keys and settings already"),
            Option(names=("-v", "--verbose"), flag=True, words="Accepted; every stage is told"),
            Option(names=("--ssh-port",), reads=integer, default=22, metavar="PORT",
                   words="Port of the SSH server there"),
            Option(names=("--programs",), metavar="DIR",
                   words="Where clusterd is installed there; as here by default"),
        ),
        options=(
            row("secondary_ip", "-s", "--secondary-ip", metavar="ADDRESS"),
            row("group", "-g", "--node-group", metavar="GROUP", completes="group"),
            NODE_PARAMS, HV_STATE, DISK_STATE,
        ),
        hidden=("node_setup", "certificate"),
    ),
    Spelling(
        tool="node", name="remove", opcode="node_remove", common="PD",
    ),
    Spelling(
        tool="node", name="modify", opcode="node_set_params", reports_nothing_given=True,
        options=(
            FORCE,
            row("master_candidate", "-C", "--master-candidate", metavar="yes|no"),
            row("drained", "-D", "--drained", metavar="yes|no"),
            row("offline", "-O", "--offline", metavar="yes|no"),
            row("secondary_ip", "-s", "--secondary-ip", metavar="ADDRESS"),
            row("powered", "--node-powered", metavar="yes|no"),
            NODE_PARAMS, HV_STATE, DISK_STATE,
        ),
    ),
)  # fmt: skip

IMAGES = (
    Spelling(
        tool="image", name="add", opcode="image_add", shown="<image>",
        options=(
            row("disk_template", "-t", "--disk-template", metavar="TEMPLATE"),
            row("path", "--file", metavar="PATH"),
            row("nodes", "-n", "--nodes", reads=split, metavar="NODE,...", completes="node"),
            row("pool", "--pool", metavar="POOL"),
            row("diskparams", "-D", "--disk-parameters", reads=readers.params,
                metavar="KEY=VALUE,..."),
            row("properties", "--properties", reads=readers.texts, metavar="KEY=TEXT,..."),
        ),
    ),
    Spelling(
        tool="image", name="cache", opcode="image_cache", shown="<image>",
        options=(
            row("group_name", "-g", "--node-group", metavar="GROUP", completes="group"),
            row("nodes", "-n", "--nodes", reads=split, metavar="NODE,...", completes="node"),
        ),
    ),
    Spelling(
        tool="image", name="modify", opcode="image_set_params", shown="<image>",
        reports_nothing_given=True,
        options=(
            row("new_name", "--new-name", metavar="IMAGE"),
            row("properties", "--properties", reads=readers.texts_or_null,
                metavar="KEY=TEXT,..."),
        ),
    ),
    Spelling(tool="image", name="remove", opcode="image_remove", shown="<image>"),
    *(
        Spelling(
            tool="instance", name=f"snapshot-{word}", opcode=f"instance_snapshot_{word}",
            positional=("instance_name", "snapshot"), shown="<instance> <snapshot>",
            options=(not_("freeze", "--no-freeze", words="Do not ask the guest's agent"),)
            if word == "add" else (),
        )
        for word in ("add", "remove", "revert")
    ),
    Spelling(
        tool="instance", name="snapshot-clone", opcode="instance_snapshot_clone",
        positional=("instance_name", "snapshot", "new_name"),
        shown="<instance> <snapshot> <new-instance>",
        options=(row("pnode", "-n", "--node", metavar="NODE", completes="node"),),
    ),
)  # fmt: skip

CLUSTER_OPTIONS = (
    BACKEND,
    row("candidate_pool_size", "-C", "--candidate-pool-size", metavar="N"),
    row("hvparams", "-H", "--hypervisor-parameters", many=True, reads=readers.nested_params,
        metavar="HYPERVISOR:KEY=VALUE,..."),
    row("mac_prefix", "-m", "--mac-prefix", metavar="PREFIX"),
    row("nicparams", "-N", "--nic-parameters", reads=readers.params, metavar="KEY=VALUE,..."),
    row("default_iallocator", "-I", "--default-iallocator", metavar="NAME"),
    row("diskparams", "-D", "--disk-parameters", many=True, reads=readers.nested_params,
        metavar="TEMPLATE:KEY=VALUE,..."),
    NODE_PARAMS,
    *POLICY,
)  # fmt: skip
"""What ``init`` and ``modify`` spell alike."""

CLUSTER = (
    Spelling(
        tool="cluster", name="init", request="clusterd.founding.Founding", common="",
        positional=("cluster_name",), shown="<cluster-name>", hidden=("ipolicy",), finish=policy,
        options=(
            *CLUSTER_OPTIONS,
            row("secondary_ip", "-s", "--secondary-ip", metavar="ADDRESS"),
            row("maintain_node_health", "--maintain-node-health", reads=boolean,
                metavar="yes|no"),
            row("prealloc_wipe_disks", "--prealloc-wipe-disks", reads=boolean, metavar="yes|no"),
        ),
        extra=(
            Option(names=("--no-etc-hosts",), flag=True,
                   words="Accepted: /etc/hosts is never touched"),
            Option(names=("--no-ssh-init",), flag=True,
                   words="Accepted: keys of SSH are never touched"),
        ),
    ),
    Spelling(
        tool="cluster", name="destroy", opcode="cluster_destroy", common="",
        extra=(
            Option(names=("--yes-do-it", "--ya-rly"), flag=True, words="It is meant"),
        ),
    ),
    Spelling(
        tool="cluster", name="modify", opcode="cluster_set_params", reports_nothing_given=True,
        hidden=("hidden_os", "blacklisted_os", "os_hvp", "osparams", "ipolicy", "balancing"),
        finish=policy,
        options=(
            FORCE,
            *CLUSTER_OPTIONS,
            row("drbd_helper", "--drbd-usermode-helper", metavar="PATH"),
            row("job_archive_age", "--job-archive-age", reads=readers.time_or_never,
                metavar="TIME|never", words="Jobs that ended so long ago are archived"),
            row("prealloc_wipe_disks", "--prealloc-wipe-disks", reads=boolean, metavar="yes|no"),
        ),
    ),
    Spelling(
        tool="cluster", name="verify", opcode="cluster_verify", common="PD",
        options=(
            row("verbose", "-v", "--verbose"),
            row("group_name", "-g", "--node-group", metavar="GROUP", completes="group"),
            row("ignore_errors", "-I", "--ignore-errors", many=True, reads=list, metavar="CODE"),
            row("verify_clutter", "--verify-ssh-clutter"),
            sets("--no-nplus1-mem", words="Leave out the check of spare memory",
                 skip_nplus1=True),
            sets("--no-hv-param-assessment", words="Leave out the check of hypervisor parameters",
                 skip_hvparams=True),
        ),
        hidden=("skip_checks",),
        finish=verify,
    ),
)  # fmt: skip


DISK_CARE = (
    Spelling(
        tool="cluster", name="verify-disks", opcode="cluster_verify_disks", common="PD",
        hidden=("is_strict",),
        options=(row("group_name", "-g", "--node-group", metavar="GROUP", completes="group"),),
    ),
    Spelling(
        tool="cluster", name="repair-disk-sizes", opcode="cluster_repair_disk_sizes", common="D",
        positional=("instances",), shown="[<instance>...]",
    ),
)  # fmt: skip

CRYPTO = (
    Spelling(
        tool="cluster", name="redist-conf", opcode="cluster_redist_conf",
        extra=(
            Option(names=("--yes-do-it",), flag=True, words="Accepted: nothing is asked"),
        ),
    ),
    Spelling(
        tool="cluster", name="renew-crypto", opcode="cluster_renew_crypto",
        hidden=("rapi_certificate", "ssh_key_type", "ssh_key_bits", "debug"),
        options=(
            row("cluster_certificate", "--new-cluster-certificate"),
            row("node_certificates", "--new-node-certificates"),
            sets("--new-rapi-certificate", words="New certificates of the remote API",
                 rapi_certificate="new"),
            row("renew_ssh_keys", "--new-ssh-keys"),
            row("verbose", "-v", "--verbose"),
        ),
        extra=(
            Option(names=("--rapi-certificate",), metavar="FILE",
                   completes="file",
                   words="Certificate, chain and key for the remote API, in one file"),
            *(
                Option(names=(name,), flag=True, words="Accepted: there is nothing to renew")
                for name in ("--new-confd-hmac-key", "--new-cluster-domain-secret",
                             "--no-ssh-key-check")
            ),
            Option(names=("--cluster-domain-secret",), metavar="FILE", completes="file",
                   words="Accepted: there is nothing to renew"),
            Option(names=("--new-spice-certificate",), flag=True, words="Not served"),
            Option(names=("--spice-certificate",), metavar="FILE", words="Not served"),
            Option(names=("--spice-ca-certificate",), metavar="FILE", words="Not served"),
            FORCE_ONLY,
        ),
    ),
)  # fmt: skip

STORAGE = (
    Spelling(
        tool="node", name="modify-storage", opcode="node_modify_storage",
        positional=("node_name", "storage_type", "name"), shown="<node> lvm-pv <name>",
        hidden=("changes",),
        options=(
            Option(names=("--allocatable",), reads=boolean, metavar="yes|no",
                   words="Whether new extents may be taken from it",
                   fields=lambda allowed: {"changes": {"allocatable": allowed}}),
        ),
    ),
    Spelling(
        tool="node", name="repair-storage", opcode="repair_node_storage",
        positional=("node_name", "storage_type", "name"), shown="<node> lvm-vg <name>",
    ),
)  # fmt: skip

DEBUG = (
    Spelling(
        tool="debug", name="delay", opcode="test_delay", positional=("duration",),
        shown="<seconds>",
        options=(
            not_("on_master", "--no-master", words="Do not wait on the master"),
            row("on_nodes", "-n", many=True, reads=list, metavar="NODE", completes="node"),
            row("repeat", "-r", "--repeat", metavar="N"),
            row("interruptible", "-i", "--interruptible"),
            Option(names=("-l", "--no-locks"), field="no_locks", flag=True,
                   reads=lambda _given: True, default=False, words="Take no locks"),
        ),
    ),
)  # fmt: skip

SPELLINGS: tuple[Spelling, ...] = (
    *(*INSTANCES, *DISKS, *NODES, *CLUSTER, *IMAGES),
    *(*DISK_CARE, *CRYPTO, *STORAGE, *DEBUG, *MOVES, *BACKUPS, *TAGS),
    *(*GROUPS, *NETWORKS),
)
