"""Change an image's name and properties."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec import Meta

from clusterd.opcodes import locking
from clusterd.opcodes.fields import ImageName
from clusterd.steps.images import RecordImage
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class ImageSetParams(Opcode, frozen=True, kw_only=True, tag="OP_IMAGE_SET_PARAMS"):
    """Change an image's name and properties."""

    image_name: ImageName
    new_name: Annotated[ImageName | None, Meta(description="new name")] = None
    properties: Annotated[
        dict[str, str | None], Meta(description="properties to set; null removes one")
    ] = {}


def locks(opcode: ImageSetParams, view: View) -> Iterable[Lock]:
    """The image, and its new name."""
    image = view.configuration.image(opcode.image_name)
    names = {image.name, opcode.new_name or image.name}
    return (BIG_LOCK_SHARED, *(locking.image_lock(name) for name in sorted(names)))


def check(opcode: ImageSetParams, view: View) -> None:
    """Something is to change, and a new name is free."""
    image = view.configuration.image(opcode.image_name)
    if not opcode.properties and not opcode.new_name:
        raise Refused("Nothing is to be changed", "wrong_input")
    if opcode.new_name and view.configuration.find_image(opcode.new_name) is not None:
        raise Refused(f"Image '{opcode.new_name}' is already in the cluster", "already_exists")
    if opcode.new_name and image.template in ("file", "sharedfile"):
        raise Refused("An image in files is kept under its name, which stays", "wrong_state")


def plan(opcode: ImageSetParams, view: View) -> Sequence[Step]:
    """One write."""
    image = view.configuration.image(opcode.image_name)
    changed = {**image.properties, **opcode.properties}
    return [
        RecordImage(
            image=image.uuid,
            name=opcode.new_name or image.name,
            properties={key: text for key, text in changed.items() if text is not None},
            name_before=image.name,
            properties_before=image.properties,
        )
    ]


KIND = OpcodeKind(
    opcode=ImageSetParams, locks=locks, check=check, plan=plan, summary_field="image_name"
)
