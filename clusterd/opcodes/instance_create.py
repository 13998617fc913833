"""Create an instance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from clusterd import tags
from clusterd.hooks import HookPoint, instance_environment, master_node
from clusterd.iallocator.answers import Answer
from clusterd.iallocator.choice import Choice, Taken, allocator_name
from clusterd.iallocator.requests import Allocate
from clusterd.model import AdminState, Instance
from clusterd.opcodes import (
    adoption,
    beginnings,
    copied_images,
    guest_os,
    importing,
    locking,
    placing,
    requirements,
    seeding,
    wiring,
)
from clusterd.opcodes.fields import (
    SHUTDOWN_TIMEOUT_S,
    Beparams,
    Compress,
    DiskSpec,
    Hvparams,
    Iallocator,
    IgnoreIpolicy,
    ImageName,
    InstanceName,
    NicSpec,
    OsName,
    Osparams,
)
from clusterd.opcodes.importing import ExportSource
from clusterd.opcodes.new_instances import draft, draft_on, template_of
from clusterd.steps.cluster import Say
from clusterd.steps.disks import DetachVolume
from clusterd.steps.guests import RunOs, StartGuest
from clusterd.steps.instances import CommitInstance, DrawInstance
from clusterd.view import View
from clusterd.volumes import has_mirror
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step
from jobqueue.surroundings import Chosen


class InstanceCreate(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_CREATE"):
    """Create an instance."""

    instance_name: InstanceName
    mode: Annotated[
        Literal["create", "import", "remote-import"],
        Meta(description="where its contents come from"),
    ] = "create"
    disk_template: Annotated[
        str | None,
        Meta(
            description="how disks are stored: drbd, plain, file, sharedfile, rbd, gluster, ext, "
            "blockdev, diskless"
        ),
    ] = None
    disks: Annotated[
        tuple[DiskSpec, ...],
        Meta(description="disks: size (MiB) or adopt, mode, name, vg, metavg, provider"),
    ]
    nics: Annotated[
        tuple[NicSpec, ...], Meta(description="network cards: mac, ip, mode, link, vlan, name")
    ]
    pnode: Annotated[str | None, Meta(description="primary node")] = None
    snode: Annotated[str | None, Meta(description="secondary node")] = None
    group_name: Annotated[str | None, Meta(description="node group to choose nodes from")] = None
    iallocator: Iallocator = None
    opportunistic_locking: Annotated[
        bool, Meta(description="do not wait for nodes that are locked, choose among the others")
    ] = False
    os_type: Annotated[OsName | None, Meta(description="OS definition, with variant")] = None
    osparams: Osparams | None = None
    osparams_private: dict[str, str] | None = None
    osparams_secret: dict[str, str] | None = None
    image: Annotated[ImageName | None, Meta(description="image that the first disk begins as")] = (
        None
    )
    cloud_init: seeding.CloudInitWanted = None
    user_data: seeding.UserData = None
    ssh_keys: seeding.SshKeys = None
    network_config: seeding.NetworkConfig = None
    no_install: Annotated[bool | None, Meta(description="do not run the OS definition")] = None
    force_variant: Annotated[
        bool, Meta(description="accept a variant that the definition does not list")
    ] = False
    hypervisor: Annotated[
        str | None, Meta(description="hypervisor; default is the cluster's first")
    ] = None
    hvparams: Hvparams = {}
    beparams: Beparams = {}
    start: Annotated[bool, Meta(description="start it when it is made")] = True
    wait_for_sync: Annotated[
        bool, Meta(description="accepted for compatibility: new mirrors are complete")
    ] = True
    ignore_ipolicy: IgnoreIpolicy = False
    conflicts_check: Annotated[
        bool, Meta(description="accepted for compatibility: addresses are not given out")
    ] = True
    ip_check: Annotated[bool, Meta(description="refuse a name whose address answers")] = False
    name_check: Annotated[bool, Meta(description="the name must resolve")] = False
    tags: Annotated[tuple[str, ...], Meta(description="tags")] = ()
    identify_defaults: bool = False
    file_driver: Annotated[
        Literal["loop", "blktap", "blktap2"] | None, Meta(description="driver for file disks")
    ] = None
    file_storage_dir: Annotated[
        str | None, Meta(description="directory below the file storage directory")
    ] = None
    forthcoming: bool = False
    commit: bool = False
    instance_communication: bool = False
    src_node: Annotated[str | None, Meta(description="node that keeps the export")] = None
    src_path: Annotated[
        str | None, Meta(description="directory of the export; default is the instance's name")
    ] = None
    compress: Compress = "none"
    source: Annotated[
        ExportSource | None, Meta(description="filled in from the export; not to be given")
    ] = None
    # those below belong to modes that are refused
    source_handshake: Any = None
    source_instance_name: str | None = None
    source_shutdown_timeout: int = SHUTDOWN_TIMEOUT_S
    source_x509_ca: str | None = None
    helper_startup_timeout: int | None = None
    helper_shutdown_timeout: int | None = None


def locks(opcode: InstanceCreate, view: View) -> Iterable[Lock]:
    """The new name; its nodes must stay what they are."""
    chosen = [view.configuration.node(name) for name in (opcode.pnode, opcode.snode) if name]
    return [
        BIG_LOCK_SHARED,
        locking.instance_lock(opcode.instance_name),
        *(locking.node_lock(node, shared=True) for node in chosen),
        *importing.locks(opcode, view),
        *wiring.locks(view, opcode.nics),
        *(
            (locking.image_lock(opcode.image, shared=not _copies(opcode, view)),)
            if opcode.image
            else ()
        ),
    ]


def _copies(opcode: InstanceCreate, view: View) -> bool:
    """Whether its image has to be brought to its node first."""
    image = view.configuration.find_image(opcode.image) if opcode.image else None
    node = view.configuration.find_node(opcode.pnode) if opcode.pnode else None
    return node is not None and copied_images.lacks(image, node)


def sights(opcode: InstanceCreate, view: View) -> Iterable[str]:
    """The nodes asked for."""
    found = (view.configuration.find_node(name) for name in (opcode.pnode, opcode.snode) if name)
    return [node.name for node in found if node is not None]


def check(opcode: InstanceCreate, view: View) -> None:
    """The name is free, everything asked for exists, is allowed, and fits."""
    name_free(opcode, view)
    requirements.served(_not_served(opcode))
    instance = draft(opcode, view)
    tags.require_valid(opcode.tags)
    for node in view.nodes_of(instance):
        requirements.node_takes_instances(view, node)
        requirements.disk_free(view, node, instance)
    primary = view.primary(instance)
    requirements.hypervisor_answers(view, primary, instance.hypervisor)
    image = beginnings.find_image(view, opcode.image)
    if image is not None and copied_images.lacks(image, primary):
        copied_images.check(view, image, primary)
    if opcode.start:
        requirements.memory_free(view, primary, instance, f"creating instance {instance.name}")
    if opcode.source is not None:
        importing.check(opcode.source, view, instance)
    if needs_os(opcode):
        guest_os.found_on(view, primary, instance.os, force_variant=opcode.force_variant)
        requirements.scripts_can_write(view, instance)
        given = (opcode.osparams, opcode.osparams_private, opcode.osparams_secret)
        rows = [row for params in given for row in (params or {}).items()]
        names = [key for key, text in rows if text is not None]
        guest_os.parameters_known(view, primary, instance.os, names)
    adoption.check(opcode.disks, view, instance, ignore_ipolicy=opcode.ignore_ipolicy)


def needs_os(opcode: InstanceCreate) -> bool:
    """Whether scripts of an OS definition run: to install, or to read an export."""
    return bool(opcode.os_type) if opcode.source is not None else installs(opcode)


def installs(opcode: InstanceCreate) -> bool:
    """Whether scripts of an OS definition install it; an image, an export or data that are there
    already need none."""
    needless = (opcode.image and not opcode.os_type) or adoption.sources(opcode.disks)
    return opcode.source is None and not opcode.no_install and not needless


def name_free(opcode: InstanceCreate, view: View) -> None:
    """Nobody has the name."""
    if view.configuration.find_instance(opcode.instance_name) is not None:
        raise Refused(
            f"Instance '{opcode.instance_name}' is already in the cluster", "already_exists"
        )


def _not_served(opcode: InstanceCreate) -> dict[str, bool]:
    """What this version does not do -> whether it is asked for."""
    return {
        f"mode '{opcode.mode}'": opcode.mode == "remote-import",
        "forthcoming instances": opcode.forthcoming or opcode.commit,
        "instance communication": opcode.instance_communication,
        "checking the name in DNS": opcode.name_check,
        "checking the address": opcode.ip_check,
        "leaving out values that equal the defaults (but at imports)": opcode.identify_defaults
        and opcode.mode != "import",
        f"file driver '{opcode.file_driver}', only 'loop'": opcode.file_driver
        not in (None, "loop"),
    }


def wanted(opcode: InstanceCreate, view: View, taken: Taken) -> Allocate | None:
    """Its nodes, unless they were named."""
    if opcode.pnode is not None:
        if opcode.iallocator:
            raise Refused("Do not specify both, iallocator and node", "wrong_input")
        return None
    draft = floating(opcode, view)
    os_check = draft.os if needs_os(opcode) else None
    return Allocate(
        instance=placing.asked(view, draft, opcode.group_name),
        excluded=placing.excluded(view, draft, taken, os_check),
    )


def floating(opcode: InstanceCreate, view: View) -> Instance:
    """The draft of an instance whose nodes are to be chosen; raises Refused for what no choice
    can help."""
    if opcode.snode is not None:
        raise Refused("A secondary node needs a primary node", "wrong_input")
    name_free(opcode, view)
    requirements.served(_not_served(opcode))
    template = template_of(opcode, view)
    adoption.refuse(opcode.disks, template, chosen=True)
    pair = placing.placeholders(view, template, opcode.group_name)
    draft = draft_on(opcode, view, pair, None)
    if not opcode.ignore_ipolicy:
        placing.check_policy(view, draft, opcode.group_name)
    return draft


def settle(opcode: InstanceCreate, view: View, answer: Answer) -> Chosen:
    """The opcode with its nodes."""
    if not answer.nodes:
        raise placing.none_found(view, opcode, opcode.instance_name, answer.info)
    needed = 2 if has_mirror(template_of(opcode, view)) else 1
    nodes = placing.nodes_of(view, opcode.instance_name, answer.nodes, needed)
    return Chosen(opcode=placed(opcode, view, nodes))


def placed(opcode: InstanceCreate, view: View, nodes: tuple[str, ...]) -> InstanceCreate:
    """The opcode with these nodes; it says which allocator chose them."""
    return msgspec.structs.replace(
        opcode,
        pnode=nodes[0],
        snode=nodes[1] if len(nodes) > 1 else None,
        iallocator=allocator_name(view, opcode.iallocator),
    )


def plan(opcode: InstanceCreate, view: View) -> Sequence[Step]:
    """Draw, store, mirror, install, commit, start."""
    instance = draft(opcode, view)
    primary, secondary = view.primary(instance), view.secondary(instance)
    port = bool(view.hvparams(instance).get("vnc_bind_address"))
    wish = msgspec.structs.replace(instance, admin_state=AdminState.DOWN)
    steps: list[Step] = [DrawInstance(draft=wish, network_port=port)]
    if opcode.iallocator:
        steps.append(Say(text=placing.selected(opcode)))
    image = beginnings.find_image(view, opcode.image)
    if image is not None and copied_images.lacks(image, primary):
        steps += copied_images.bring(view, image, primary)
    nodes = (primary,) if secondary is None else (primary, secondary)
    steps += adoption.begin(opcode.disks, instance, nodes, ignore_ipolicy=opcode.ignore_ipolicy)
    steps += beginnings.fill(view, instance, image, primary)
    if instance.disks and installs(opcode):
        steps.append(Say(text="* running the instance OS create scripts..."))
        hidden = {**(opcode.osparams_private or {}), **(opcode.osparams_secret or {})}
        steps.append(RunOs(instance=instance.name, node=primary.name, parameters=hidden))
    if opcode.source is not None:
        steps += importing.fill(opcode.source, instance, primary, opcode.compress)
    if not opcode.start:
        steps += [
            DetachVolume(instance=instance.name, disk=index, node=node.name)
            for index, _disk in enumerate(instance.disks)
            for node in (n for n in (primary, secondary) if n is not None)
        ]
    steps.append(
        CommitInstance(
            instance=instance.name,
            admin_state=instance.admin_state,
            disks_active=opcode.start and bool(instance.disks),
        )
    )
    if opcode.start:
        steps.append(Say(text="* starting instance..."))
        steps.append(StartGuest(instance=instance.name, node=primary.name))
    return steps


def result(opcode: InstanceCreate, view: View, _outputs: Sequence[Any]) -> Any:
    """The names of its nodes."""
    instance = view.configuration.instance(opcode.instance_name)
    return [node.name for node in view.nodes_of(instance)]


def environment(opcode: InstanceCreate, view: View) -> dict[str, str]:
    """The instance block and ADD_MODE."""
    found = view.configuration.find_instance(opcode.instance_name)
    instance = found if found is not None else draft(opcode, view)
    disks = () if found is None else instance.disks
    shown = msgspec.structs.replace(instance, disks=disks)
    env = {**instance_environment(view, shown), "ADD_MODE": opcode.mode}
    for index, disk in enumerate(instance.disks if found is None else ()):
        env[f"INSTANCE_DISK{index}_SIZE"] = str(disk.size_mib)
        env[f"INSTANCE_DISK{index}_MODE"] = disk.mode
    if opcode.source is not None:
        env |= importing.environment(opcode.source)
    env["INSTANCE_DISK_COUNT"] = str(len(instance.disks))
    env["INSTANCE_STATUS"] = str(opcode.start)
    return env


def hook_nodes(opcode: InstanceCreate, view: View) -> list[str]:
    """Master, primary, secondary."""
    chosen = [view.configuration.node(name).name for name in (opcode.pnode, opcode.snode) if name]
    return [*master_node(opcode, view), *chosen]


KIND = OpcodeKind(
    opcode=InstanceCreate,
    choice=Choice(
        wanted=wanted,
        settle=settle,
        learn=importing.learn,
        learned=importing.learned,
    ),
    locks=locks,
    sights=sights,
    check=check,
    plan=plan,
    result=result,
    summary_field="instance_name",
    hooks=HookPoint("instance-add", "INSTANCE", environment, hook_nodes),
)
