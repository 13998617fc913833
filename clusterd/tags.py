"""Tags: what they may look like, how many an object may have, and whose they are. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from clusterd.configuration import Configuration
from clusterd.model import Cluster, Group, Instance, Network, Node
from jobqueue.errors import Refused

Kind = Literal["cluster", "node", "instance", "nodegroup", "network"]
Tagged = Cluster | Node | Instance | Group | Network

TAG = re.compile(r"[\w.+*/:@-]+", re.ASCII)
MAX_TAG_CHARACTERS = 128
MAX_TAGS = 4096
"""Of one object. All three limits are Ganeti's."""


def require_valid(tags: tuple[str, ...], present: tuple[str, ...] = ()) -> None:
    """Each is short and made of the allowed characters, and an object that has ``present`` may have
    them too; raises Refused."""
    for tag in tags:
        if len(tag) > MAX_TAG_CHARACTERS or TAG.fullmatch(tag) is None:
            raise Refused(
                f"Invalid tag '{tag}': use up to {MAX_TAG_CHARACTERS} of A-Z a-z 0-9 . + * / : @ "
                "- _",
                "wrong_input",
            )
    if len({*tags, *present}) > MAX_TAGS:
        raise Refused(f"An object can have {MAX_TAGS} tags, not more", "wrong_input")


def owner(configuration: Configuration, kind: Kind, name: str | None) -> Tagged:
    """The object of a kind by its name, the cluster without one; raises Refused."""
    if kind == "cluster":
        return configuration.cluster
    if not name:
        raise Refused(f"Tags of which {kind}? It needs a name", "wrong_input")
    if kind == "node":
        return configuration.node(name)
    if kind == "instance":
        return configuration.instance(name)
    if kind == "nodegroup":
        return configuration.group(name)
    return configuration.network(name)


def by_path(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """All tags of the cluster as (path of the object, tag); the paths are Ganeti's."""
    owners: list[tuple[str, Tagged]] = [("/cluster", configuration.cluster)]
    owners += [(f"/instances/{one.name}", one) for one in configuration.instances()]
    owners += [(f"/nodes/{one.name}", one) for one in configuration.nodes()]
    owners += [(f"/nodegroup/{one.name}", one) for one in configuration.groups()]
    owners += [(f"/network/{one.name}", one) for one in configuration.networks()]
    for path, one in owners:
        for tag in sorted(one.tags):
            yield path, tag
