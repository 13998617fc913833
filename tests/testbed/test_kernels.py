"""Node hosts run what was fetched for them, and Debian 12's kernel where nothing was."""

from __future__ import annotations

from pathlib import Path

from tests.testbed import kernels


def test_nothing_was_fetched(tmp_path: Path) -> None:
    (tmp_path / "stamp").write_text("tried in vain")
    found = kernels.present(tmp_path)
    assert (found.program, found.words) == ("linux.uml", ())


def test_what_was_fetched_comes_with_its_own_modules(tmp_path: Path) -> None:
    program = tmp_path / "linux"
    program.write_text("#!/bin/sh\necho 7.1\n")
    program.chmod(0o755)
    found = kernels.present(tmp_path)
    assert found.program == str(program)
    assert found.modules == tmp_path / "modules"
    assert found.release() == "7.1"
