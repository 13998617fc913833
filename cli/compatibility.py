"""Ganeti's spellings of opcodes: one row a command, one row an option.

Decided here: names of commands and options, which text fills which field, and what Ganeti's own
commands refuse before they send anything. A field that no row names has the option that its type
makes; an opcode that no row names is a command all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cli import readers
from cli.command import Option
from cli.exits import WrongInput
from cli.notation import boolean, size_mib, split
from cli.spelling import Spelling
from clusterd.names import MAX_DISKS, MAX_NICS

INTERNAL = frozenset(
    {
        "cluster_destroy",
        "cluster_post_init",
        "cluster_query",
        "cluster_verify_config",
        "cluster_verify_group",
        "instance_console",
        "instance_query_data",
        "node_add",
        "query",
    }
)
"""Opcodes that are no command of their own; a hand-written command submits them."""

TOOL_OF = {"test": "debug"}
"""First word of an opcode's module -> tool, where they differ."""


def row(field: str, *names: str, **rest: Any) -> Option:
    """An option that fills one field."""
    return Option(names=names, field=field, **rest)


def sets(*names: str, words: str = "", **fields: Any) -> Option:
    """A flag that fills fields with these values."""
    return Option(names=names, flag=True, words=words, fields=lambda _given: fields)


def not_(field: str, *names: str, **rest: Any) -> Option:
    """A flag that makes a field false."""
    return Option(names=names, field=field, flag=True, reads=lambda _given: False, **rest)


def spread(*names: str, reads: Callable[[Any], dict[str, Any]], **rest: Any) -> Option:
    """An option whose reader fills several fields at once."""
    return Option(names=names, reads=reads, fields=dict, **rest)


FORCE = row("force", "-f", "--force")
FORCE_ONLY = Option(names=("-f", "--force"), flag=True, words="Do not ask")
BACKEND = row(
    "beparams", "-B", "--backend-parameters", reads=readers.backend, metavar="KEY=VALUE,..."
)
HYPERVISOR_ONLY = row(
    "hvparams",
    "-H",
    "--hypervisor-parameters",
    reads=readers.hypervisor_params,
    metavar="KEY=VALUE,...",
)
IALLOCATOR = row("iallocator", "-I", "--iallocator", metavar="NAME")
TARGET = row("target_node", "-n", "--target-node", metavar="NODE", completes="node")
OS_PARAMS = row(
    "osparams", "-O", "--os-parameters", reads=readers.os_params, metavar="KEY=VALUE,..."
)
OS_PARAMS_PRIVATE = row(
    "osparams_private", "--os-parameters-private", reads=readers.os_params, metavar="KEY=VALUE,..."
)
OS_PARAMS_SECRET = row(
    "osparams_secret", "--os-parameters-secret", reads=readers.os_params, metavar="KEY=VALUE,..."
)
IGNORE_OFFLINE = row("ignore_offline_nodes", "--ignore-offline")
TAGS = row("tags", "--tags", reads=split, metavar="TAG,...")
COMMUNICATION = row(
    "instance_communication", "-c", "--communication", reads=boolean, metavar="yes|no"
)
NO_RUNTIME_CHANGES = not_(
    "allow_runtime_changes",
    "--no-runtime-changes",
    words="Do not change the guest's memory while it runs",
)


def create(body: dict[str, Any]) -> dict[str, Any]:
    """Disks and cards of a new instance, and what does not fit together."""
    body = dict(body)
    single = body.pop("single_disk", None)
    disks = body.pop("disks", None)
    if body.get("disk_template") == "diskless":
        if disks is not None or single is not None:
            raise WrongInput("Diskless instance but disk information passed")
        body["disks"] = []
    else:
        if disks is not None and single is not None:
            raise WrongInput("Please use either the '--disk' or '-s' option")
        if disks is None and single is None:
            raise WrongInput("No disk information specified")
        given = [(0, {"size": single})] if disks is None else disks
        specs = readers.in_order(given, MAX_DISKS, "Disk")
        body["disks"] = [readers.new_disk(index, spec) for index, spec in enumerate(specs)]
    no_nics = body.pop("no_nics", False)
    nics = body.pop("nics", None)
    if no_nics and nics is not None:
        raise WrongInput("Please use either the '--net' or '--no-nics' option")
    if nics is not None:
        specs = readers.in_order(nics, MAX_NICS, "Network card")
        body["nics"] = [readers.new_nic(spec) for spec in specs]
    else:
        body["nics"] = [] if no_nics else [{}]
    if body.get("no_install"):
        body["start"] = False
    elif not body.get("os_type"):
        raise WrongInput("No guest OS or OS image specified")
    if not body.get("pnode") and not body.get("iallocator") and "snode" in body:
        raise WrongInput("A secondary node needs a primary node")
    return body


