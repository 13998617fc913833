"""A small cluster that is asked: queries over values, a real queue, no I/O."""

from __future__ import annotations

from typing import Any

from clusterd.queries.answers import ClusterAnswers, resources
from jobqueue.opcode import Opcode, OpcodeKind, Registry
from jobqueue.queue import JobQueue
from jobqueue.store.memory import MemoryStore
from tests.unit.driving import now
from tests.unit.small_cluster import (
    SmallCluster,
)


class Make(Opcode, frozen=True, kw_only=True, tag="OP_MAKE"):
    """Make something."""

    name: str
    size: int | None = None
    osparams_secret: dict[str, str] | None = None


class Asked:
    """A small cluster that is asked."""

    def __init__(self, *more: Any) -> None:
        self.cluster = SmallCluster(*more)
        kind = OpcodeKind(opcode=Make, plan=lambda _o, _v: (), summary_field="name")
        self.queue = JobQueue(MemoryStore(), Registry([kind]), lambda: 1000.25)
        self.breaths = 0
        self.answers = ClusterAnswers(self.cluster.view, self.queue, self._breathe)

    async def _breathe(self) -> None:
        self.breaths += 1

    def row(self, what: str, name: Any, *fields: str) -> list[Any]:
        """Plain values of one object."""
        (row,) = self.answers.rows(what, [name], fields)
        return list(row)

    def cell(self, what: str, name: Any, field: str) -> tuple[int, Any]:
        """One cell of one object."""
        key = resources()[what].key
        (row,) = now(self.answers.query(what, [field], ["=", key, name]))["data"]
        return tuple(row[0])  # type: ignore[return-value]

    def names(self, qfilter: Any, what: str = "instance") -> list[str]:
        """Names that a filter passes, without their domain."""
        data = now(self.answers.query(what, ["name"], qfilter))["data"]
        return [row[0][1].split(".")[0] for row in data]

    def submit(self, *opcodes: Opcode) -> int:
        return now(self.queue.submit([opcodes], "uid:0"))[0]
