"""``gnt-debug``: locks with who holds and who waits and for how long, and jobs from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cli import jobs
from cli.batch import IALLOCATOR_COMMAND
from cli.command import Arguments, Call, Command, Option
from cli.exits import CommandError, WrongInput
from cli.listing import Kind, list_options, show
from cli.notation import integer
from cli.output import plain
from cli.spelling import DRY_RUN, KEY, PRIORITY


def _owners(value: Any) -> str:
    return ",".join(str(item) for item in value) if value else "-"


def _pending(value: Any) -> str:
    """``exclusive:job12 shared:job13,job14``"""
    return " ".join(
        f"{mode}:{','.join(str(name) for name in names)}" for mode, names in value or ()
    )


def _spans(value: Any) -> str:
    """``12s,3s``: for how long, in the order of those who hold or wait."""
    return ",".join(f"{seconds:.0f}s" for seconds in value or ()) or "-"


LOCKS = Kind(
    what="lock",
    plural="locks",
    columns=("name", "mode", "owner", "pending", "held", "waiting"),
    filters=False,
    formats={
        "owner": _owners,
        "pending": lambda value: _pending(value) or "-",
        "mode": plain,
        "held": _spans,
        "waiting": _spans,
    },
    extra=(
        Option(
            names=("--interval",), reads=integer, metavar="SECONDS", words="Show again and again"
        ),
    ),
)


def _locks(call: Call) -> int:
    interval_s = call.given("interval")
    if interval_s is not None and interval_s < 1:
        raise WrongInput("--interval must be at least 1 second")
    while True:
        code = show(call, LOCKS)
        if interval_s is None or code:
            return code
        call.session.out("")
        call.session.pause(interval_s)


def read_job(source: str, text: str) -> list[dict[str, Any]]:
    """A JSON list of opcodes."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise CommandError(f"{source} is not JSON: {error}") from None
    rows = found if isinstance(found, list) else [found]
    if not all(isinstance(row, dict) and "OP_ID" in row for row in rows):
        raise CommandError(f"{source} must hold a list of opcodes, objects with OP_ID")
    return rows


def _submit_job(call: Call) -> int:
    session = call.session
    began = session.now_ns()
    together = jobs.JobSet(call, verbose=bool(call.given("verbose")))
    count = 0
    for source in call.arguments:
        try:
            text = session.read_input() if source == "-" else Path(source).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"Cannot read {source}: {error}") from None
        for _ in range(call.given("job_repeat")):
            opcodes = read_job(source, text) * call.given("op_repeat")
            for group in [[one] for one in opcodes] if call.given("each") else [opcodes]:
                together.queue(source, *group)
                count += len(group)
    loaded = session.now_ns()
    ended = together.finish()
    if call.given("timing_stats"):
        took_s = (session.now_ns() - loaded) / 1e9
        session.out(f"C:op     {count}")
        session.out(f"C:job    {len(ended)}")
        session.out(f"T:load   {(loaded - began) / 1e9:8.4f}s")
        session.out(f"T:exec   {took_s:8.4f}s")
    return jobs.exit_code(ended)


COMMANDS = (
    IALLOCATOR_COMMAND,
    Command(
        name="locks",
        summary="Show locks with their owners and those who wait",
        run=_locks,
        options=list_options(LOCKS),
    ),
    Command(
        name="submit-job",
        summary="Submit jobs from files with JSON lists of opcodes; - is standard input",
        run=_submit_job,
        arguments=Arguments(shown="<file>...", minimum=1, maximum=None, completes="file"),
        options=(
            Option(names=("-v", "--verbose"), flag=True, words="Say more"),
            Option(names=("--op-repeat",), reads=integer, default=1, metavar="N",
                   words="How often each opcode stands in a job"),
            Option(names=("--job-repeat",), reads=integer, default=1, metavar="N",
                   words="How often each job is submitted"),
            Option(names=("--timing-stats",), flag=True, words="Show how long it took"),
            Option(names=("--each",), flag=True, words="A job for each opcode"),
            PRIORITY, KEY, DRY_RUN,
        ),
    ),
)  # fmt: skip
