"""The scenarios: for each opcode a starting state and the job that is put to the test.

One row a scenario. ``given`` are jobs that make the starting state, one opcode each.
"""

from __future__ import annotations

from clusterd.opcodes.cluster_destroy import ClusterDestroy
from clusterd.opcodes.cluster_post_init import ClusterPostInit
from clusterd.opcodes.cluster_query import ClusterQuery
from clusterd.opcodes.cluster_redist_conf import ClusterRedistConf
from clusterd.opcodes.cluster_renew_crypto import ClusterRenewCrypto
from clusterd.opcodes.cluster_set_params import ClusterSetParams
from clusterd.opcodes.cluster_verify import ClusterVerify
from clusterd.opcodes.cluster_verify_config import ClusterVerifyConfig
from clusterd.opcodes.cluster_verify_group import ClusterVerifyGroup
from clusterd.opcodes.instance_activate_disks import InstanceActivateDisks
from clusterd.opcodes.instance_console import InstanceConsole
from clusterd.opcodes.instance_deactivate_disks import InstanceDeactivateDisks
from clusterd.opcodes.instance_failover import InstanceFailover
from clusterd.opcodes.instance_migrate import InstanceMigrate
from clusterd.opcodes.instance_query_data import InstanceQueryData
from clusterd.opcodes.instance_reboot import InstanceReboot
from clusterd.opcodes.instance_remove import InstanceRemove
from clusterd.opcodes.instance_set_params import InstanceSetParams
from clusterd.opcodes.instance_shutdown import InstanceShutdown
from clusterd.opcodes.instance_startup import InstanceStartup
from clusterd.opcodes.node_add import NodeAdd
from clusterd.opcodes.node_remove import NodeRemove
from clusterd.opcodes.node_set_params import NodeSetParams
from clusterd.opcodes.query import Query
from clusterd.opcodes.test_delay import TestDelay
from clusterd.simulation import pretended_allocator
from clusterd.simulation.disk_scenarios import DISKS
from clusterd.simulation.export_scenarios import EXPORTS
from clusterd.simulation.group_scenarios import GROUPS
from clusterd.simulation.image_scenarios import IMAGES
from clusterd.simulation.node_storage_scenarios import STORAGE
from clusterd.simulation.outside_scenarios import OUTSIDE
from clusterd.simulation.placement_scenarios import PLACING
from clusterd.simulation.scenario import (
    DISK_MIB,
    DOWN,
    LOST,
    NAME,
    NETWORKED,
    PLAIN,
    RUNS,
    SHARED,
    Scenario,
    create,
)
from hypervisors.machine_room import Course
from jobqueue.job import Status

