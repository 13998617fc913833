"""What tags mean to placement: the prefixes that a cluster's tags declare. Pure."""

from __future__ import annotations

from collections.abc import Iterable

EXCLUSION = "htools:iextags:"
MIGRATION = "htools:migration:"
ALLOW_MIGRATION = "htools:allowmigration:"
LOCATION = "htools:nlocation:"
DESIRED_LOCATION = "htools:desiredlocation:"
STANDBY = "htools:standby:"


def declared(prefix: str, cluster_tags: Iterable[str]) -> tuple[str, ...]:
    """What the cluster's tags declare after a prefix."""
    return tuple(tag[len(prefix) :] for tag in cluster_tags if tag.startswith(prefix))


def exclusion_tags(prefixes: tuple[str, ...], tags: Iterable[str]) -> tuple[str, ...]:
    """An instance's tags that no two instances of a node should share."""
    return tuple(tag for tag in tags if prefixes and tag.startswith(prefixes))


def labels(prefix: str, cluster_tags: Iterable[str], tags: Iterable[str]) -> frozenset[str]:
    """A node's tags of the kinds that the cluster's tags declare: ``KIND:anything``."""
    kinds = tuple(kind + ":" for kind in declared(prefix, cluster_tags))
    return frozenset(tag for tag in tags if kinds and tag.startswith(kinds))


def migration_source(cluster_tags: Iterable[str], tags: Iterable[str]) -> frozenset[str]:
    """What a node demands of where its instances migrate to."""
    return labels(MIGRATION, cluster_tags, tags)


def migration_target(cluster_tags: Iterable[str], tags: Iterable[str]) -> frozenset[str]:
    """The demands that a node meets as the target of a migration: its own labels, and those that
    the cluster allows to move there (``A::B``: from A to B)."""
    own = labels(MIGRATION, cluster_tags, tags)
    allowed = [rule.split("::") for rule in declared(ALLOW_MIGRATION, cluster_tags)]
    return own | {rule[0] for rule in allowed if len(rule) == 2 and rule[1] in own}


def desired_locations(cluster_tags: Iterable[str], tags: Iterable[str]) -> frozenset[str]:
    """An instance's tags that it wants its primary node to have as a location label."""
    kinds = declared(DESIRED_LOCATION, cluster_tags)
    return frozenset(tag for tag in tags if kinds and tag.startswith(kinds))
