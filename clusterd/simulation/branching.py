"""All deaths of a scenario's master in one run: at each commit the world goes on without it, to the
end and its judgement, and is then taken back to that commit.

A life that begins so is the one that the line ``--faults crash@7`` plays from the beginning, but
that what leads to the crash is played once for all. Where something waits on a node that cannot be
taken back, and where something is found wrong, the whole life is played.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from clusterd.calls.client import MasterLink
from clusterd.simulation.clock import DelayedCall, ProcessClock
from clusterd.simulation.cluster import MasterProcess
from clusterd.simulation.complaints import Complaints
from clusterd.simulation.faults import Fault
from clusterd.simulation.folders import Folders
from clusterd.simulation.grounds import buried
from clusterd.simulation.network import Endpoint
from clusterd.simulation.portrait import difference
from clusterd.simulation.rewinding import Moment, Moving, Reach, World
from clusterd.simulation.trial import Trial, attempt, begun, reference
from clusterd.simulation.verdict import Verdict, broken
from hypervisors.interface import Driver
from jobqueue.store.interface import Transaction
from jobqueue.store.memory import MemoryStore
from jobqueue.store.watchers import Watchers
from storage.interface import Backend
from storage.memory_faults import FaultyBackend

Seen = Callable[[Fault, Trial], None]
"""Is shown each branch at its end."""


class Branches:
    """What a trial is asked at each commit. Invariant: everything is as it was when it answers."""

    def __init__(self, name: str, trial: Trial, complaints: Complaints, seen: Seen) -> None:
        self.verdicts: list[Verdict] = []
        self.unplayed: list[Fault] = []
        """Crashes at moments that cannot be gone back to."""
        self._name = name
        self._trial = trial
        self._complaints = complaints
        self._seen = seen
        hosts = trial.cluster.hosts.items()
        self._world: World | None = None
        self._of: MasterProcess | None = None
        """Whose world it is."""
        self._folders = Folders({trial.directory / name: one.files.touches for name, one in hosts})

    def commit(self, at: int, transaction: Transaction) -> None:
        """See ``Crossroads``."""
        faults = [Fault("crash", at), Fault("crash", at, after=True)]
        try:
            moment = self._moment()
        except Moving:
            self.unplayed += faults
            return
        heard = len(self._complaints.heard)
        gone, verdicts = [], []
        for fault in faults:
            verdicts.append(self._played(fault, transaction))
            gone.append(moment.restore())
        # What is left of the branches goes away, and does no harm by that: coroutines that waited
        # in them end, and what their ``finally`` blocks do to the world is taken back, too.
        gone.clear()
        gc.collect(0)
        moment.restore()
        for verdict in verdicts:
            verdict.wrong += self._complaints.heard[heard:]
        del self._complaints.heard[heard:]
        self.verdicts += verdicts

    def _played(self, fault: Fault, transaction: Transaction) -> Verdict:
        try:
            verdict = self._trial.crashed(fault, transaction)
        except Exception as error:  # noqa: BLE001 - as in ``attempt``
            verdict = broken(self._name, (fault,), error)
        self._seen(fault, self._trial)
        self._trial.cluster.process.kill()
        return verdict

    def _moment(self) -> Moment:
        cluster = self._trial.cluster
        if cluster.disk.telling:
            raise Moving("watchers are being told of another commit")
        process = cluster.process
        cluster.clock.tidy()
        if self._world is None or process is not self._of:
            roots = self._trial, process, process.clock, process.store
            self._world = World(roots, _Reach(process.clock), self._folders, _REACHES)
            self._of = process
        return self._world.moment()


class _Reach:
    """What a dying master leaves behind, without the master."""

    def __init__(self, clock: ProcessClock) -> None:
        self._clock = clock

    def __call__(self, thing: Any) -> Reach:
        kind = type(thing)
        if kind is DelayedCall:
            if thing.cancelled or thing.process is self._clock:
                return Reach.NONE  # nobody makes it: what it leads to is the dead master's
            tries = isinstance(getattr(thing.function, "__self__", None), Endpoint)
            return Reach.EDGE if tries else Reach.ALL
        reach = _REACHES.get(kind)
        if reach is None:
            found = (reach for family, reach in _FAMILIES.items() if issubclass(kind, family))
            reach = _REACHES[kind] = next(found, Reach.ALL)
        return reach


_FAMILIES = {
    **dict.fromkeys((MasterProcess, MemoryStore, Watchers), Reach.EDGE),
    **dict.fromkeys((MasterLink, Endpoint, Branches), Reach.NONE),
    **dict.fromkeys((Backend, FaultyBackend, Driver), Reach.NONE),  # without state of their own
}
_REACHES: dict[type, Reach] = {}
"""Of the kinds that were met."""


def crash_everywhere(name: str, seen: Seen = lambda fault, trial: None) -> list[Verdict]:
    """The master of a scenario dies before and after each commit: a verdict each, in that order."""
    wanted = reference(name)
    complaints = Complaints()
    with complaints.listening(), buried():
        trial = begun(name)
        branches = trial.misfortune.crossroads = Branches(name, trial, complaints, seen)
        ended = trial.run()
        known = {one.faults[0]: one for one in branches.verdicts}
        again = branches.unplayed
        del trial, branches
    if (ended.wrong, ended.after) != ([], wanted.after):
        lines = (*ended.wrong, *difference(wanted.after, ended.after))
        raise RuntimeError(f"{name} went another way when branches had grown from it: {lines}")
    again += (fault for fault, one in known.items() if one.wrong or complaints.heard)
    for fault in again:
        known[fault] = _whole(name, fault, known.get(fault))
    return [known[fault] for fault in sorted(known, key=lambda one: (one.at, one.after))]


def _whole(name: str, fault: Fault, branch: Verdict | None) -> Verdict:
    """The whole life; that it is well does not excuse a branch that was not."""
    verdict = attempt(name, (fault,))
    if branch is not None and not verdict.wrong:
        verdict.wrong += (f"only where it branches off: {text}" for text in branch.wrong)
    return verdict
