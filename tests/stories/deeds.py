"""A small cluster for stories about its configuration: what is asked, and what comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clusterd.configuration import Configuration
from clusterd.queries.answers import ClusterAnswers
from clusterd.simulation.cluster import SimulatedCluster
from clusterd.simulation.founded import Blueprint
from clusterd.simulation.portrait import portrait
from clusterd.verbs.host import Script
from jobqueue.job import Status
from jobqueue.live import Job
from jobqueue.opcode import Opcode


async def _at_once() -> None:
    """Nobody waits for a turn here."""


class Deeds:
    """One cluster of node hosts ``node1``, ``node2``... without faults."""

    def __init__(self, directory: Path, nodes: int = 1) -> None:
        names = tuple(f"node{number}" for number in range(1, nodes + 1))
        self._directory = directory
        self.cluster = SimulatedCluster(directory, Blueprint(nodes=names))
        self.cluster.wait_for_nodes()
        self.hooked: list[tuple[str, str, dict[str, str]]] = []
        """Scripts that ran: node, their directory, environment without ``GANETI_``."""

    @property
    def configuration(self) -> Configuration:
        """As the master knows it now."""
        return self.cluster.master.configuration

    def done(self, *opcodes: Opcode) -> Any:
        """The last one's result; all succeed."""
        for opcode in opcodes:
            job = self.cluster.run(opcode)
            assert job.status is Status.SUCCESS, f"{opcode}: {job.known[-1].result}"
        return job.known[-1].result

    def refused(self, opcode: Opcode, code: str, *says: str) -> None:
        """It is refused with this code and these words, and nothing has changed."""
        before = portrait(self.cluster)
        job = self.cluster.run(opcode)
        assert job.status is Status.ERROR, f"{opcode} was not refused"
        kind, (sentence, reason) = job.known[-1].result
        assert (kind, reason) == ("OpPrereqError", code), sentence
        assert all(word in sentence for word in says), sentence
        assert portrait(self.cluster) == before

    def row(self, what: str, name: str, *fields: str) -> list[Any]:
        """What a query says of one object."""
        master = self.cluster.master
        answers = ClusterAnswers(master.view, master.queue, _at_once)
        (found,) = answers.rows(what, [name], fields)
        return list(found)

    def made_jobs(self, result: Any) -> list[Job]:
        """The jobs that an operation's result names."""
        found = [self.cluster.job(number) for _, number in result["jobs"]]
        return [job for job in found if job is not None]

    def watches(self, *paths: str) -> None:
        """Every node has scripts for these hooks, which are noted down in ``hooked``."""
        for name, host in self.cluster.hosts.items():
            for path in paths:
                for phase in ("pre", "post"):
                    script = self._directory / name / "hooks" / f"{path}-{phase}.d" / "10-look"
                    script.parent.mkdir(parents=True)
                    script.write_text("#!/bin/sh\n", "utf-8")
                    script.chmod(0o755)
            host.scripts.fails = lambda script, name=name: self._noted(name, script)

    def _noted(self, node: str, script: Script) -> bool:
        place = Path(script.argv[0]).parent.name
        if not place.endswith(".d"):
            return False
        names = {key.removeprefix("GANETI_"): text for key, text in script.environment.items()}
        self.hooked.append((node, place, names))
        return False

    def ran(self) -> list[tuple[str, str]]:
        """(node, directory) of the scripts that ran since this was last asked, and forgets them."""
        found = [(node, place) for node, place, _ in self.hooked]
        self.hooked.clear()
        return found
