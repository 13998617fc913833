"""Who stands at the door beside the master: says who is master, also where that is another node.

The door of a candidate is open all the time. While there is no desk behind it, a porter answers:
who is master, and ``NotMaster`` to everything else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from clusterd.errors import NotMaster
from jobqueue.errors import Refused


class Mastery(msgspec.Struct, frozen=True, kw_only=True):
    """What this node knows of the mastership."""

    node: str
    """This node."""
    standing: str
    """``master``, ``standby`` and what lies between."""
    master: str = ""
    """Who is master; empty: nobody, or not known."""
    address: str = ""
    """The master node's primary address."""
    epoch: int = 0
    since: float = 0.0
    left_s: float | None = None
    """On the master: until it must stop unless the store renews its term; None: for ever."""
    problem: str = ""
    """Why it last failed to take over, or last let go."""


class Porter(Protocol):
    """What the door needs of a candidate."""

    def mastery(self) -> Mastery:
        """What is known now."""

    def may_answer(self) -> bool:
        """True while this node is master and its term lasts."""

    def not_master(self) -> NotMaster:
        """The refusal, which names the master."""

    async def take_over(self) -> str:
        """Ask the present master to step down in favour of this node; a sentence."""

    async def step_down(self) -> str:
        """Let another candidate be master; a sentence."""


async def _mastery(porter: Porter) -> Any:
    return msgspec.to_builtins(porter.mastery())


async def _take_over(porter: Porter) -> Any:
    return await porter.take_over()


async def _step_down(porter: Porter) -> Any:
    return await porter.step_down()


METHODS: dict[str, Callable[[Porter], Awaitable[Any]]] = {
    "QueryMastership": _mastery,
    "TakeMastership": _take_over,
    "LeaveMastership": _step_down,
}
"""What is answered on every candidate. No arguments."""

WHO = ["master_node"]
"""The one value of the configuration that a standby knows."""


async def answer(porter: Porter, method: str, args: Any) -> Any:
    """What a candidate that is not master says; raises NotMaster, Refused."""
    if method in METHODS:
        if list(args or ()):
            raise Refused(f"{method} takes no arguments", "wrong_input")
        return await METHODS[method](porter)
    if method == "QueryConfigValues" and list(args or ()) == [WHO] and porter.mastery().master:
        return [porter.mastery().master]
    raise porter.not_master()
