"""All reads of the cluster, for the door and for opcodes that answer queries.

Kinds of queries are found by listing this package: a module with a ``RESOURCE`` is one.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any

from clusterd import queries
from clusterd.model import Stored
from clusterd.queries import cluster, evaluate, job
from clusterd.queries.field import Resource
from clusterd.queries.sources import Jobs, Sources
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.live import Job

TAG_KINDS = {"node": "node", "instance": "instance", "nodegroup": "group", "network": "network"}
"""Ganeti's word for a kind of object -> the query that finds it."""


def resources() -> dict[str, Resource]:
    """All queryable kinds by name."""
    found = {}
    for module in pkgutil.iter_modules(queries.__path__):
        resource = getattr(
            importlib.import_module(f"{queries.__name__}.{module.name}"), "RESOURCE", None
        )
        if isinstance(resource, Resource):
            found[resource.what] = resource
    return {what: found[what] for what in sorted(found)}


class ClusterAnswers:
    """Answers from one moment of the cluster each; nothing here waits or changes anything."""

    def __init__(self, view: Callable[[], View], jobs: Jobs) -> None:
        self._view = view
        self._jobs = jobs
        self._resources = resources()

    def query(self, what: str, fields: Sequence[str], qfilter: Any) -> dict[str, Any]:
        """Ganeti's query response."""
        return evaluate.query(self._resource(what), self._sources(), fields, qfilter)

    def query_fields(self, what: str, fields: Sequence[str] | None) -> dict[str, Any]:
        """Ganeti's fields response."""
        return evaluate.query_fields(self._resource(what), fields)

    def rows(self, what: str, names: Sequence[Any] | None, fields: Sequence[str]) -> list[Any]:
        """Plain values of the named objects, or of all."""
        return evaluate.rows(self._resource(what), self._sources(), names, fields)

    def job_rows(self, ids: Sequence[int] | None, fields: Sequence[str]) -> list[Any]:
        """Plain values of jobs; None for one that is not there."""
        jobs = self._jobs.jobs() if ids is None else [self._jobs.job(number) for number in ids]
        return [None if found is None else self.job_values(found, fields) for found in jobs]

    def job_values(self, job_: Job, fields: Sequence[str]) -> list[Any]:
        """Plain values of one job."""
        found = evaluate.fields_of(job.RESOURCE, fields)
        unknown = [field.name for field in found if field.kind == "unknown"]
        if unknown:
            raise Refused(f"Unknown output fields selected: {','.join(unknown)}", "wrong_input")
        return evaluate.plain_row(found, self._sources(), job_)

    def cluster_info(self) -> dict[str, Any]:
        """Everything about the cluster itself."""
        return cluster.info(self._sources())

    def config_values(self, names: Sequence[str]) -> list[Any]:
        """Single values of the configuration."""
        sources = self._sources()
        return [cluster.config_value(sources, name) for name in names]

    def tags(self, kind: str, name: str | None) -> list[str]:
        """Tags of an object."""
        sources = self._sources()
        if kind == "cluster":
            return sorted(sources.configuration.cluster.tags)
        if kind not in TAG_KINDS:
            raise Refused(f"There are no tags of kind '{kind}'", "wrong_input")
        (found,) = evaluate.named(self._resource(TAG_KINDS[kind]), sources, [name or ""])
        assert isinstance(found, Stored)
        return sorted(found.tags)

    def _sources(self) -> Sources:
        return Sources(self._view(), self._jobs)

    def _resource(self, what: str) -> Resource:
        resource = self._resources.get(what)
        if resource is None:
            raise Refused(f"There is nothing to query called '{what}'", "wrong_input")
        return resource
