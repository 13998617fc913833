"""What an operation requires of the OS definition that it names, as the node has it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from clusterd.model import Node
from clusterd.names import OS_PARAMETERS_FROM
from clusterd.view import View
from jobqueue.errors import Refused


def found_on(view: View, node: Node, name: str, *, force_variant: bool) -> None:
    """The OS definition is on the node, valid, and lists the variant."""
    observation = view.sight(node).observation
    base, _, variant = name.partition("+")
    known = {found.name: found for found in (observation.oses if observation is not None else ())}
    found = known.get(base)
    if found is None:
        raise Refused(
            f"OS '{base}' not in supported OS list for node {node.name}: it has "
            f"{', '.join(sorted(known)) or 'none'}",
            "wrong_input",
        )
    if not found.valid:
        raise Refused(f"OS '{base}' on node {node.name} is invalid: {found.message}", "wrong_input")
    if found.variants and not variant:
        raise Refused(
            f"OS '{base}' must be used with a variant: {', '.join(found.variants)}", "wrong_input"
        )
    if variant and not found.variants:
        raise Refused(f"OS '{base}' does not support variants ('{variant}' passed)", "wrong_input")
    if variant and variant not in found.variants and not force_variant:
        raise Refused(f"Unsupported OS variant '{variant}' of '{base}'", "wrong_input")


def parameters_known(view: View, node: Node, name: str, given: Iterable[str]) -> None:
    """The OS definition on the node takes these parameters; older ones do not say which they
    take."""
    observation = view.sight(node).observation
    base = name.partition("+")[0]
    for found in observation.oses if observation is not None else ():
        if found.name != base or OS_PARAMETERS_FROM not in found.api_versions:
            continue
        known = [parameter for parameter, _ in found.parameters]
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise Refused(
                f"OS '{base}' has no parameter '{unknown[0]}': it takes "
                f"{', '.join(known) or 'none'}",
                "wrong_input",
            )
