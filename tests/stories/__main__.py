"""Tells all stories and prints their traces: two runs must print the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

from clusterd.simulation.complaints import Complaints
from tests.stories.operator import Operator
from tests.stories.told import STORIES


def main() -> None:
    """One story after the other."""
    for name, story in STORIES.items():
        with tempfile.TemporaryDirectory() as directory, Complaints().listening():
            operator = Operator(Path(directory))
            story(operator)
        print(name, *operator.trace, sep="\n  ")


main()
