"""New instances whose disks are data that are there already: what is refused, and the steps. Pure.

The constraints are Ganeti's: all disks are adopted or none, on named nodes, and no OS definition
runs over them.
"""

from __future__ import annotations

import re
from typing import Any

from clusterd import ipolicy
from clusterd.model import Instance, Node
from clusterd.opcodes import disk_steps
from clusterd.steps.adoption import AdoptData, MeasureAdopted, refuse_taken
from clusterd.steps.cluster import Say
from clusterd.steps.disks import AttachVolume, OpenVolume
from clusterd.view import View
from clusterd.volumes import may_adopt, must_adopt
from jobqueue.errors import Refused
from jobqueue.step import Step
from storage.device_names import checked_path
from storage.errors import BadParameter

_VOLUME = re.compile(r"[A-Za-z0-9_+.][A-Za-z0-9_+.-]{0,126}")
"""What LVM takes."""

Specs = tuple[dict[str, Any], ...]


def sources(specs: Specs) -> tuple[str, ...]:
    """The names of the data that are to be adopted, in order; empty for new disks."""
    return tuple(str(spec["adopt"]) for spec in specs if spec.get("adopt"))


def refuse(specs: Specs, template: str, *, chosen: bool = False) -> None:
    """Raises Refused unless what is adopted can be. ``chosen``: the nodes were not named."""
    found = sources(specs)
    if found and not may_adopt(template):
        raise Refused(
            f"Disk adoption is not supported for the '{template}' disk template", "wrong_input"
        )
    if must_adopt(template) and not found:
        raise Refused(
            f"Disk template {template} requires disk adoption, but no 'adopt' parameter given",
            "wrong_input",
        )
    if not found:
        return
    if len(found) != len(specs):
        raise Refused("Either all disks are adopted or none is", "wrong_input")
    if chosen:
        raise Refused(
            "Disk adoption not allowed with an iallocator script: name the node (option -n)",
            "wrong_input",
        )
    twice = sorted({name for spec, name in _named(specs) if _named(specs).count((spec, name)) > 1})
    if twice:
        raise Refused(f"Duplicate volume names given for adoption: {twice[0]}", "wrong_input")
    for name in found:
        try:
            _checked(name, template)
        except BadParameter as error:
            raise Refused(str(error), "wrong_input") from None


def _checked(name: str, template: str) -> None:
    """Raises BadParameter for what cannot be there."""
    if must_adopt(template):
        checked_path(name)
    elif not _VOLUME.fullmatch(name) or name in (".", ".."):
        raise BadParameter(
            f"'{name}' cannot be the name of a logical volume: adopt=NAME, and vg=GROUP if it is in"
            " another volume group than the disks of this cluster"
        )


def _named(specs: Specs) -> list[tuple[str, str]]:
    return [(str(spec.get("vg") or ""), str(spec.get("adopt"))) for spec in specs]


def check(specs: Specs, view: View, instance: Instance, *, ignore_ipolicy: bool) -> None:
    """Raises Refused when what would be adopted is another instance's already, or new disks are
    not what the policy allows; the sizes of adopted ones are not known yet."""
    refuse_taken(view.configuration, instance)
    if not ignore_ipolicy and not sources(specs):
        ipolicy.require(view, instance)


def begin(
    specs: Specs, instance: Instance, nodes: tuple[Node, ...], *, ignore_ipolicy: bool
) -> list[Step]:
    """The disks of a new instance, made or adopted, open on its primary node (the first)."""
    if not instance.disks:
        return []
    found = sources(specs)
    name, primary = instance.name, nodes[0].name
    steps: list[Step] = []
    if not found:
        steps.append(Say(text="* creating instance disks..."))
        for index, disk in enumerate(instance.disks):
            steps += disk_steps.make(name, index, disk, nodes)
        return steps
    steps.append(Say(text="* adopting disks..."))
    steps.append(
        MeasureAdopted(instance=name, node=primary, sources=found, ignore_ipolicy=ignore_ipolicy)
    )
    for index, source in enumerate(found):
        steps += [
            AdoptData(instance=name, disk=index, node=primary, source=source),
            AttachVolume(instance=name, disk=index, node=primary),
            OpenVolume(instance=name, disk=index, node=primary, force=True),
        ]
    return steps
