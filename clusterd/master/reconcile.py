"""Repair without being asked: mirrors that lost their other side are connected again, what a
migration could not close is closed, and guests that should run are started.

Takes no input: what is to be done is read from the configuration and from what nodes see; events
only wake it. It acts by submitting opcodes, never beside a job that concerns the instance, and a
repair that does not help is tried again after ever longer pauses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import structlog

from clusterd.left_open import left_attached, left_open
from clusterd.master import restarting
from clusterd.master.pauses import pause_s
from clusterd.master.restarting import Restarts, asleep, start
from clusterd.model import Disk, Instance
from clusterd.opcodes.instance_activate_disks import InstanceActivateDisks
from clusterd.opcodes.instance_migrate import InstanceMigrate
from clusterd.view import View
from clusterd.volumes import has_mirror, holders
from clusterd.world import Clock
from jobqueue.job import Priority
from jobqueue.opcode import Opcode
from jobqueue.queue import JobQueue
from storage.volume import Link, VolumeStatus

LOG = structlog.get_logger("master")

SOURCE = "clusterd:reconcile"
EVERY_S = 60.0
SOON_S = 2.0
CALM_S = 10.0
"""So long must something be broken, with no job near it, before it is repaired."""

Submit = Callable[[Sequence[Sequence[Opcode]]], None]


def broken(view: View, instance: Instance) -> str:
    """What is wrong with the mirrors of an instance, as far as both its nodes answer; or empty."""
    nodes = view.nodes_of(instance)
    if instance.drafted:
        holding = [
            view.configuration.node(uuid)
            for disk in instance.drafted
            for uuid in holders(instance, disk)
        ]
        known = all(node.offline or view.reachable(node) for node in holding)
        return "data of former disks are left" if known else ""
    if not instance.disks_active or instance.moving_to is not None or len(nodes) < 2:
        return ""
    if not all(view.reachable(node) for node in nodes):
        return ""
    for index, disk in enumerate(instance.disks):
        for node in nodes:
            seen = _seen(view, disk, node.name)
            if not has_mirror(disk.template) or seen is None:
                continue
            if seen.path is None:
                return f"disk {index} is not attached on {node.name}"
            if seen.link not in (Link.CONNECTED, Link.SYNCING):
                return f"disk {index} is {seen.link} on {node.name}"
    return ""


def open_elsewhere(view: View, instance: Instance) -> str:
    """What a migration left open that could not be closed then; or empty. To be repaired while the
    guest is nowhere but on its primary node, and all nodes of the instance answer."""
    primary, *others = view.nodes_of(instance)
    unclear = any(view.guest(instance, node) is not None for node in others)
    if instance.moving_to is not None or unclear or not others:
        return ""
    if not all(view.reachable(node) for node in (primary, *others)):
        return ""
    return next(iter(left_open(view, instance)), "")


def held_elsewhere(view: View) -> dict[str, tuple[str, str]]:
    """Instance (uuid) -> a node that holds a shared disk of it which a migration could not take
    away from there, and what is wrong; as far as both nodes answer and the guest is not there."""
    return {
        instance.uuid: (node.name, wrong)
        for instance, node, wrong in left_attached(view)
        if view.guest(instance, node) is None and view.reachable(view.primary(instance))
    }


def _seen(view: View, disk: Disk, node: str) -> VolumeStatus | None:
    observation = view.sight(view.configuration.node(node)).observation
    volumes = observation.volumes if observation is not None else ()
    return next((one for one in volumes if one.uuid == disk.uuid), None)


def busy(queue: JobQueue) -> set[str]:
    """Instances that an unfinished job names or holds."""
    named = {
        str(name)
        for job in queue.unfinished()
        for opcode in job.opcodes
        if (name := getattr(opcode, "instance_name", None)) is not None
    }
    rows = queue.locks.rows()
    return named | {row.name.removeprefix("instance/") for row in rows if row.owners}


class _Case(msgspec.Struct):
    """An instance that needs repair."""

    since: float | None
    """When this was first seen with no job near it; None while there is one."""
    tries: int = 0
    next_try: float = 0.0

    def wait(self, now: float) -> None:
        """It is being repaired now; should that not help, the next try is after a longer pause."""
        self.tries += 1
        self.next_try = now + pause_s(self.tries)


class Reconciler:
    """Looks again and again from ``start`` to ``stop``."""

    def __init__(
        self, view: Callable[[], View], queue: JobQueue, clock: Clock, submit: Submit
    ) -> None:
        self._view = view
        self._queue = queue
        self._clock = clock
        self._submit = submit
        self._cases: dict[str, _Case] = {}
        self._asleep: dict[str, float | None] = {}
        """Since when a guest is not there with no job near it; None while there is one."""
        self._restarts = Restarts()
        self._next: Any = None
        self._stopped = False

    def start(self) -> None:
        """Begin to look."""
        self._plan(SOON_S)

    def stop(self) -> None:
        """Look no more."""
        self._stopped = True
        if self._next is not None and self._next.active():
            self._next.cancel()

    def wake(self) -> None:
        """Something has happened that may be worth a look."""
        self._plan(SOON_S)

    def _plan(self, delay_s: float) -> None:
        due = self._clock.seconds() + delay_s
        if self._stopped:
            return
        if self._next is not None and self._next.active():
            if self._next.getTime() <= due:
                return
            self._next.cancel()
        self._next = self._clock.callLater(delay_s, self._look)

    def _look(self) -> None:
        occupied = busy(self._queue)
        repairs = [*self._due(occupied), *self._sleepers(occupied)]
        self._plan(CALM_S if self._cases or self._asleep else EVERY_S)
        if repairs:
            self._submit([[one] for one in repairs])

    def _due(self, occupied: set[str]) -> Iterator[Opcode]:
        """The repairs that are to be submitted now."""
        view, now = self._view(), self._clock.seconds()
        cases, self._cases = self._cases, {}
        held = held_elsewhere(view)
        for instance in view.configuration.instances():
            node, wrong = held.get(instance.uuid, (None, ""))
            left = open_elsewhere(view, instance) or wrong
            wrong = left or broken(view, instance)
            if not wrong:
                continue
            case = self._cases[instance.name] = cases.get(instance.name, _Case(since=None))
            if instance.name in occupied:
                case.since = None
            elif case.since is None:
                case.since = now  # what nodes told of it may be older than that job's end
            elif now - case.since >= CALM_S and now >= case.next_try:
                case.wait(now)
                LOG.info("repairing", instance=instance.name, reason=wrong)
                if left:
                    yield close(instance, wrong, now, node)
                else:
                    yield repair(instance, wrong, now)

    def _sleepers(self, occupied: set[str]) -> Iterator[Opcode]:
        """The starts that are to be submitted now."""
        view, now = self._view(), self._clock.seconds()
        known, self._asleep = self._asleep, {}
        for instance in view.configuration.instances():
            reason = asleep(view, instance)
            if not reason:
                continue
            calm = instance.name not in occupied
            since = (known.get(instance.name) or now) if calm else None
            self._asleep[instance.name] = since
            long_enough = since is not None and now - since >= restarting.CALM_S
            if long_enough and self._restarts.may(instance.name, now):
                self._restarts.begun(instance.name, now)
                LOG.info("starting again", instance=instance.name, reason=reason)
                yield start(instance, reason, now)


def repair(instance: Instance, reason: str, now: float) -> InstanceActivateDisks:
    """The opcode that makes the disks usable again, unless they should no longer be."""
    return InstanceActivateDisks(
        instance_name=instance.name,
        only_active=True,
        priority=Priority.LOW,
        reason=((SOURCE, reason, int(now * 1e9)),),
    )


def close(instance: Instance, reason: str, now: float, node: str | None) -> InstanceMigrate:
    """The opcode that leaves the disks open on the primary node only; ``node``: the other one,
    where that is not the secondary."""
    return InstanceMigrate(
        instance_name=instance.name,
        target_node=node,
        cleanup=True,
        priority=Priority.LOW,
        reason=((SOURCE, reason, int(now * 1e9)),),
    )
