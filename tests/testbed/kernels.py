"""Which kernel node hosts run: the one that `.ci/node-kernel` fetched, or Debian 12's own."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tests.testbed.shell import run


class Kernel(msgspec.Struct, frozen=True):
    """A User-Mode Linux kernel: its program, its modules, words of its command line."""

    program: str = "linux.uml"
    modules: Path = Path("/usr/lib/uml/modules")
    words: tuple[str, ...] = ()

    def release(self) -> str:
        """What ``uname -r`` says in a host that runs it."""
        return run([self.program, "--version"]).stdout.strip()


def present(fetched: Path) -> Kernel:
    """The fetched kernel where there is one. It catches system calls with seccomp, if it can."""
    program = fetched / "linux"
    if not program.exists():
        return Kernel()
    return Kernel(str(program), fetched / "modules", ("seccomp=auto",))
