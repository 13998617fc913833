"""The explorer finds what is wrong: products with a fault built in do not pass."""

from __future__ import annotations

from typing import Any

import pytest

from clusterd.simulation.cluster import STEPS
from clusterd.simulation.faults import Fault
from clusterd.simulation.trial import attempt, reference
from clusterd.steps.disks import CloseVolume, EnsureVolume, ShareVolume, UnshareVolume
from clusterd.steps.guests import DestroyGuest
from clusterd.steps.instances import MoveInstance, RecordInstance
from jobqueue.step import NOTHING, Outcome, Step, Steps


class KeepsVolume(EnsureVolume, frozen=True, kw_only=True, tag="disk.ensure"):
    async def undo(self, context: Any) -> Outcome:
        return NOTHING


class KeepsSharing(ShareVolume, frozen=True, kw_only=True, tag="disk.share"):
    async def undo(self, context: Any) -> Outcome:
        return NOTHING


class KeepsRecord(RecordInstance, frozen=True, kw_only=True, tag="instance.record"):
    async def undo(self, context: Any) -> Outcome:
        return NOTHING


class NeverCloses(CloseVolume, frozen=True, kw_only=True, tag="disk.close"):
    async def do(self, context: Any) -> Outcome:
        return NOTHING


class NeverUnshares(UnshareVolume, frozen=True, kw_only=True, tag="disk.unshare"):
    """Does not close what is still open either."""

    async def do(self, context: Any) -> Outcome:
        return NOTHING


class NeverDestroys(DestroyGuest, frozen=True, kw_only=True, tag="guest.destroy"):
    async def do(self, context: Any) -> Outcome:
        return NOTHING


class MovesNothing(MoveInstance, frozen=True, kw_only=True, tag="instance.move"):
    async def do(self, context: Any) -> Outcome:
        return NOTHING


class OnceOnly(EnsureVolume, frozen=True, kw_only=True, tag="disk.ensure"):
    """Forgets that it may be begun again."""

    async def do(self, context: Any) -> Outcome:
        backend, volume = self.wanted(context.world)
        if (await backend.look(volume)).present:
            raise RuntimeError("made already")
        return await EnsureVolume.do(self, context)


@pytest.mark.parametrize(
    ("wrong", "name", "kind", "says"),
    [
        ((KeepsVolume,), "create-drbd", "scripts-fail", "belongs to nobody"),
        ((KeepsSharing,), "migrate", "cancel", "may have two primaries"),
        ((KeepsRecord,), "migrate", "cancel", "is marked as moving"),
        ((NeverCloses, NeverUnshares), "migrate", "crash", "open for writing on node1 and node2"),
        ((NeverDestroys,), "failover", "guest-deaf", "runs on node1 and node2"),
        ((MovesNothing,), "failover-down", "crash", "the end is another"),
        ((OnceOnly,), "create-plain", "crash", "the end is another"),
    ],
)
def test_a_wrong_step_is_found(
    wrong: tuple[type[Step], ...], name: str, kind: str, says: str
) -> None:
    tags = [str(one.__struct_config__.tag) for one in wrong]
    steps = Steps((*(one for tag, one in STEPS.kinds().items() if tag not in tags), *wrong))
    moments = max(reference(name).calls, reference(name).commits)
    cases = (Fault(kind, at, after) for at in range(moments) for after in (False, True))
    verdicts = (attempt(name, (fault,), steps) for fault in cases)
    assert any(says in text for verdict in verdicts for text in verdict.wrong)
