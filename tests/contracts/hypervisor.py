"""What every hypervisor driver must do: one suite, made for any world that offers two nodes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.contracts.hypervisor_life import Life
from tests.contracts.hypervisor_migration import Migration
from tests.contracts.hypervisor_world import HypervisorWorld, Pair

__all__ = ["HypervisorWorld", "Pair", "hypervisor_contract"]


def hypervisor_contract(make_world: Callable[[], HypervisorWorld]) -> type:
    """The suite."""

    class HypervisorContract(Life, Migration):
        @pytest.fixture
        def pair(self) -> Iterator[Pair]:
            with contextlib.closing(make_world()) as world:
                yield Pair(world)

    return HypervisorContract
