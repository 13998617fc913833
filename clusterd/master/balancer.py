"""The reconciler that keeps the cluster even: looks, computes beside the reactor, submits jobs.

Takes no input: its rules stand in the configuration, and events only wake it; while it is off it
costs nothing. A round is stored in one transaction with its jobs, so whoever is master next knows
it, and neither repeats a round nor loses one.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

import msgspec
import structlog

from clusterd import balancing
from clusterd.balancing import Chosen, Moment, Round
from clusterd.configuration import PREFIX, Configuration
from clusterd.iallocator import live, moves
from clusterd.master.reconcile import broken, busy, open_elsewhere
from clusterd.model import Balancing
from clusterd.placement.facts import ClusterFacts
from clusterd.placement.options import BalanceOptions
from clusterd.placement.results import BalancePlan
from clusterd.view import View
from clusterd.world import Clock
from hypervisors.interface import Threads
from jobqueue.errors import Refused, StoreAway
from jobqueue.job import FINAL, Priority, Status, Submission
from jobqueue.opcode import Opcode, Registry
from jobqueue.queue import JobQueue
from jobqueue.store.interface import Store, Transaction

LOG = structlog.get_logger("master")

SOURCE = "clusterd:balance"
NO_WRITES = Transaction()
PREFIX_OF_ROUNDS = "balancing/round/"
SUBMITTER = "balancer"
EVERY_S = 60.0
SOON_S = 5.0
FRUITLESS_PAUSE_S = 900.0
"""So long nothing is computed after a plan that was not worth a round."""


class Parts(Protocol):
    """What this module needs of the master."""

    configuration: Configuration
    queue: JobQueue
    registry: Registry
    store: Store
    clock: Clock
    threads: Threads

    def view(self) -> View:
        """The snapshot of this moment."""

    def by_the_way(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do what nobody waits for."""


