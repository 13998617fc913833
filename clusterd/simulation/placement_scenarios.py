"""The scenarios of operations for which an allocator chooses.

Where nodes are chosen there are no more than are needed: with a spare one, an operation that is
asked for again after a fault would rightly choose others.
"""

from __future__ import annotations

import msgspec

from clusterd.opcodes.instance_change_group import InstanceChangeGroup
from clusterd.opcodes.instance_failover import InstanceFailover
from clusterd.opcodes.instance_migrate import InstanceMigrate
from clusterd.opcodes.instance_multi_alloc import InstanceMultiAlloc
from clusterd.opcodes.instance_recreate_disks import InstanceRecreateDisks
from clusterd.opcodes.instance_replace_disks import InstanceReplaceDisks
from clusterd.opcodes.node_evacuate import NodeEvacuate
from clusterd.opcodes.node_set_params import NodeSetParams
from clusterd.opcodes.test_allocator import TestAllocator
from clusterd.simulation import pretended_allocator
from clusterd.simulation.scenario import LOST, NAME, RUNS, SHARED, Scenario, create
from jobqueue.job import Status

ALLOCATOR = pretended_allocator.NAME

PLACING = (
    Scenario(
        name="create-chosen",
        nodes=2,
        act=(create("drbd", pnode=None, snode=None, iallocator=ALLOCATOR),),
    ),
    Scenario(
        name="create-several",
        nodes=1,
        act=(
            InstanceMultiAlloc(
                iallocator=ALLOCATOR,
                # one: of several, those that were made would be refused when asked for again
                instances=(msgspec.to_builtins(create("plain", pnode=None, start=False)),),
            ),
        ),
    ),
    Scenario(
        name="chosen-side-by-side",
        nodes=1,
        act=(create("plain", pnode=None, iallocator=ALLOCATOR, start=False),),
        beside=(
            create("plain", pnode=None, iallocator=ALLOCATOR, start=False, instance_name="web2"),
        ),
    ),
    Scenario(
        name="migrate-shared-chosen",
        nodes=2,
        given=SHARED,
        act=(InstanceMigrate(instance_name=NAME, iallocator=ALLOCATOR),),
    ),
    Scenario(
        name="failover-shared-chosen",
        nodes=2,
        given=SHARED,
        act=(InstanceFailover(instance_name=NAME, iallocator=ALLOCATOR),),
    ),
    Scenario(
        name="evacuate-primary",
        given=RUNS,
        act=(NodeEvacuate(node_name="node1", mode="primary-only", iallocator=ALLOCATOR),),
    ),
    Scenario(
        name="replace-secondary-chosen",
        given=LOST,
        dark="node2",
        act=(
            InstanceReplaceDisks(
                instance_name=NAME, mode="replace_new_secondary", iallocator=ALLOCATOR
            ),
        ),
    ),
    Scenario(
        name="recreate-chosen",
        nodes=2,
        given=(
            create("plain", start=False, pnode="node2"),
            NodeSetParams(node_name="node2", offline=True),
        ),
        dark="node2",
        act=(InstanceRecreateDisks(instance_name=NAME, iallocator=ALLOCATOR),),
    ),
    Scenario(
        name="change-group-nowhere",
        given=SHARED,
        act=(InstanceChangeGroup(instance_name=NAME, iallocator=ALLOCATOR),),
        ends=Status.ERROR,
    ),
    Scenario(
        name="test-allocator",
        given=RUNS,
        act=(
            TestAllocator(direction="in", mode="relocate", name=NAME),
            TestAllocator(direction="out", mode="node-evacuate", name=NAME, iallocator=ALLOCATOR),
        ),
    ),
)
