"""The rows of ``gnt-instance``, and what Ganeti's own command refuses before it sends anything."""

from __future__ import annotations

from typing import Any

from cli import readers
from cli.exits import WrongInput
from cli.new_instance import NEW_INSTANCE, take_cards, take_disks
from cli.notation import size_mib
from cli.rows import (
    BACKEND,
    COMMUNICATION,
    EXPLAIN,
    FORCE,
    FORCE_ONLY,
    HYPERVISOR_ONLY,
    IALLOCATOR,
    IGNORE_OFFLINE,
    NO_RUNTIME_CHANGES,
    OS_PARAMS,
    OS_PARAMS_PRIVATE,
    SEEDED,
    TARGET,
    not_,
    row,
    sets,
)
from cli.spelling import Spelling
from storage.volume import Template

TEMPLATES = frozenset(str(template) for template in Template)


def create(body: dict[str, Any]) -> dict[str, Any]:
    """Disks and cards of a new instance, and what does not fit together."""
    body = dict(body)
    body["disks"] = _disks_to_create(body)
    cards = take_cards(body)
    body["nics"] = [{}] if cards is None else cards
    if body.get("no_install"):
        body["start"] = False
    elif not body.get("os_type") and not body.get("image"):
        raise WrongInput("No guest OS or OS image specified")
    if not body.get("pnode") and not body.get("iallocator") and "snode" in body:
        raise WrongInput("A secondary node needs a primary node")
    return body


def _disks_to_create(body: dict[str, Any]) -> list[dict[str, Any]]:
    image, template = bool(body.get("image")), body.get("disk_template")
    if template is not None and template not in TEMPLATES:
        raise WrongInput(
            f"Unknown disk template '{template}': there are {', '.join(sorted(TEMPLATES))}"
        )
    if template == "diskless":
        if body.get("disks") is not None or body.get("single_disk") is not None:
            raise WrongInput("Diskless instance but disk information passed")
        return []
    disks = take_disks(body, from_image=image)
    if disks is None and not image:
        raise WrongInput("No disk information specified")
    return [{}] if disks is None else disks


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
            *NEW_INSTANCE, sets("--no-nics", words="No network cards", no_nics=True),
            not_("start", "--no-start", words="Do not start it"),
            row("os_type", "-o", "--os-type", metavar="OS", completes="os"),
            row("image", "--image", metavar="IMAGE", completes="image"),
            *SEEDED,
            row("no_install", "--no-install", flag=True),
            COMMUNICATION,
        ),
        extra=(EXPLAIN,),
        hidden=(
            "hypervisor", "hvparams", "pnode", "snode", "identify_defaults", "source_handshake",
            "source_instance_name", "source_shutdown_timeout", "source_x509_ca", "src_node",
            "src_path", "compress", "source", "cloud_init",
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
            OS_PARAMS, OS_PARAMS_PRIVATE, *SEEDED,
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
        hidden=("offline", "cloud_init"),
    ),
)  # fmt: skip
