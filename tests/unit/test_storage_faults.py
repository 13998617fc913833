"""The storage contracts on twins with faults, driven as an executor drives them: what fails is
asked for again, and the end is that of storage without faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from storage import errors
from storage.interface import Backend
from storage.memory import memory_backend
from storage.memory_faults import LOOKS, SLOW_S, Disks, Trouble, faulty
from storage.shelf import Shelf
from storage.volume import Template
from tests.contracts.storage import backend_contract, finish
from tests.contracts.storage_snapshots import snapshot_contract
from tests.unit.test_storage_backends import POOL, MemoryWorld, volume_of

PRETENDED = "pretended"


class Persistent:
    """Each verb of a backend meets a trouble first; then it is over, and is asked for again."""

    def __init__(self, backend: Backend, disks: Disks, trouble: Trouble) -> None:
        self._backend, self._disks, self._trouble = backend, disks, trouble

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._backend, name)
        if not callable(verb):
            return verb

        async def call(*args: Any, **named: Any) -> Any:
            self._disks.trouble = self._trouble
            # a look that tells what was is not believed: the next one tells the truth
            believed = not (name in LOOKS and self._trouble == "stale")
            try:
                answer = await getattr(self._backend, name)(*args, **named)
                if believed:
                    return answer
            except errors.StorageError as error:
                if PRETENDED not in str(error):
                    raise
            finally:
                self._disks.trouble = ""
            return await getattr(self._backend, name)(*args, **named)

        return call


class FaultyWorld(MemoryWorld):
    """One pretended node whose disks are in trouble again and again."""

    def __init__(self, trouble: Trouble, template: Template = Template.MEMORY) -> None:
        super().__init__(template)
        self.pauses: list[float] = []
        self.disks = Disks()
        troubled = faulty(self.backend, self.disks, self._pause)
        self.backend = cast(Backend, Persistent(troubled, self.disks, trouble))

    async def _pause(self, duration_s: float) -> None:
        self.pauses.append(duration_s)


def contract(trouble: Trouble, make: Callable[[Callable[[], Any]], type]) -> type:
    """The suite of a twin with this trouble."""
    return make(lambda: FaultyWorld(trouble))


TestFull = contract("full", backend_contract)
TestSlow = contract("slow", backend_contract)
TestStale = contract("stale", backend_contract)
TestTorn = contract("torn", backend_contract)
TestFails = contract("fails", backend_contract)
TestHung = contract("hung", backend_contract)
TestDown = contract("down", backend_contract)
TestTornSnapshots = contract("torn", snapshot_contract)
TestFullSnapshots = contract("full", snapshot_contract)
TestTornMirror = backend_contract(lambda: FaultyWorld("torn", Template.DRBD))


@pytest.mark.parametrize("trouble", ["full", "broken"])
def test_what_lasts_is_met_again_until_it_is_taken_away(trouble: Trouble) -> None:
    disks, volume = Disks(), volume_of(Template.MEMORY, 1)

    async def never(_duration_s: float) -> None:
        raise AssertionError("it is not slow")

    backend = faulty(memory_backend(Template.MEMORY, Shelf("n0", {POOL: 64})), disks, never)
    disks.trouble = trouble
    for _ in range(2):
        with pytest.raises(errors.NoSpace if trouble == "full" else errors.StorageError):
            finish(backend.ensure(volume))
    assert not finish(backend.look(volume)).present
    disks.trouble = ""
    finish(backend.ensure(volume))
    assert finish(backend.look(volume)).present


def test_stale_looks_tell_what_was_and_slow_ones_wait() -> None:
    world = FaultyWorld("slow")
    disks, volume = Disks(), world.volume()
    backend = faulty(memory_backend(Template.MEMORY, world.shelf), disks, world._pause)
    disks.trouble = "stale"
    assert not finish(backend.look(volume)).present
    finish(backend.ensure(volume))
    assert not finish(backend.look(volume)).present
    disks.trouble = "slow"
    assert finish(backend.look(volume)).present
    assert world.pauses == [SLOW_S]
