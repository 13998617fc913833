"""From a disk of an instance to the volume that one node holds of it. Pure.

What a template can do is what its backend declares; nothing of it is repeated here.

On-node names follow Ganeti: ``<label>.disk0`` for plain, ``<label>.disk0_data`` and ``_meta`` for
drbd, ``<directory>/<instance>/<label>.file.disk0`` for files. The label of an adopted device is its
path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import msgspec

from clusterd import parameters
from clusterd.configuration import Configuration
from clusterd.model import Disk, Image, Instance, Node, Params
from clusterd.view import View
from jobqueue.complaint import complaint
from jobqueue.errors import Refused
from storage.plugin import Mirrored, Plugin, built_in
from storage.volume import Mirror, Origin, Template, Volume


def has_mirror(template: str) -> bool:
    """True for templates with a copy on a secondary node."""
    plugin = _plugins().get(template)
    return plugin is not None and plugin.mirrored is Mirrored.INTERNAL


def is_shared(template: str) -> bool:
    """True for templates whose data each node of the group can reach."""
    plugin = _plugins().get(template)
    return plugin is not None and plugin.shared


def on_volume_group(template: str) -> bool:
    """True for templates whose disks are logical volumes."""
    plugin = _plugins().get(template)
    return plugin is not None and plugin.uses_volume_groups


def on_files(template: str) -> bool:
    """True for templates whose disks are files in a directory."""
    plugin = _plugins().get(template)
    return plugin is not None and plugin.uses_directories


def room_pool(template: str, pool: str, params: Params) -> str:
    """The pool whose room a disk takes: its own, or one within that."""
    plugin = _plugins().get(template)
    inner = params.get(plugin.inner_pool) if plugin is not None and plugin.inner_pool else ""
    return f"{pool}/{inner}" if inner else pool


def has_any_pool(template: str) -> bool:
    """True for templates whose pools a node need not know beforehand."""
    plugin = _plugins().get(template)
    return plugin is not None and plugin.any_pool


def in_files(template: str) -> bool:
    """True for templates whose disks are files."""
    plugin = _plugins().get(template)
    return plugin is not None and plugin.uses_directories


def lists_all(template: str) -> bool:
    """True if a node tells all that it stores of the template; else what is in use there."""
    plugin = _plugins().get(template)
    return plugin is None or plugin.lists_all


def opens_alone(template: str) -> bool:
    """True for templates that are told, on either node, whether a disk is open on one alone."""
    plugin = _plugins().get(template)
    return plugin is not None and plugin.opens_alone


def is_held_by_node(template: str) -> bool:
    """True for shared templates whose disks are removed by the node that had them attached."""
    plugin = _plugins().get(template)
    return plugin is not None and plugin.held_by_node


def may_adopt(template: str) -> bool:
    """True for templates whose new disks may be data that are there already."""
    plugin = _plugins().get(template)
    return plugin is not None and plugin.adopts


def must_adopt(template: str) -> bool:
    """True for templates whose new disks are always data that are there already."""
    plugin = _plugins().get(template)
    return plugin is not None and not plugin.makes


def can_grow(template: str) -> bool:
    """True for templates whose disks can be made larger."""
    plugin = _plugins().get(template)
    return plugin is None or plugin.grows


def takes_any_parameter(template: str) -> bool:
    """True for templates whose disks have parameters that something outside understands."""
    plugin = _plugins().get(template)
    return plugin is not None and plugin.open_parameters


def keeps_snapshots(template: str, params: Params) -> bool:
    """True if volumes of the template with these parameters have snapshots and clones."""
    plugin = _plugins().get(template)
    return plugin is not None and plugin.snapshots(params)


def clones_depend(template: str, params: Params) -> bool:
    """True if clones of the template's snapshots need them until they are flattened."""
    plugin = _plugins().get(template)
    return plugin is not None and plugin.clones_depend(params)


