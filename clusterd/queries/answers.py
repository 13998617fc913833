"""All reads of the cluster, for the door and for opcodes that answer queries.

Kinds of queries are found by listing this package: a module with a ``RESOURCE`` is one.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec

from clusterd import queries
from clusterd.likeness import likeness
from clusterd.model import Stored
from clusterd.queries import cluster, evaluate, export, job
from clusterd.queries.field import Resource
from clusterd.queries.filters import compiled, requested_names, uses
from clusterd.queries.sources import AllJobs, Sources, WithArchived
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
    """Answers from one moment of the cluster each; nothing here changes anything. Queries that ask
    for archived jobs wait for the store, and those for all jobs are answered some at a time."""

    def __init__(
        self, view: Callable[[], View], jobs: AllJobs, breathe: Callable[[], Awaitable[None]]
    ) -> None:
        self._view = view
        self._jobs = jobs
        self._breathe = breathe
        self._resources = resources()

    async def query(self, what: str, fields: Sequence[str], qfilter: Any) -> dict[str, Any]:
        """Ganeti's query response."""
        resource = self._resource(what)
        if what != "job":
            return evaluate.query(resource, self._sources(), fields, qfilter)
        wanted = requested_names(qfilter, job.RESOURCE.key)
        if wanted is None:
            return await self._all_jobs(fields, qfilter)
        archived = await self._archived(wanted)
        return evaluate.query(resource, self._sources(archived), fields, qfilter)

    def query_fields(self, what: str, fields: Sequence[str] | None) -> dict[str, Any]:
        """Ganeti's fields response."""
        return evaluate.query_fields(self._resource(what), fields)

    def rows(self, what: str, names: Sequence[Any] | None, fields: Sequence[str]) -> list[Any]:
        """Plain values of the named objects, or of all."""
        return evaluate.rows(self._resource(what), self._sources(), names, fields)

    async def job_rows(self, ids: Sequence[int] | None, fields: Sequence[str]) -> list[Any]:
        """Plain values of jobs, archived ones only by number; None for one that is not there."""
        if ids is None:
            pages = self._pages(archived=False)
            return [self.job_values(one, fields) async for page in pages for one in page]
        jobs = [self._jobs.job(job_id) or await self._jobs.find_archived(job_id) for job_id in ids]
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

    def exports(self, nodes: Sequence[str] | None) -> dict[str, Any]:
        """Node -> names of its exports."""
        return export.found_on(self._sources(), tuple(nodes or ()))

    def likeness(self) -> Any:
        """See ``clusterd.likeness``."""
        return msgspec.to_builtins(likeness(self._view()))

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

    async def _archived(self, wanted: Sequence[Any]) -> list[Job]:
        """Those of the named jobs that are archived."""
        numbers = [job.number_of(name) for name in wanted]
        absent = [one for one in numbers if one is not None and self._jobs.job(one) is None]
        found = [await self._jobs.find_archived(number) for number in absent]
        return [one for one in found if one is not None]

    async def _all_jobs(self, names: Sequence[str], qfilter: Any) -> dict[str, Any]:
        """What passes the filter of all jobs, archived ones only if the query speaks of them."""
        fields = evaluate.fields_of(job.RESOURCE, names)
        test = compiled(qfilter, job.RESOURCE.fields)
        found: dict[int, list[Any]] = {}
        archived = "archived" in names or uses(qfilter, "archived")
        async for page in self._pages(archived=archived):
            sources = self._sources()
            for one in page:
                # what was archived meanwhile is met again there
                if one.id not in found and test(sources, one):
                    found[one.id] = evaluate.cells(fields, sources, one)
        return evaluate.response(fields, [found[number] for number in sorted(found)])

    async def _pages(self, *, archived: bool) -> AsyncIterator[list[Job]]:
        """All jobs, some at a time, with a pause for others after each but the first."""
        for at, page in enumerate(self._jobs.pages()):
            if at:
                await self._breathe()
            yield page
        if archived:
            async for page in self._jobs.archive_pages():
                await self._breathe()
                yield page

    def _sources(self, archived: Sequence[Job] = ()) -> Sources:
        jobs = WithArchived(self._jobs, archived) if archived else self._jobs
        return Sources(self._view(), jobs)

    def _resource(self, what: str) -> Resource:
        resource = self._resources.get(what)
        if resource is None:
            raise Refused(f"There is nothing to query called '{what}'", "wrong_input")
        return resource