CREATING = (
    Scenario(name="create-drbd", act=(create("drbd"),)),
    Scenario(
        name="create-two-disks",
        act=(create("drbd", disks=({"size": DISK_MIB}, {"size": 2048}), start=False),),
    ),
    Scenario(name="create-plain", act=(create("plain"),)),
    Scenario(name="create-file", act=(create("file"),)),
    Scenario(name="create-sharedfile", act=(create("sharedfile"),)),
    Scenario(name="create-rbd", act=(create("rbd"),)),
    Scenario(name="remove-rbd", given=NETWORKED, act=(InstanceRemove(instance_name=NAME),)),
    Scenario(name="create-diskless", act=(create("diskless"),)),
    Scenario(name="remove-drbd", given=RUNS, act=(InstanceRemove(instance_name=NAME),)),
    Scenario(name="remove-plain", given=PLAIN, act=(InstanceRemove(instance_name=NAME),)),
    Scenario(
        name="remove-without-secondary",
        given=LOST,
        dark="node2",
        act=(InstanceRemove(instance_name=NAME),),
    ),
)
LIVING = (
    Scenario(name="startup", given=DOWN, act=(InstanceStartup(instance_name=NAME),)),
    Scenario(name="shutdown", given=RUNS, act=(InstanceShutdown(instance_name=NAME),)),
    Scenario(
        name="shutdown-plain",
        given=PLAIN,
        act=(InstanceShutdown(instance_name=NAME, force=True),),
    ),
    *(
        Scenario(
            name=f"reboot-{kind}",
            given=RUNS,
            act=(InstanceReboot(instance_name=NAME, reboot_type=kind),),
        )
        for kind in ("soft", "hard", "full")
    ),
    Scenario(
        name="stop-and-start",
        given=RUNS,
        act=(InstanceShutdown(instance_name=NAME), InstanceStartup(instance_name=NAME)),
    ),
    # the first opcode needs no node: a new master comes to the second before it has seen any
    Scenario(
        name="delay-and-stop",
        given=RUNS,
        act=(TestDelay(duration=0.0), InstanceShutdown(instance_name=NAME)),
    ),
    Scenario(
        name="set-params",
        given=RUNS,
        act=(
            InstanceSetParams(
                instance_name=NAME, beparams={"maxmem": 256}, nics=(("add", -1, {}),)
            ),
        ),
    ),
    Scenario(name="activate-disks", given=DOWN, act=(InstanceActivateDisks(instance_name=NAME),)),
    Scenario(
        name="deactivate-disks",
        given=(*DOWN, InstanceActivateDisks(instance_name=NAME)),
        act=(InstanceDeactivateDisks(instance_name=NAME),),
    ),
    Scenario(name="console", given=RUNS, act=(InstanceConsole(instance_name=NAME),)),
    Scenario(name="query-data", given=RUNS, act=(InstanceQueryData(instances=(NAME,)),)),
)
MOVING = (
    Scenario(name="migrate", given=RUNS, act=(InstanceMigrate(instance_name=NAME),)),
    Scenario(
        name="migrate-slowly",
        given=RUNS,
        course=Course(polls=5),
        act=(InstanceMigrate(instance_name=NAME),),
    ),
    Scenario(
        name="migrate-shared",
        given=SHARED,
        act=(InstanceMigrate(instance_name=NAME, target_node="node2"),),
    ),
    Scenario(
        name="migrate-rbd",
        given=NETWORKED,
        act=(InstanceMigrate(instance_name=NAME, target_node="node2"),),
    ),
    Scenario(
        name="migrate-local",
        given=PLAIN,
        act=(InstanceMigrate(instance_name=NAME, target_node="node2"),),
    ),
    Scenario(
        name="migrate-local-fails",
        given=(create("file"),),
        course=Course(end="fails"),
        act=(InstanceMigrate(instance_name=NAME, target_node="node2"),),
        ends=Status.ERROR,
    ),
    Scenario(
        name="migrate-local-cut-late",
        given=PLAIN,
        course=Course(end="cut-late"),
        act=(InstanceMigrate(instance_name=NAME, target_node="node2"),),
        ends=Status.ERROR,
    ),
    Scenario(
        name="migrate-cleanup",
        given=RUNS,
        act=(InstanceMigrate(instance_name=NAME, cleanup=True),),
    ),
    Scenario(
        name="migrate-cleanup-copy",
        given=RUNS,
        copy_left_on="node2",
        act=(InstanceMigrate(instance_name=NAME, cleanup=True),),
    ),
    *(
        Scenario(
            name=f"migrate-{end}",
            given=RUNS,
            course=Course(end=end),
            act=(InstanceMigrate(instance_name=NAME),),
            ends=Status.ERROR,
        )
        for end in ("fails", "cut", "cut-late")
    ),
    Scenario(
        name="migrate-unreleased",
        given=RUNS,
        course=Course(end="unreleased"),
        act=(InstanceMigrate(instance_name=NAME),),
    ),
    Scenario(name="failover", given=RUNS, act=(InstanceFailover(instance_name=NAME),)),
    Scenario(name="failover-down", given=DOWN, act=(InstanceFailover(instance_name=NAME),)),
    Scenario(
        name="failover-source-offline",
        given=(
            create("drbd", pnode="node2", snode="node1"),
            NodeSetParams(node_name="node2", offline=True),
        ),
        dark="node2",
        act=(InstanceFailover(instance_name=NAME, ignore_consistency=True),),
    ),
    Scenario(
        name="failover-rbd-offline",
        given=(
            create("rbd", pnode="node2"),
            NodeSetParams(node_name="node2", offline=True),
        ),
        dark="node2",
        act=(InstanceFailover(instance_name=NAME, target_node="node3"),),
    ),
    Scenario(
        name="failover-shared",
        given=SHARED,
        act=(InstanceFailover(instance_name=NAME, target_node="node3"),),
    ),
)
CROWDED = (
    Scenario(
        name="one-after-the-other",
        given=RUNS,
        act=(InstanceMigrate(instance_name=NAME),),
        beside=(InstanceReboot(instance_name=NAME, reboot_type="full"), ClusterVerify()),
    ),
    Scenario(
        name="side-by-side",
        given=RUNS,
        act=(InstanceFailover(instance_name=NAME),),
        beside=(
            create("drbd", instance_name="web2", pnode="node2", snode="node3"),
            create("plain", instance_name="web3", pnode="node3"),
        ),
    ),
)
CLUSTER = (
    Scenario(name="node-add", outside=1, act=(NodeAdd(node_name="node4", primary_ip="node4"),)),
    Scenario(
        name="node-readd",
        given=(NodeSetParams(node_name="node3", offline=True, auto_promote=True),),
        act=(NodeAdd(node_name="node3", primary_ip="node3", readd=True),),
    ),
    Scenario(name="node-remove", act=(NodeRemove(node_name="node3"),)),
    Scenario(name="node-offline", act=(NodeSetParams(node_name="node3", offline=True),)),
    Scenario(
        name="node-drained",
        given=RUNS,
        act=(NodeSetParams(node_name="node2", drained=True, auto_promote=True),),
    ),
    Scenario(name="cluster-verify", given=RUNS, act=(ClusterVerify(),)),
    Scenario(name="cluster-verify-config", given=RUNS, act=(ClusterVerifyConfig(),)),
    Scenario(
        name="cluster-verify-group", given=RUNS, act=(ClusterVerifyGroup(group_name="default"),)
    ),
    Scenario(
        name="cluster-set-params",
        act=(
            ClusterSetParams(
                beparams={"maxmem": 512},
                candidate_pool_size=2,
                default_iallocator=pretended_allocator.NAME,
            ),
        ),
    ),
    Scenario(
        name="pool-grows",
        given=(
            ClusterSetParams(candidate_pool_size=1),
            NodeSetParams(node_name="node2", master_candidate=False, force=True),
            NodeSetParams(node_name="node3", master_candidate=False, force=True),
        ),
        act=(ClusterSetParams(candidate_pool_size=3),),
    ),
    Scenario(name="redist-conf", act=(ClusterRedistConf(),)),
    Scenario(
        name="renew-crypto",
        act=(ClusterRenewCrypto(node_certificates=True, rapi_certificate="new"),),
    ),
    Scenario(name="renew-authority", act=(ClusterRenewCrypto(cluster_certificate=True),)),
    Scenario(name="cluster-query", act=(ClusterQuery(),)),
    Scenario(name="cluster-post-init", act=(ClusterPostInit(),)),
    Scenario(name="cluster-destroy", nodes=1, act=(ClusterDestroy(),)),
    Scenario(name="query", given=RUNS, act=(Query(what="instance", fields=("name", "status")),)),
    Scenario(
        name="delay",
        act=(TestDelay(duration=2.0, on_master=True, on_nodes=("node1", "node2"), repeat=2),),
    ),
)
SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        *(*CREATING, *LIVING, *MOVING, *DISKS, *STORAGE, *IMAGES, *OUTSIDE),
        *(*EXPORTS, *PLACING, *CROWDED, *CLUSTER, *GROUPS),
    )
}
"""All scenarios by name."""
