"""Answer a query as a job."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from clusterd.queries import evaluate
from clusterd.queries.answers import resources
from clusterd.queries.sources import without_jobs
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class Query(Opcode, frozen=True, kw_only=True, tag="OP_QUERY"):
    """Answer a query as a job."""

    what: str
    fields: tuple[str, ...]
    use_locking: bool = False
    qfilter: Any = None


OF_THE_QUEUE = ("job", "lock")
"""What is asked directly, never as a job."""


def check(opcode: Query, _view: View) -> None:
    """The kind exists and can be answered from a job."""
    if opcode.what in OF_THE_QUEUE or opcode.what not in resources():
        raise Refused(f"There is nothing to query as a job called '{opcode.what}'", "wrong_input")


def sights(opcode: Query, view: View) -> Iterable[str]:
    """All nodes, for what lives on them."""
    if opcode.what not in ("os", "extstorage", "export"):
        return []
    return [node.name for node in view.configuration.nodes() if not node.offline]


def plan(_opcode: Query, _view: View) -> Sequence[Step]:
    """Nothing to do: the answer is in memory."""
    return []


def result(opcode: Query, view: View, _outputs: Sequence[Any]) -> Any:
    """Ganeti's query response."""
    resource = resources()[opcode.what]
    return evaluate.query(resource, without_jobs(view), opcode.fields, opcode.qfilter)


KIND = OpcodeKind(
    opcode=Query,
    sights=sights,
    check=check,
    plan=plan,
    result=result,
    summary_field="what",
)
