"""Running the scripts of ext-storage providers: in their own directory, told what to do in their
environment. What they say is kept in a file for each script and volume, of the last run.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import msgspec

from storage.commands import last_lines
from storage.errors import BadParameter, CommandFailed, PoolMissing
from storage.external_providers import ProviderFound, find
from storage.interface import Commands, Output, Surroundings, Threads
from storage.plugin import StorageSettings, checked_parameters
from storage.volume import Volume

SCRIPT_TIMEOUT_S = 3600.0
"""A provider may copy or erase a volume while it makes or removes it."""
PARAMETER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\Z")


class ExternalParameters(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """The one parameter of ``ext`` that is not the provider's."""

    access: Literal["kernelspace", "userspace"] = "kernelspace"
    """Whether guests get a device of the node or reach the volume by themselves."""


OWN_PARAMETERS = frozenset(
    field.encode_name for field in msgspec.structs.fields(ExternalParameters)
)


class ProviderScripts:
    """The scripts of all providers of a node."""

    def __init__(self, commands: Commands, threads: Threads, settings: StorageSettings) -> None:
        self._commands = commands
        self._threads = threads
        self._directories = tuple(map(Path, settings.provider_directories))
        self._logs = settings.provider_logs

    async def provider(self, volume: Volume) -> ProviderFound:
        """The volume's provider. Raises PoolMissing where it cannot be used."""
        found = await self._threads.run(find, self._directories, volume.pool)
        if found is None or not found.valid:
            reason = found.message if found else "it is in none of the directories for them"
            raise PoolMissing(
                f"storage provider '{volume.pool}' cannot be used on this node: {reason}; see"
                " 'gnt-storage diagnose'",
                subject=volume.pool,
            )
        return found

    async def attempt(self, volume: Volume, script: str, **variables: str) -> Output:
        """How a script of the volume's provider ended."""
        checked_parameters(volume, ExternalParameters)
        provider = await self.provider(volume)
        around = Surroundings(
            environment={**environment_of(volume), **variables}, directory=provider.path
        )
        output = await self._commands.run(
            f"{provider.path}/{script}", timeout_s=SCRIPT_TIMEOUT_S, check=False, around=around
        )
        if self._logs:
            log = Path(self._logs) / f"{script}-{provider.name}-{volume.name}.log"
            await self._threads.run(_log, log, output)
        return output

    async def run(self, volume: Volume, script: str, **variables: str) -> None:
        """Run a script to its good end; raises CommandFailed."""
        output = await self.attempt(volume, script, **variables)
        if output.code != 0:
            raise script_failed(volume, script, output)


def environment_of(volume: Volume) -> dict[str, str]:
    """What every script is told. Raises BadParameter for a parameter that no variable can name."""
    given = {key: value for key, value in volume.params.items() if key not in OWN_PARAMETERS}
    for key in given:
        if not PARAMETER.match(key):
            raise BadParameter(f"'{key}' is no name of a parameter", subject=volume.name)
    always = {"VOL_NAME": volume.name, "VOL_UUID": volume.uuid}
    named = {"VOL_CNAME": volume.alias} if volume.alias else {}
    return {**always, **named, **{f"EXTP_{key.upper()}": str(given[key]) for key in sorted(given)}}


def script_failed(volume: Volume, script: str, output: Output) -> CommandFailed:
    """The error for a script that ended with a failure."""
    return CommandFailed(
        f"script '{script}' of storage provider {volume.pool} failed for {volume.name} with exit"
        f" code {output.code}: {last_lines(output)}",
        subject=volume.name,
    )


def _log(path: Path, output: Output) -> None:
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    path.write_text(f"{output.stdout}{output.stderr}exit code {output.code}\n", "utf-8")
