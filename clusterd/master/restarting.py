"""Guests that should run and do not, as after a power cut of their host: which they are, and how
soon each may be started again.

One that ends again and again is started after ever longer pauses. What is remembered of that is the
master's own: the next one begins with short pauses.
"""

from __future__ import annotations

import msgspec

from clusterd.master.pauses import pause_s
from clusterd.model import AdminState, Instance, Node
from clusterd.opcodes.instance_startup import InstanceStartup
from clusterd.view import View

SOURCE = "gnt:watcher"
"""In the reason trail of a job, as Ganeti's watcher has it: programs look for it."""
CALM_S = 30.0
"""So long must a guest be seen not to run, with no job near it, before it is started."""
FORGOTTEN_S = 8 * 3600.0
"""A guest that ran for so long begins with short pauses, as Ganeti's watcher counts anew."""


def asleep(view: View, instance: Instance) -> str:
    """Why an instance is to be started; empty when it need not, may not, or nobody knows."""
    unfinished = instance.moving_to is not None or instance.made_by is not None
    if instance.admin_state is not AdminState.UP or unfinished:
        return ""
    primary = view.primary(instance)
    if not _seen(view, instance, primary) or instance.name in view.alive_on(primary):
        return ""
    if _may_not(view, instance):
        return ""
    return f"it should run on {primary.name} and does not"


def _seen(view: View, instance: Instance, primary: Node) -> bool:
    observation = view.sight(primary).observation
    return (
        observation is not None
        and view.reachable(primary)
        and instance.hypervisor in observation.guests
    )


def _may_not(view: View, instance: Instance) -> bool:
    paused_until = view.configuration.cluster.watcher_pause
    return (
        (paused_until is not None and paused_until > view.now)
        # who is in it may have stopped it
        or bool(view.hvparams(instance).get("user_shutdown"))
        # it runs where it should not: that is for the operator to decide
        or any(instance.name in view.alive_on(node) for node in view.configuration.nodes())
    )


def start(instance: Instance, reason: str, now: float) -> InstanceStartup:
    """The opcode that starts it, unless it should no longer run by then."""
    return InstanceStartup(
        instance_name=instance.name, only_up=True, reason=((SOURCE, reason, int(now * 1e9)),)
    )


class _Past(msgspec.Struct):
    """Starts of one instance."""

    starts: int = 0
    last: float = 0.0

    @property
    def next(self) -> float:
        """When it may be started again."""
        return self.last + pause_s(self.starts)


class Restarts:
    """What was started when."""

    def __init__(self) -> None:
        self._past: dict[str, _Past] = {}

    def may(self, name: str, now: float) -> bool:
        """True when enough time has passed since it was last started."""
        past = self._past.get(name)
        return past is None or now >= past.next

    def begun(self, name: str, now: float) -> None:
        """It is being started now."""
        self._past = {
            known: past for known, past in self._past.items() if now - past.last < FORGOTTEN_S
        }
        past = self._past.setdefault(name, _Past())
        past.starts, past.last = past.starts + 1, now