def migrate(body: dict[str, Any]) -> dict[str, Any]:
    """One way to name the mode."""
    body = dict(body)
    if body.pop("non_live", False):
        if "mode" in body:
            raise WrongInput("Only one of --non-live and --migration-mode can be given")
        body["mode"] = "non-live"
    return body


def modify_instance(body: dict[str, Any]) -> dict[str, Any]:
    """Offline and online exclude each other."""
    body = dict(body)
    if body.pop("online", False):
        if body.get("offline"):
            raise WrongInput("Only one of --offline and --online can be given")
        body["offline"] = False
    return body


def verify(body: dict[str, Any]) -> dict[str, Any]:
    """The checks to leave out, by their names in the opcode."""
    body = dict(body)
    checks = {"skip_nplus1": "nplusone_mem", "skip_hvparams": "hvparam_assessment"}
    skipped = [check for flag, check in checks.items() if body.pop(flag, False)]
    if skipped:
        body["skip_checks"] = skipped
    return body


INSTANCES = (
    Spelling(
        tool="instance",
        name="add",
        opcode="instance_create",
        shown="<instance-name>",
        usage="[...] -t disk-type -n node[:secondary-node] -o os-type",
        fixed={"mode": "create"},
        finish=create,
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
            sets("--no-nics", words="No network cards", no_nics=True),
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
            not_("start", "--no-start", words="Do not start it"),
            row("os_type", "-o", "--os-type", metavar="OS", completes="os"),
            row("no_install", "--no-install", flag=True),
            COMMUNICATION,
        ),
        hidden=(
            "hypervisor", "hvparams", "pnode", "snode", "identify_defaults", "source_handshake",
            "source_instance_name", "source_shutdown_timeout", "source_x509_ca", "src_node",
            "src_path", "compress",
        ),
    ),
    Spelling(
        tool="instance", name="remove", opcode="instance_remove", extra=(FORCE_ONLY,),
    ),
    Spelling(
        tool="instance", name="startup", opcode="instance_startup", aliases=("start",),
        selects=True, shown="[<instance>...]", hidden=("shutdown_timeout",),
        options=(
            FORCE, HYPERVISOR_ONLY, BACKEND, IGNORE_OFFLINE, row("startup_paused", "--paused"),
        ),
    ),
    Spelling(
        tool="instance", name="shutdown", opcode="instance_shutdown", aliases=("stop",),
        selects=True, shown="[<instance>...]", hidden=("admin_state_source",),
        options=(FORCE, IGNORE_OFFLINE, row("timeout", "--timeout", metavar="SECONDS")),
    ),
    Spelling(
        tool="instance", name="reboot", opcode="instance_reboot", selects=True,
        shown="[<instance>...]",
        options=(row("reboot_type", "-t", "--type", default="hard"),),
    ),
    Spelling(
        tool="instance", name="migrate", opcode="instance_migrate", hidden=("live",),
        finish=migrate, extra=(FORCE_ONLY,),
        options=(
            sets("--non-live", words="Suspend it while it moves", non_live=True),
            row("mode", "--migration-mode"), TARGET, IALLOCATOR, NO_RUNTIME_CHANGES,
        ),
    ),
    Spelling(
        tool="instance", name="failover", opcode="instance_failover", extra=(FORCE_ONLY,),
        options=(TARGET, IALLOCATOR),
    ),
    Spelling(
        tool="instance", name="activate-disks", opcode="instance_activate_disks", common="JP",
    ),
    Spelling(
        tool="instance", name="deactivate-disks", opcode="instance_deactivate_disks",
        options=(FORCE,),
    ),
    Spelling(
        tool="instance", name="modify", opcode="instance_set_params", finish=modify_instance,
        reports_nothing_given=True,
        options=(
            BACKEND,
            row("disks", "--disk", many=True, reads=readers.disk_modifications,
                metavar="ID:ACTION,KEY=VALUE,..."),
            FORCE, HYPERVISOR_ONLY,
            row("nics", "--net", many=True, reads=readers.modifications,
                metavar="ID:ACTION,KEY=VALUE,..."),
            row("disk_template", "-t", "--disk-template", metavar="TEMPLATE"),
            row("remote_node", "-n", "--node", metavar="NODE", completes="node",
                words="Secondary node when the disk template becomes a mirrored one"),
            IALLOCATOR,
            row("os_name", "-o", "--os-type", metavar="OS", completes="os"),
            OS_PARAMS, OS_PARAMS_PRIVATE,
            not_("wait_for_sync", "--no-wait-for-sync", words="Do not wait for mirrors"),
            sets("--offline", words="Mark it offline", offline=True),
            sets("--online", words="Take back offline; it is then down", online=True),
            row("runtime_mem", "-m", "--runtime-memory", reads=size_mib, metavar="SIZE",
                words="Memory of the running guest"),
            not_("conflicts_check", "--no-conflicts-check", words="Allow addresses in use"),
            row("pnode", "--new-primary", metavar="NODE", completes="node",
                words="Primary node to record"),
            not_("hotplug", "--no-hotplug", words="Do not change the running guest"),
            COMMUNICATION,
            row("ext_params", "-e", "--ext-params", metavar="KEY=VALUE,..."),
            row("file_driver", "--file-driver", choices=("loop", "blktap2", "blktap")),
        ),
        hidden=("offline",),
    ),
)  # fmt: skip