def lasting_parameters(template: str) -> frozenset[str]:
    """The disk parameters that a disk keeps from its beginning, whatever the defaults become."""
    plugin = _plugins().get(template)
    return frozenset() if plugin is None else plugin.lasting


def params_of(view: View, template: str, own: Params, group: str) -> Params:
    """The effective parameters of one disk or image; ``own`` are those that it was made with."""
    lasting = lasting_parameters(template)
    usual = parameters.disk_defaults(template)
    begun = {name: usual[name] for name in sorted(lasting)}
    directory = view.configuration.cluster.gluster_storage_dir
    below = mount_parameter(template)
    mounted: Params = {below: directory} if below and directory else {}
    return {**view.diskparams(template, group), **mounted, **begun, **own}


def mount_parameter(template: str) -> str:
    """The disk parameter that says where nodes mount volumes; empty: they mount none."""
    plugin = _plugins().get(template)
    return plugin.mounted_below if plugin is not None else ""


def begun_with(view: View, template: str, given: Params, group: str) -> Params:
    """What a new disk or image keeps: what was given for it alone, and of those parameters that
    last also what the group's are."""
    usual, effective = parameters.disk_defaults(template), view.diskparams(template, group)
    lasting = {
        name: effective[name]
        for name in sorted(lasting_parameters(template))
        if effective[name] != usual[name]
    }
    return {**lasting, **given}


def keeps_stills(template: str) -> bool:
    """True if the contents of one moment can be read while volumes of the template are written."""
    plugin = _plugins().get(template)
    return plugin is not None and plugin.stills


def read_by_still(template: str, params: Params) -> bool:
    """True if contents are read from a still only, made while nobody writes the volume."""
    plugin = _plugins().get(template)
    return plugin is not None and plugin.read_by_still(params)


def guests_alone(template: str, params: Params) -> bool:
    """True if no device or file on a node has the contents: the guest reaches them by itself."""
    return template == "rbd" and params.get("access") != "kernelspace"


def disk_parameters(template: str) -> frozenset[str]:
    """The names of the template's own disk parameters, as users write them."""
    plugin = _plugins().get(template)
    if plugin is None:
        return frozenset()
    return frozenset(field.encode_name for field in msgspec.structs.fields(plugin.parameters))


