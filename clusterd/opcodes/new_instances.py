"""From a request for a new instance to its draft: what it will be but for identities. Pure."""

from __future__ import annotations

from typing import Any

from clusterd import parameters
from clusterd.model import AdminState, Instance, Node
from clusterd.opcodes import adoption, beginnings, cards, drafts, seeding
from clusterd.opcodes.wiring import Place
from clusterd.view import View
from clusterd.volumes import has_mirror
from jobqueue.errors import Refused

UNFINISHED = "unfinished"
"""Stands for identities that a step will draw."""


def template_of(opcode: Any, view: View) -> str:
    """The disk template, which must be enabled; raises Refused."""
    cluster = view.configuration.cluster
    template: str | None = opcode.disk_template
    if template is None:
        raise Refused("No disk template specified (option -t)", "wrong_input")
    if template not in cluster.enabled_disk_templates:
        raise Refused(
            f"Disk template '{template}' is not enabled in cluster: enabled are "
            f"{', '.join(cluster.enabled_disk_templates)}",
            "wrong_input",
        )
    return template


def draft(opcode: Any, view: View) -> Instance:
    """The instance as it will be, without identities; raises Refused."""
    primary, secondary = nodes_of(opcode, view, template_of(opcode, view))
    observation = view.sight(primary).observation
    bridges = observation.bridges if observation is not None else None
    return draft_on(opcode, view, (primary, secondary), bridges)


def draft_on(
    opcode: Any,
    view: View,
    pair: tuple[Node, Node | None],
    bridges: tuple[str, ...] | None,
) -> Instance:
    """The same on these nodes, where ``bridges`` are there (None: unknown)."""
    cluster = view.configuration.cluster
    template = template_of(opcode, view)
    primary, secondary = pair
    nodes = (primary,) if secondary is None else (primary, secondary)
    hypervisor = opcode.hypervisor or cluster.enabled_hypervisors[0]
    if hypervisor not in cluster.enabled_hypervisors:
        raise Refused(f"Selected hypervisor ({hypervisor}) not enabled in the cluster")
    image = beginnings.find_image(view, opcode.image)
    if not opcode.os_type and image is None and opcode.source is None:
        raise Refused("No guest OS or OS image specified", "wrong_input")
    own = parameters.hypervisor(hypervisor, opcode.hvparams, {})
    adoption.refuse(opcode.disks, template)
    specs = beginnings.sized(opcode.disks, image, template)
    disks = drafts.disks(view, specs, template, nodes, opcode.file_storage_dir)
    # until nodes are chosen nobody knows how networks are connected there
    group = primary.group if opcode.pnode is not None else None
    place = Place(group=group, conflicts_check=opcode.conflicts_check)
    return Instance(
        uuid=UNFINISHED,
        name=opcode.instance_name,
        tags=opcode.tags,
        primary_node=primary.uuid,
        secondary_node=secondary.uuid if secondary is not None else None,
        hypervisor=hypervisor,
        os=opcode.os_type or "",
        disk_template=template,
        admin_state=AdminState.UP if opcode.start else AdminState.DOWN,
        disks=beginnings.begun(view, disks, image, nodes),
        nics=cards.nics(view, opcode.nics, bridges, primary.name, place),
        hvparams=own,
        beparams=parameters.beparams(opcode.beparams, {}),
        osparams={key: text for key, text in (opcode.osparams or {}).items() if text is not None},
        cloud_init=seeding.seed(opcode),
    )


def nodes_of(opcode: Any, view: View, template: str) -> tuple[Node, Node | None]:
    if opcode.pnode is None:
        raise Refused("No primary node was named or chosen (options -n, -I)", "wrong_input")
    primary = view.configuration.node(opcode.pnode)
    if not has_mirror(template):
        if opcode.snode:
            raise Refused(
                f"A secondary node makes no sense for disk template '{template}'", "wrong_input"
            )
        return primary, None
    if not opcode.snode:
        raise Refused(
            f"The networked disk template '{template}' needs a mirror node (-n primary:secondary)",
            "wrong_input",
        )
    secondary = view.configuration.node(opcode.snode)
    if secondary.uuid == primary.uuid:
        raise Refused("The secondary node cannot be the primary node", "wrong_input")
    return primary, secondary
