"""Several instances from a file, and asking an allocator by hand: commands of two tools.

Decided here: what the file may look like, and how the jobs of an opcode that makes jobs are told.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cli import jobs
from cli.catalogue import Body
from cli.command import Arguments, Call, Command, Option
from cli.exits import CommandError, Exit
from cli.notation import integer, size_mib, split
from cli.rows import EXPLAIN
from cli.spelling import DRY_RUN, PRINT_JOBID, PRIORITY, SUBMIT

ALLOCATOR = Option(
    names=("-I", "--iallocator"),
    metavar="NAME",
    words="Allocator to ask; the cluster's default if not given",
)


def follow_made_jobs(call: Call, _body: Body, result: Any) -> int:
    """The opcode's result names jobs: follow them."""
    made = result.get("jobs", ()) if isinstance(result, dict) else ()
    if not made:
        call.session.out("There is nothing to do")
        return Exit.SUCCESS
    together = jobs.JobSet(call, verbose=True)
    for accepted, outcome in made:
        together.add(accepted, outcome)
    return jobs.exit_code(together.finish())


def read_instances(source: str, text: str) -> list[dict[str, Any]]:
    """A JSON list of OP_INSTANCE_CREATE objects; the opcode's name may be left out."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise CommandError(f"{source} is not JSON: {error}") from None
    if not isinstance(found, list) or not found:
        raise CommandError(f"{source} must hold a list of instances")
    for index, one in enumerate(found):
        if not isinstance(one, dict) or "instance_name" not in one:
            raise CommandError(
                f"{source}: entry {index} must be an object with 'instance_name': {one!r:.80}"
            )
    return [{"OP_ID": "OP_INSTANCE_CREATE", **one} for one in found]


def _batch_create(call: Call) -> int:
    (source,) = call.arguments
    try:
        text = call.session.read_input() if source == "-" else Path(source).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"Cannot read {source}: {error}") from None
    body: dict[str, Any] = {
        "OP_ID": "OP_INSTANCE_MULTI_ALLOC",
        "instances": read_instances(source, text),
    }
    if call.given("iallocator"):
        body["iallocator"] = call.given("iallocator")
    if call.given("opportunistic_locking"):
        body["opportunistic_locking"] = True
    if call.given("explain"):
        return jobs.explain(call, body)
    ran = jobs.submit_or_run(call, body)
    if ran is None or ran.results[0] is None:
        return Exit.SUCCESS
    result = ran.results[0]
    for title, names in (("Allocatable", "allocatable"), ("Failed", "failed")):
        if result.get(names):
            call.session.out(f"{title} instances: {', '.join(result[names])}")
    code = follow_made_jobs(call, body, result)
    return Exit.FAILURE if result.get("failed") else code


BATCH_CREATE = Command(
    name="batch-create",
    summary="Create several instances from a file; an allocator chooses their nodes",
    run=_batch_create,
    arguments=Arguments(shown="<file>", minimum=1, maximum=1, completes="file"),
    options=(
        ALLOCATOR,
        Option(names=("--opportunistic-locking",), flag=True,
               words="Do not wait for nodes that are locked, choose among the others"),
        EXPLAIN, SUBMIT, PRINT_JOBID, PRIORITY, DRY_RUN,
    ),
    details="The file is a JSON list of OP_INSTANCE_CREATE objects; - is standard input.",
)  # fmt: skip

MODES = (
    "relocate",
    "change-group",
    "node-evacuate",
    "allocate",
    "multi-allocate",
    "allocate-secondary",
)


def _iallocator(call: Call) -> int:
    given = call.given
    mode = given("mode")
    body: dict[str, Any] = {
        "OP_ID": "OP_TEST_ALLOCATOR",
        "direction": given("dir"),
        "mode": mode,
        "name": call.arguments[0],
        "instances": list(call.arguments),
        "tags": given("tags", []),
        "spindle_use": given("spindle_use"),
        "count": given("count"),
        "evac_mode": given("evac_mode"),
    }
    for key, field in (("iallocator", "iallocator"), ("target_groups", "target_groups")):
        if given(key):
            body[field] = given(key)
    if mode in ("allocate", "multi-allocate"):
        body |= {
            "memory": given("memory"),
            "vcpus": given("vcpus"),
            "os": given("os_type", ""),
            "disk_template": given("disk_template"),
            "disks": [{"size": size, "mode": "w"} for size in given("disks")],
            "nics": [_nic(text) for text in given("nics")],
        }
    call.session.out(str(jobs.run(call, body)))
    return Exit.SUCCESS


def _nic(text: str) -> dict[str, Any]:
    """``MAC[/ip[/bridge]]``"""
    mac, ip, bridge = ([*text.split("/"), None, None])[:3]
    return {"mac": mac, "ip": ip, "bridge": bridge}


def _sizes(text: str) -> list[int]:
    return [size_mib(part) for part in split(text)]


IALLOCATOR_COMMAND = Command(
    name="iallocator",
    aliases=("allocator",),
    summary="Run an allocator without an effect, or show what it would be given",
    run=_iallocator,
    arguments=Arguments(shown="<instance>...", minimum=1, maximum=None, completes="instance"),
    options=(
        Option(names=("--dir",), choices=("in", "out"), default="in",
               words="in: show the request; out: show the answer"),
        ALLOCATOR,
        Option(names=("-m", "--mode"), choices=MODES, default="relocate",
               words="Kind of request"),
        Option(names=("--memory",), reads=size_mib, default=128, metavar="SIZE",
               words="Memory of the instance"),
        Option(names=("--disks",), reads=_sizes, default=[4096, 4096], metavar="SIZE,...",
               words="Sizes of its disks"),
        Option(names=("-t", "--disk-template"), default="drbd", metavar="TEMPLATE",
               words="How its disks are stored"),
        Option(names=("--nics",), reads=split, default=["00:11:22:33:44:55"],
               metavar="MAC[/IP[/BRIDGE]],...", words="Its network cards"),
        Option(names=("-o", "--os-type"), metavar="OS", words="Its OS definition"),
        Option(names=("-p", "--vcpus"), reads=integer, default=1, metavar="N",
               words="Its processors"),
        Option(names=("--tags",), reads=split, metavar="TAG,...", words="Its tags"),
        Option(names=("--evac-mode",), choices=("all", "primary-only", "secondary-only"),
               default="all", words="Which instances leave"),
        Option(names=("--target-groups",), reads=split, metavar="GROUP,...",
               words="Groups to go to"),
        Option(names=("--spindle-use",), reads=integer, default=1, metavar="N",
               words="Its use of spindles"),
        Option(names=("--count",), reads=integer, default=2, metavar="N",
               words="How many (multi-allocate)"),
        PRIORITY,
    ),
)  # fmt: skip