def checked_values(template: str, given: Params) -> None:
    """Raises Refused, in words, unless these are parameters of the template."""
    plugin = _plugins().get(template)
    if plugin is None:
        return
    try:
        msgspec.convert(given, plugin.parameters, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(complaint(error, dict(given), plugin.parameters), "wrong_input") from None


def overhead_mib(template: str) -> int:
    """What a disk takes beside its own size on each node that holds it."""
    plugin = _plugins().get(template)
    return plugin.overhead_mib if plugin is not None else 0


@cache
def _plugins() -> dict[str, Plugin]:
    """Read when first asked for: commands that never ask need not import every backend."""
    return {str(template): plugin for template, plugin in built_in().items()}


def numbered(instance: Instance) -> tuple[Disk, ...]:
    """The instance's disks, each with its number, so that they keep their names wherever they
    stand."""
    return tuple(
        msgspec.structs.replace(disk, number=instance.number_of(disk)) for disk in instance.disks
    )


def label_on(disk: Disk, node_uuid: str) -> str:
    """What begins the names of the disk's data on a node."""
    pair = disk.drbd
    if pair is None or pair.labels is None or node_uuid not in pair.nodes:
        return disk.label
    return pair.labels[pair.nodes.index(node_uuid)]


def disks_on(instance: Instance, node_uuid: str) -> Iterator[tuple[str, Disk]]:
    """(label, disk) of what a node should hold, or may hold while a job works on it."""
    for disk in (*instance.disks, *instance.drafted):
        if node_uuid in holders(instance, disk):
            yield label_on(disk, node_uuid), disk


def labels_on(instance: Instance, node_uuid: str) -> frozenset[str]:
    """The labels of what a node should hold, or may hold while a job works on it."""
    return frozenset(label for label, _ in disks_on(instance, node_uuid))


def holders(instance: Instance, disk: Disk) -> tuple[str, ...]:
    """The nodes (uuid) that hold data of one of the instance's disks, drafted ones included."""
    if disk.drbd is not None:
        return disk.drbd.nodes
    if instance.moving_to is not None and disk in instance.drafted:
        return (instance.moving_to,)
    return (instance.primary_node,)


def volume_on(view: View, instance: Instance, disk: Disk, node: Node) -> Volume:
    """One disk as ``node`` holds it. Disks that are not the instance's own have a number."""
    index = instance.number_of(disk)
    group = view.primary(instance).group
    params = params_of(view, disk.template, disk.params, group)
    if on_volume_group(disk.template) and view.configuration.cluster.prealloc_wipe_disks:
        params["wipe"] = True
    return Volume(
        template=Template(disk.template),
        uuid=disk.uuid,
        pool=disk.pool,
        name=_plugins()[disk.template].naming.format(
            template=disk.template,
            label=label_on(disk, node.uuid),
            index=index,
            owner=instance.uuid,
        ),
        size_mib=disk.size_mib,
        owner=instance.uuid,
        label=instance.name,
        alias=disk.name or "",
        index=index,
        access=disk.mode,
        mirror=_mirror(view, disk, node, index),
        origin=_origin(disk),
        params=params,
    )


def image_volume(view: View, image: Image, node: Node) -> Volume:
    """An image as ``node`` holds or reaches it."""
    return Volume(
        template=Template(image.template),
        uuid=image.uuid,
        pool=image.pool,
        name=image_name(image.uuid),
        size_mib=image.size_mib,
        owner=image.uuid,
        label=image.name,
        params=params_of(view, image.template, image.params, node.group),
    )


def image_children(configuration: Configuration, image: Image) -> list[str]:
    """Names of the instances whose disks read from the image, in order."""
    return [
        instance.name
        for instance in configuration.instances(unfinished=True)
        if any(disk.origin and disk.origin.image == image.uuid for disk in instance.disks)
    ]


def snapshot_children(
    view: View, instance: Instance, snapshot: str, disks: Sequence[Disk] | None = None
) -> list[str]:
    """Names of the instances whose disks read from an instance's snapshot, or from that of some of
    its ``disks``, in order."""
    node = view.primary(instance)
    asked = instance.disks if disks is None else disks
    volumes = [volume_on(view, instance, disk, node) for disk in asked]
    wanted = {(volume.pool, volume.name, snapshot) for volume in volumes}
    return [
        found.name
        for found in view.configuration.instances(unfinished=True)
        for disk in found.disks
        if disk.origin and (disk.origin.pool, disk.origin.name, disk.origin.snapshot) in wanted
    ]


def image_name(uuid: str) -> str:
    """The on-node name of an image."""
    return f"{uuid}.image"


def _origin(disk: Disk) -> Origin | None:
    found = disk.origin
    if found is None:
        return None
    return Origin(
        pool=found.pool,
        name=found.name,
        snapshot=found.snapshot,
        size_mib=found.size_mib,
        label=found.label,
    )


def _mirror(view: View, disk: Disk, node: Node, index: int) -> Mirror | None:
    pair = disk.drbd
    if pair is None:
        return None
    mine = pair.nodes.index(node.uuid)
    peer = view.configuration.node(pair.nodes[1 - mine])
    return Mirror(
        minor=pair.minors[mine],
        port=pair.port,
        secret=pair.secret,
        local_name=node.name,
        local_address=node.secondary_ip,
        peer_name=peer.name,
        peer_address=peer.secondary_ip,
        peer_minor=pair.minors[1 - mine],
        meta_pool=disk.meta_pool or disk.pool,
        meta_name=f"{label_on(disk, node.uuid)}.disk{index}_meta",
        meta_size_mib=overhead_mib(disk.template),
        side=1 if mine else 0,
    )