class Balancer:
    """Looks again and again from ``start`` to ``stop``, while it is switched on."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._past: tuple[Round, ...] = ()
        self._state = "off"
        self._fruitless: tuple[Balancing, float, str] | None = None
        """The last plan that was not worth a round: under which rules, when, why not."""
        self._unsure: tuple[Round, Sequence[Submission]] | None = None
        """What was to be stored when the store did not answer."""
        self._next: Any = None
        self._looking = False
        self._stopped = False

    async def start(self) -> None:
        """Read what was done before and begin to look."""
        entries = await self._parts.store.read(PREFIX_OF_ROUNDS)
        found = (msgspec.json.decode(entry.value, type=Round) for entry in entries)
        self._past = tuple(sorted(found, key=lambda one: one.number))
        self._parts.store.watch(f"{PREFIX}cluster/", lambda changes: self.wake())
        self.wake()

    def stop(self) -> None:
        """Look no more."""
        self._stopped = True
        if self._next is not None and self._next.active():
            self._next.cancel()

    def wake(self) -> None:
        """The rules may have changed."""
        if self._next is not None and self._next.active():
            self._next.cancel()
        if self._stopped:
            return
        if self._rules.enabled or self._open():
            self._next = self._parts.clock.callLater(SOON_S, self._look)
        else:
            self._state = "off"

    def told(self) -> dict[str, Any]:
        """See ``Desk.balancing``."""
        rounds = [msgspec.structs.asdict(one) for one in self._past[-balancing.KEPT_ROUNDS :]]
        rules = msgspec.structs.asdict(self._rules)
        told = {"rules": rules, "state": self._state, "rounds": rounds}
        return dict(msgspec.to_builtins(told))

    @property
    def _rules(self) -> Balancing:
        return self._parts.configuration.cluster.balancing

    def _open(self) -> list[Round]:
        return [one for one in self._past if one.ended is None]

    def _look(self) -> None:
        if self._stopped:
            return
        if self._rules.enabled or self._open():
            self._next = self._parts.clock.callLater(EVERY_S, self._look)
        if not self._looking:
            self._parts.by_the_way(self._once())

    async def _once(self) -> None:
        self._looking = True
        try:
            await self._resolve()
            await self._conclude()
            self._state = self._hindrance() or await self._round()
        except Refused as error:
            self._state = f"not possible: {error}"
        finally:
            self._looking = False

    # -- the end of a round ----------------------------------------------------------------------

    async def _conclude(self) -> None:
        """Rounds whose jobs have all ended are over."""
        over = [one for one in self._open() if self._ended(one)]
        if not over:
            return
        facts = live.facts(self._parts.view(), stopped=False)
        scores = await self._parts.threads.run(scores_of, facts, [one.group for one in over])
        now = self._parts.clock.seconds()
        ends = {
            one.number: msgspec.structs.replace(
                one, ended=now, score_after=scores.get(one.group), failed=self._failed(one)
            )
            for one in over
        }
        await self._keep(tuple(ends.get(one.number, one) for one in self._past))

    def _ended(self, one: Round) -> bool:
        found = (self._parts.queue.job(number) for number in one.jobs)
        return all(job is None or job.status in FINAL for job in found)

    def _failed(self, one: Round) -> tuple[int, ...]:
        """Those that were archived in between are taken for done."""
        found = (self._parts.queue.job(number) for number in one.jobs)
        return tuple(job.id for job in found if job and job.status is not Status.SUCCESS)

    async def _keep(self, past: tuple[Round, ...], writes: Transaction = NO_WRITES) -> None:
        past = balancing.kept(past, self._rules, self._parts.clock.seconds())
        stay = {one.number for one in past}
        changes = Transaction(
            puts=tuple(
                (key_of(one), msgspec.json.encode(one)) for one in past if one not in self._past
            ),
            deletes=tuple(key_of(one) for one in self._past if one.number not in stay),
        )
        await self._parts.queue.commit(writes + changes)
        self._past = past

    # -- the beginning of a round ----------------------------------------------------------------

    def _hindrance(self) -> str:
        view, queue = self._parts.view(), self._parts.queue
        cluster, now = view.configuration.cluster, self._parts.clock.seconds()
        nodes = (node for node in view.configuration.nodes() if not node.offline)
        moment = Moment(
            now=now,
            silent=tuple(node.name for node in nodes if not view.reachable(node)),
            queue_closed=queue.drained or len(queue) >= queue.max_jobs,
            paused_until=cluster.watcher_pause,
        )
        why = balancing.hindrance(cluster.balancing, self._past, moment)
        if not why and self._fruitless is not None:
            rules, at, reason = self._fruitless
            if rules == cluster.balancing and now < at + FRUITLESS_PAUSE_S:
                return reason
        return why

    async def _round(self) -> str:
        """Plan, and begin what is worth it. Answers what to say about it."""
        rules, past, now = self._rules, self._past, self._parts.clock.seconds()
        facts = live.facts(self._parts.view(), stopped=False)
        excluded = self._excluded(now)
        plans = await self._parts.threads.run(plans_of, facts, rules, excluded)
        if self._stopped or rules != self._rules:
            return "looks again soon"
        if why := self._hindrance():
            return why
        choices = [(plan, balancing.chosen(rules, past, plan)) for plan in plans]
        worthy = [(plan, choice) for plan, choice in choices if choice.moves]
        # what is busy now was not when the plan began
        if {move.instance for _, one in worthy for move in one.moves} & self._excluded(now):
            return "other jobs have begun; looks again soon"
        calm = {plan.group for plan, choice in choices if not choice.moves}
        past = balancing.rested(past, calm)
        if past != self._past:
            await self._keep(past)
        for plan, choice in worthy:
            await self._begin(plan, choice)
        if worthy:
            return "; ".join(choice.reason for _, choice in worthy)
        reason = "; ".join(["even enough", *(choice.reason for _, choice in choices)])
        self._fruitless = (rules, now, reason)
        return reason

    def _excluded(self, now: float) -> set[str]:
        """Instances that must not be moved now."""
        view = self._parts.view()
        ill = {
            one.name
            for one in view.configuration.instances()
            if broken(view, one) or open_elsewhere(view, one)
        }
        resting = balancing.resting(self._rules, self._past, now)
        return ill | busy(self._parts.queue) | resting

    async def _begin(self, plan: BalancePlan, choice: Chosen) -> None:
        """In one transaction: the jobs, and that this round has begun."""
        queue, now = self._parts.queue, self._parts.clock.seconds()
        number = self._past[-1].number + 1 if self._past else 1
        reason = f"round {number}, {choice.reason}"
        submissions, writes = queue.prepare(self._jobs(choice, reason, now), SUBMITTER)
        begun = balancing.begun(number, plan, choice, [one.id for one in submissions], now)
        self._unsure = (begun, submissions)
        try:
            await self._keep((*self._past, begun), writes)
        except StoreAway:
            await self._resolve()
            if begun not in self._past:
                raise
        else:
            self._unsure = None
            queue.accept(submissions)
        self._fruitless = None
        LOG.info("balancing", round=number, jobs=begun.jobs, reason=choice.reason)

    async def _resolve(self) -> None:
        """A commit that was not answered may have happened: the store knows."""
        if self._unsure is None:
            return
        begun, submissions = self._unsure
        entry = await self._parts.store.get(key_of(begun))
        self._unsure = None
        if entry is not None:
            self._past = (*self._past, begun)
            self._parts.queue.accept(submissions)

    def _jobs(self, choice: Chosen, reason: str, now: float) -> list[list[Opcode]]:
        common = {"priority": int(Priority.LOW), "reason": [[SOURCE, reason, int(now * 1e9)]]}
        return [
            [self._parts.registry.decode({**body, **common}) for body in bodies]
            for _, bodies in moves.set_by_set(choice.moves, choice.job_sets)
        ]


def key_of(one: Round) -> str:
    """Where a round is stored."""
    return f"{PREFIX_OF_ROUNDS}{one.number:010d}"


def plans_of(facts: ClusterFacts, rules: Balancing, excluded: set[str]) -> list[BalancePlan]:
    """A plan for each node group; for a thread."""
    from clusterd.placement import balance, model  # see choosing: not with the daemon's start

    known = tuple(one.name for one in facts.instances if one.name in excluded)
    cluster = model.build(facts)
    return [
        balance.balance(
            cluster,
            BalanceOptions(
                group=group.name,
                max_moves=rules.max_moves,
                disk_moves=rules.disk_moves,
                cost_per_gib=rules.cost_per_gib,
                exclude=known,
            ),
        )
        for group in facts.groups
    ]


def scores_of(facts: ClusterFacts, groups: Sequence[str]) -> dict[str, float]:
    """The scores of those groups that are still there; for a thread."""
    from clusterd.placement import balance, model

    cluster = model.build(facts)
    there = {group.name for group in facts.groups} & set(groups)
    return {
        name: balance.balance(cluster, BalanceOptions(group=name, max_moves=0)).score_before
        for name in there
    }
