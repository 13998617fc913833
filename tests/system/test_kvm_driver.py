"""The kvm driver on real libvirt and QEMU: the contract, and what only real parts can show."""

from __future__ import annotations

from functools import partial

import pytest

from tests.contracts.hypervisor import hypervisor_contract
from tests.system.kvm_world import KvmWorld

pytestmark = pytest.mark.real

TestKvmDriver = hypervisor_contract(partial(KvmWorld, own_disk=False))
