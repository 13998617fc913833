"""What ``gnt-job info`` shows of one job. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cli.output import moment
from cli.verdicts import placement_info

FIELDS = (
    "id",
    "status",
    "ops",
    "opresult",
    "opstatus",
    "oplog",
    "opverdicts",
    "opstart",
    "opexec",
    "opend",
    "received_ts",
    "start_ts",
    "end_ts",
    "stuck_reason",
)
"""What to ask for."""

_SKIPPED = frozenset({"OP_ID"})


def job_info(job: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Keys and values in their order."""
    received, start, end = job["received_ts"], job["start_ts"], job["end_ts"]
    needs = [("Needs an operator", job["stuck_reason"])] if job["stuck_reason"] else []
    rows: list[tuple[str, Any]] = [
        ("Job ID", job["id"]),
        ("Status", job["status"]),
        *needs,
        ("Received", _time(received)),
        ("Processing start", _time(start, received)),
        ("Processing end", _time(end, start)),
    ]
    if received and end:
        rows.append(("Total processing time", f"{_seconds(end) - _seconds(received):.6f} seconds"))
    columns = ("ops", "opresult", "opstatus", "oplog", "opverdicts", "opstart", "opexec", "opend")
    opcodes = zip(*(job[column] for column in columns), strict=False)
    rows.append(("Opcodes", [_opcode(*row) for row in opcodes]))
    return rows


def _opcode(
    body: Mapping[str, Any], result: Any, status: str, log: Sequence[Any], *rest: Any
) -> list[tuple[str, Any]]:
    considered, start, execution, end = rest
    rows: list[tuple[str, Any]] = [("Status", status)]
    for title, value in (
        ("Processing start", start),
        ("Execution start", execution),
        ("Processing end", end),
    ):
        if value:
            rows.append((title, _time(value)))
    fields = [(key, _value(item)) for key, item in sorted(body.items()) if key not in _SKIPPED]
    rows.append(("Input fields", fields))
    rows.append(("Result", _result(result)))
    if considered:
        rows.append(("Placement", placement_info(considered)))
    lines = [
        [("Time", _time(entry[1])), ("Content", f"{entry[0]}:{entry[2]}:{entry[3]}")]
        for entry in log
    ]
    return [(body["OP_ID"], rows), *([("Execution log", lines)] if lines else [])]


def _result(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, dict):
        return {key: _value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_value(item) for item in value]
    return value


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    if isinstance(value, dict):
        return ",".join(f"{key}={item}" for key, item in value.items())
    return value


def _time(value: Any, before: Any = None) -> str:
    if not value:
        return "N/A"
    delta = f" (delta {_seconds(value) - _seconds(before):.6f}s)" if before else ""
    return f"{moment(value)}{delta}"


def _seconds(value: Sequence[int]) -> float:
    return value[0] + value[1] / 1e6