NODES = (
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
            row("ndparams", "--node-parameters", reads=readers.node_params,
                metavar="KEY=VALUE,..."),
            row("powered", "--node-powered", metavar="yes|no"),
            row("hv_state", "--hypervisor-state", many=True,
                reads=readers.nested_params_of({}), metavar="HYPERVISOR:KEY=VALUE,..."),
            row("disk_state", "--disk-state", many=True,
                reads=readers.nested_params_of({}), metavar="TEMPLATE:KEY=VALUE,..."),
        ),
    ),
)  # fmt: skip

CLUSTER = (
    Spelling(
        tool="cluster", name="modify", opcode="cluster_set_params", reports_nothing_given=True,
        hidden=("hidden_os", "blacklisted_os", "os_hvp", "osparams"),
        options=(
            FORCE, BACKEND,
            row("candidate_pool_size", "-C", "--candidate-pool-size", metavar="N"),
            row("hvparams", "-H", "--hypervisor-parameters", many=True,
                reads=readers.nested_params_of(readers.HYPERVISOR_KINDS),
                metavar="HYPERVISOR:KEY=VALUE,..."),
            row("mac_prefix", "-m", "--mac-prefix", metavar="PREFIX"),
            row("nicparams", "-N", "--nic-parameters", metavar="KEY=VALUE,..."),
            row("drbd_helper", "--drbd-usermode-helper", metavar="PATH"),
            row("default_iallocator", "-I", "--default-iallocator", metavar="NAME"),
            row("ndparams", "--node-parameters", reads=readers.node_params,
                metavar="KEY=VALUE,..."),
            row("diskparams", "-D", "--disk-parameters", many=True,
                reads=readers.nested_params_of(readers.DISK_KINDS),
                metavar="TEMPLATE:KEY=VALUE,..."),
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

SPELLINGS: tuple[Spelling, ...] = (*INSTANCES, *NODES, *CLUSTER, *DEBUG)
