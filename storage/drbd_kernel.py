"""Which version of DRBD runs, and how its devices are seen. The one place that tells them apart.

``/proc/drbd`` names the version in its first line; 8.4 goes on with the states of all devices,
which costs no program. 9 keeps its states for ``drbdsetup status``. What a version is told stands
in its plan.
"""

from __future__ import annotations

import abc
from typing import ClassVar

import msgspec

from storage import drbd_plan_eight, drbd_plan_nine
from storage.commands import command_failed
from storage.drbd_plan import Argv, Plan, resource_name
from storage.drbd_state import (
    Generation,
    Minor,
    Resource,
    parse_generation,
    parse_minors,
    parse_resource,
)
from storage.drbd_state_nine import parse_shown, parse_status
from storage.errors import BadParameter, CommandFailed
from storage.interface import Commands
from storage.volume import Mirror

PROC = "/proc/drbd"
LOAD = ("modprobe", "drbd", "usermode_helper=/bin/true", "minor_count=128")


class Kernel(abc.ABC):
    """DRBD as it is loaded. Made for one verb: what ``/proc/drbd`` said may be read from it."""

    plan: ClassVar[Plan]

    def __init__(self, commands: Commands, proc: str) -> None:
        self._commands = commands
        self._proc = proc

    @abc.abstractmethod
    async def state(self, mirror: Mirror) -> Minor | None:
        """The state of the mirror's minor; None while there is no such device."""

    @abc.abstractmethod
    async def shown(self, mirror: Mirror) -> Resource | None:
        """What is configured under the mirror's minor, whosever it is."""

    async def stored_generation(self, mirror: Mirror) -> Generation | None:
        """Of data that are not attached; None where there is none."""
        return await self._generation(self.plan.stored_generation(mirror))

    async def live_generation(self, mirror: Mirror) -> Generation | None:
        """Of attached data; None where there is none."""
        return await self._generation(self.plan.live_generation(mirror))

    async def _generation(self, argv: Argv) -> Generation | None:
        output = await self._commands.run(*argv, check=False)
        return parse_generation(output.stdout) if output.code == 0 else None


class Eight(Kernel):
    """DRBD 8.4."""

    plan: ClassVar[Plan] = drbd_plan_eight

    async def state(self, mirror: Mirror) -> Minor | None:
        """See ``Kernel``."""
        return parse_minors(self._proc).get(mirror.minor)

    async def shown(self, mirror: Mirror) -> Resource | None:
        """See ``Kernel``."""
        argv = ("drbdsetup", "show", str(mirror.minor))
        output = await self._commands.run(*argv, check=False)
        if output.code != 0 and "minor not allocated" not in output.stderr:
            raise command_failed(argv, output)
        return parse_resource(output.stdout) if output.code == 0 else None


class Nine(Kernel):
    """DRBD 9, whose commands take the name of the resource."""

    plan: ClassVar[Plan] = drbd_plan_nine

    async def state(self, mirror: Mirror) -> Minor | None:
        """See ``Kernel``."""
        argv = ("drbdsetup", "status", "--json", resource_name(mirror))
        output = await self._commands.run(*argv, check=False)
        if output.code != 0:
            if "No such resource" in output.stderr:
                return None
            raise command_failed(argv, output)
        try:
            return parse_status(output.stdout, mirror.minor)
        except msgspec.DecodeError as error:
            raise CommandFailed(
                f"{' '.join(argv)} answered what cannot be read: {error}", subject=argv[-1]
            ) from None

    async def shown(self, mirror: Mirror) -> Resource | None:
        """See ``Kernel``. A resource that is not there is shown as nothing."""
        argv = ("drbdsetup", "show", resource_name(mirror))
        output = await self._commands.run(*argv, check=False)
        if output.code != 0:
            raise command_failed(argv, output)
        return parse_shown(output.stdout)


KERNELS: tuple[tuple[str, type[Kernel]], ...] = (("version: 8.4", Eight), ("version: 9.", Nine))


async def find_kernel(commands: Commands) -> Kernel | None:
    """The DRBD that runs; None while none is loaded. Raises BadParameter for another version."""
    proc = await commands.read(PROC)
    if not proc:
        return None
    for beginning, kernel in KERNELS:
        if proc.startswith(beginning):
            return kernel(commands, proc)
    version = proc.partition("\n")[0]
    raise BadParameter(f"DRBD 8.4 or 9 is needed, this kernel has {version}", subject="drbd")


async def load_kernel(commands: Commands) -> Kernel:
    """DRBD is in the kernel. Raises BadParameter for another version, CommandFailed."""
    found = await find_kernel(commands)
    if found is None:
        await commands.run(*LOAD)
        found = await find_kernel(commands)
    if found is None:
        raise BadParameter("DRBD 8.4 or 9 is needed, this kernel has none", subject="drbd")
    return found
