"""What queries read: one moment of the cluster, and the job queue. Nothing here changes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from functools import cached_property
from typing import Protocol

from clusterd.model import Instance, Network, Node
from clusterd.view import View
from hypervisors.guest import GuestStatus
from jobqueue.filters import Rule
from jobqueue.live import Job
from jobqueue.locks import LockTable


class Jobs(Protocol):
    """The job queue, as queries see it."""

    locks: LockTable
    drained: bool
    rules: tuple[Rule, ...]

    def job(self, job_id: int) -> Job | None:
        """A job that is not archived."""

    def jobs(self) -> list[Job]:
        """All jobs that are not archived, by number."""


class AllJobs(Jobs, Protocol):
    """Archived ones too, and many some at a time: others have their turn between two pages."""

    def pages(self) -> Iterator[list[Job]]:
        """All jobs that are not archived, by number."""

    async def find_archived(self, job_id: int) -> Job | None:
        """An archived job."""

    def archive_pages(self) -> AsyncIterator[list[Job]]:
        """All archived jobs by number."""


class WithArchived:
    """The queue with archived jobs beside its own."""

    def __init__(self, jobs: Jobs, archived: Sequence[Job]) -> None:
        self._jobs = jobs
        self._archived = {job.id: job for job in archived}
        self.locks = jobs.locks
        self.drained = jobs.drained
        self.rules = jobs.rules

    def job(self, job_id: int) -> Job | None:
        """A job of either kind."""
        return self._jobs.job(job_id) or self._archived.get(job_id)

    def jobs(self) -> list[Job]:
        """All of both."""
        live = self._jobs.jobs()
        numbers = {job.id for job in live}
        return live + [job for job in self._archived.values() if job.id not in numbers]


class Sources:
    """One moment. Valid until the next ``await``."""

    def __init__(self, view: View, jobs: Jobs) -> None:
        self.view = view
        self.configuration = view.configuration
        self.jobs = jobs

    def guest(self, instance: Instance) -> tuple[Node | None, GuestStatus | None]:
        """Where an instance's guest is alive: first where it is expected, then anywhere.

        Looking anywhere makes one index for the whole query, not one a row.
        """
        for node in self.view.nodes_of(instance):
            if not self.view.reachable(node):
                continue
            guest = self.view.guest(instance, node)
            if guest is not None and guest.alive:
                return node, guest
        return self._alive.get((instance.hypervisor, instance.name), (None, None))

    @cached_property
    def _alive(self) -> dict[tuple[str, str], tuple[Node | None, GuestStatus | None]]:
        found: dict[tuple[str, str], tuple[Node | None, GuestStatus | None]] = {}
        for node in self.configuration.nodes():
            observation = self.view.sight(node).observation
            if observation is None or not self.view.reachable(node):
                continue
            for hypervisor, guests in observation.guests.items():
                for guest in guests:
                    if guest.alive:
                        found.setdefault((hypervisor, guest.name), (node, guest))
        return found

    def network(self, uuid: str | None) -> Network | None:
        """A network by uuid."""
        return self.networks.get(uuid or "")

    @cached_property
    def nodes_of_group(self) -> dict[str, list[Node]]:
        """Nodes of each group (uuid) by name."""
        groups: dict[str, list[Node]] = {}
        for node in self.configuration.nodes():
            groups.setdefault(node.group, []).append(node)
        return groups

    @cached_property
    def addresses(self) -> dict[str, list[tuple[str | None, Instance]]]:
        """Cards in each network (uuid): address and whose."""
        found: dict[str, list[tuple[str | None, Instance]]] = {}
        for instance in self.configuration.instances():
            for nic in instance.nics:
                if nic.network is not None:
                    found.setdefault(nic.network, []).append((nic.ip, instance))
        return found

    @cached_property
    def networks(self) -> dict[str, Network]:
        """All networks by uuid."""
        return {network.uuid: network for network in self.configuration.networks()}


class _NoJobs:
    """For queries that a job itself makes: they are never about jobs."""

    def __init__(self) -> None:
        self.locks = LockTable()
        self.drained = False
        self.rules: tuple[Rule, ...] = ()

    def job(self, job_id: int) -> Job | None:
        return None

    def jobs(self) -> list[Job]:
        return []


def without_jobs(view: View) -> Sources:
    """Sources for queries about everything but jobs and locks."""
    return Sources(view, _NoJobs())
