"""Make an image that instances can begin as."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from msgspec import Meta

from clusterd.model import Image, Node
from clusterd.opcodes import drafts, locking, requirements
from clusterd.opcodes.fields import ImageName, NodeName, Params
from clusterd.steps.cluster import Say
from clusterd.steps.images import (
    CommitImage,
    DrawImage,
    MeasureImage,
    PlaceImage,
    SealImage,
    WriteImage,
)
from clusterd.view import View
from clusterd.volumes import (
    begun_with,
    is_shared,
    keeps_snapshots,
    on_volume_group,
    params_of,
)
from jobqueue.complaint import ALLOWS
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step

NOT_FOR_IMAGES = ("diskless", "drbd", "blockdev", "ext")


class ImageAdd(Opcode, frozen=True, kw_only=True, tag="OP_IMAGE_ADD"):
    """Make an image that instances can begin as."""

    image_name: ImageName
    disk_template: Annotated[str, Meta(description="where it is kept: rbd, plain, file, ...")]
    path: Annotated[
        str,
        Meta(
            pattern=r"^/[^\n,:]*$(?!\n)",
            description="file with the image, raw or qcow2, on the nodes",
        ),
    ]
    nodes: Annotated[
        tuple[NodeName, ...],
        Meta(description="nodes that read the file; where storage is local each keeps a copy"),
    ] = ()
    checksum: Annotated[
        Annotated[
            str,
            Meta(
                pattern=r"^sha256:[0-9a-f]{64}$(?!\n)",
                extra={ALLOWS: "sha256: and 64 hexadecimal digits"},
            ),
        ]
        | None,
        Meta(description="what the file must have, as sha256:HEX"),
    ] = None
    pool: Annotated[
        str | None, Meta(description="volume group, directory or pool; default is the template's")
    ] = None
    diskparams: Annotated[Params, Meta(description="disk parameters for the image")] = {}
    properties: Annotated[dict[str, str], Meta(description="for people and programs")] = {}


def readers(opcode: ImageAdd, view: View) -> list[Node]:
    """The nodes that read the file; without any named, the master."""
    configuration = view.configuration
    names = opcode.nodes or (configuration.cluster.master_node,)
    return [configuration.node(name) for name in names]


def locks(opcode: ImageAdd, view: View) -> Iterable[Lock]:
    """The new name; the nodes must stay what they are."""
    nodes = {node.uuid: node for node in readers(opcode, view)}
    return [
        BIG_LOCK_SHARED,
        locking.image_lock(opcode.image_name),
        *(locking.node_lock(nodes[uuid], shared=True) for uuid in sorted(nodes)),
    ]


def sights(opcode: ImageAdd, view: View) -> Iterable[str]:
    """The nodes that read the file."""
    return [node.name for node in readers(opcode, view)]


def check(opcode: ImageAdd, view: View) -> None:
    """The name is free, the template is enabled and takes images, the nodes answer."""
    if view.configuration.find_image(opcode.image_name) is not None:
        raise Refused(f"Image '{opcode.image_name}' is already in the cluster", "already_exists")
    enabled = view.configuration.cluster.enabled_disk_templates
    if opcode.disk_template not in enabled:
        raise Refused(
            f"Disk template '{opcode.disk_template}' is not enabled in cluster: enabled are "
            f"{', '.join(enabled)}",
            "wrong_input",
        )
    if opcode.disk_template in NOT_FOR_IMAGES:
        raise Refused(f"Template '{opcode.disk_template}' keeps no images", "wrong_input")
    nodes = readers(opcode, view)
    if is_shared(opcode.disk_template) and len(nodes) > 1:
        raise Refused("One node is enough to read the file into shared storage", "wrong_input")
    for node in nodes:
        requirements.node_online(view, node)
    draft(opcode, view)


def draft(opcode: ImageAdd, view: View) -> Image:
    """The image as it will be, without identity and measures; raises Refused."""
    nodes = readers(opcode, view)
    given = {key: value for key, value in opcode.diskparams.items() if value is not None}
    place = "vg" if on_volume_group(opcode.disk_template) else "pool"
    own = {place: opcode.pool} if opcode.pool else {}
    disk = drafts.disk(view, 0, {"size": 1, **own, **given}, opcode.disk_template, tuple(nodes[:1]))
    shared = is_shared(opcode.disk_template)
    return Image(
        uuid="",
        name=opcode.image_name,
        template=opcode.disk_template,
        pool=disk.pool,
        source=f"{nodes[0].name}:{opcode.path}",
        nodes=() if shared else tuple(node.uuid for node in nodes),
        params=begun_with(view, opcode.disk_template, given, nodes[0].group),
        properties=opcode.properties,
    )


def plan(opcode: ImageAdd, view: View) -> Sequence[Step]:
    """Draw, measure, copy on each node, seal, commit."""
    name, path = opcode.image_name, opcode.path
    image = draft(opcode, view)
    steps: list[Step] = [DrawImage(draft=image)]
    nodes = readers(opcode, view)
    for node in nodes:
        steps.append(Say(text=f"* measuring {path} on node {node.name}"))
        steps.append(
            MeasureImage(image=name, node=node.name, path=path, expected=opcode.checksum or "")
        )
    params = params_of(view, image.template, image.params, nodes[0].group)
    for node in nodes:
        steps.append(Say(text=f"* copying it to '{image.pool}' and comparing"))
        steps.append(PlaceImage(image=name, node=node.name))
        steps.append(WriteImage(image=name, node=node.name, path=path))
        if keeps_snapshots(image.template, params):
            steps.append(SealImage(image=name, node=node.name))
    return [*steps, CommitImage(image=name)]


def result(opcode: ImageAdd, view: View, _outputs: Sequence[Any]) -> Any:
    """The uuid of the image."""
    return view.configuration.image(opcode.image_name).uuid


KIND = OpcodeKind(
    opcode=ImageAdd,
    locks=locks,
    sights=sights,
    check=check,
    plan=plan,
    result=result,
    summary_field="image_name",
)
