"""What verification finds can be ignored: its codes are among those that are known."""

from __future__ import annotations

import re

import pytest

from clusterd.verification_codes import CODES, require_known
from jobqueue.errors import Refused
from tests.meta.sources import product_files

FOUND = re.compile(r"\bFinding\(\s*\"(\w+)\"")


def test_every_code_of_a_finding_is_known() -> None:
    used = {code for path in product_files() for code in FOUND.findall(path.read_text())}
    assert len(used) > 20
    assert used <= CODES


def test_a_code_that_nothing_has_is_named() -> None:
    require_known(sorted(CODES))
    with pytest.raises(Refused, match="no error code 'ENOSUCH'"):
        require_known(["ENODEHV", "ENOSUCH"])
