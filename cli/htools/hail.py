"""``hail``: the built-in allocator as a program that any cluster's daemon may run.

Prints the protocol's answer on one line; what is wrong with a request is an answer too.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from cli.htools.source import Parser, ended
from clusterd.iallocator import builtin, reading, render
from clusterd.iallocator.requests import NodeEvacuate
from jobqueue.errors import Refused


def _run(asked: argparse.Namespace) -> int:
    try:
        text = sys.stdin.read() if asked.file == "-" else Path(asked.file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        print(f"Error: Cannot read {asked.file}: {error}", file=sys.stderr)
        return 1
    try:
        facts, request = reading.read(text)
        if asked.restrict_allocation_to is not None:
            only = asked.restrict_allocation_to.split(",")
            left_out = {
                node.name: "is not among the nodes allowed"
                for node in facts.nodes
                if node.name not in only
            }
            request = msgspec.structs.replace(request, excluded={**request.excluded, **left_out})
        if asked.ignore_soft_errors and isinstance(request, NodeEvacuate):
            request = msgspec.structs.replace(request, ignore_soft_errors=True)
        print(render.answer_text(request, builtin.answer(facts, request)))
    except Refused as error:
        print(render.reply(False, str(error), []))
        return 1
    return 0


def main() -> int:
    """The program."""
    parser = Parser("hail", "Choose nodes: the iallocator protocol, from a request in a file.")
    parser.add_argument("file", help="the request; - is standard input")
    parser.add_argument("--ignore-soft-errors", action="store_true",
                        help="overstep N+1, ratios and exclusion tags")  # fmt: skip
    parser.add_argument("--restrict-allocation-to", metavar="NODE,...",
                        help="choose among these only")  # fmt: skip
    parser.add_argument("--ignore-dynu", action="store_true",
                        help="accepted: a request holds no measured load")  # fmt: skip
    return ended(parser, _run)
