"""Answer a query as a job."""

from __future__ import annotations

from typing import Any

from jobqueue.opcode import Opcode


class Query(Opcode, frozen=True, kw_only=True, tag="OP_QUERY"):
    """Answer a query as a job."""

    what: str
    fields: tuple[str, ...]
    use_locking: bool = False
    qfilter: Any = None
