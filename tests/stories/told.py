"""The stories, as an operator would tell them. Each begins on a new cluster of three nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clusterd.opcodes.cluster_set_params import ClusterSetParams
from clusterd.opcodes.instance_flatten import InstanceFlatten
from clusterd.opcodes.instance_migrate import InstanceMigrate
from clusterd.opcodes.instance_replace_disks import InstanceReplaceDisks
from clusterd.opcodes.instance_snapshot_add import InstanceSnapshotAdd
from clusterd.opcodes.instance_snapshot_clone import InstanceSnapshotClone
from clusterd.opcodes.instance_snapshot_remove import InstanceSnapshotRemove
from clusterd.simulation.faults import cancel_all
from hypervisors.machine_room import Course
from jobqueue.job import Status
from tests.stories.operator import REPAIRED_S, Operator
from tests.stories.told_faults import FAULTS

Story = Callable[[Operator], None]


def the_first_day(operator: Operator) -> None:
    """Create on mirrored disks, migrate live, fail over, lose the node, fail over again."""
    operator.expect_success(operator.creates("web1", on="node1:node2"))
    operator.expect_running("web1", "node1")
    operator.expect_success(operator.migrates("web1"))
    operator.expect_running("web1", "node2")
    operator.expect_success(operator.fails_over("web1"))
    operator.expect_running("web1", "node1")
    operator.expect_success(operator.migrates("web1"))
    operator.pulls_the_plug("node2")
    operator.expect_success(operator.marks_offline("node2"))
    operator.expect_success(operator.fails_over("web1", although_stale=True))
    operator.expect_running("web1", "node1")
    operator.expect(operator.verifies() == [], "verification finds no error")


def a_life(operator: Operator) -> None:
    """Create, stop, start and remove: nothing is left."""
    operator.expect_success(operator.creates("db1", on="node2"))
    operator.expect_success(operator.stops("db1"))
    operator.expect(operator.cluster.runs_on("db1") == (), "db1 does not run")
    operator.expect_success(operator.starts("db1"))
    operator.expect_running("db1", "node2")
    operator.expect_success(operator.removes("db1"))
    stored = [key for host in operator.cluster.hosts.values() for key in host.shelf.own]
    operator.expect(not stored, "no volume is left")


def a_secondary_comes_back(operator: Operator) -> None:
    """The mirror of a node that was off is attached and complete again without anybody's doing."""
    operator.expect_success(operator.creates("web1", on="node1:node2"))
    operator.pulls_the_plug("node2")
    operator.waits(20.0)
    operator.expect(bool(operator.invariants.degraded()), "the mirror is degraded")
    operator.powers_on("node2")
    operator.waits(REPAIRED_S)
    operator.expect(not operator.invariants.degraded(), "the mirror is whole again")
    operator.expect_success(operator.migrates("web1"))
    operator.expect_running("web1", "node2")


def what_others_read_from_stays(operator: Operator) -> None:
    """Whatever others read from is not removed, and they are named; in a thin pool nobody does."""
    for template, kind in (
        ("rbd", {}),
        ("sharedfile", {"format": "qcow2"}),
        ("file", {"format": "qcow2"}),
        ("plain", {"thin-pool": "thin"}),
    ):
        disks = ({"size": 1024, **kind},)
        operator.expect_success(
            operator.creates(
                "web1", on="node1", disk_template=template, disks=disks, no_install=True
            )
        )
        on: Any = {"instance_name": "web1", "snapshot": "before"}
        operator.expect_success(operator.does(InstanceSnapshotAdd(**on)))
        operator.expect_success(operator.does(InstanceSnapshotClone(**on, new_name="web2")))
        if template != "plain":
            operator.expect_refusal(operator.does(InstanceSnapshotRemove(**on)), "web2")
            operator.expect_refusal(operator.removes("web1"), "web2")
            operator.expect_running("web1", "node1")
            operator.expect_success(operator.does(InstanceFlatten(instance_name="web2")))
        operator.expect_success(operator.does(InstanceSnapshotRemove(**on)))
        operator.expect_success(operator.removes("web1"))
        operator.expect_success(operator.starts("web2"))
        operator.expect_success(operator.removes("web2"))


def a_lost_primary_comes_back(operator: Operator) -> None:
    """Its instance went on elsewhere; once it is no longer offline the mirror resynchronises."""
    operator.expect_success(operator.creates("web1", on="node2:node1"))
    operator.pulls_the_plug("node2")
    operator.expect_success(operator.marks_offline("node2"))
    operator.expect_success(operator.fails_over("web1", although_stale=True))
    operator.expect_running("web1", "node1")
    operator.waits(10.0)
    operator.powers_on("node2")
    operator.expect_running("web1", "node1")
    operator.expect_success(operator.marks_offline("node2", offline=False))
    operator.waits(REPAIRED_S)
    operator.expect(not operator.invariants.degraded(), "the mirror is whole again")
    operator.expect(operator.verifies() == [], "verification finds no error")
    operator.expect_success(operator.migrates("web1"))
    operator.expect_running("web1", "node2")


def a_migration_is_canceled(operator: Operator) -> None:
    """It unwinds: the guest never stopped, and runs where it was."""
    operator.expect_success(operator.creates("web1", on="node1:node2"))
    operator.cluster.room.plan_migration("web1", Course(polls=100))
    number = operator.begins(InstanceMigrate(instance_name="web1"))
    operator.cluster.clock.run(5.0)
    if operator.cluster.serves:
        cancel_all(operator.cluster)
    operator.waits_for_jobs()
    job = operator.cluster.job(number) if number is not None else None
    canceled = job is not None and job.status is Status.CANCELED
    operator.expect(canceled, "the migration was canceled")
    operator.expect_running("web1", "node1")
    writers = [
        host.name
        for host in operator.cluster.hosts.values()
        for attached in host.shelf.attached.values()
        if attached.primary
    ]
    operator.expect(writers == ["node1"], "only the source writes")
    operator.expect(not operator.invariants.degraded(), "the mirror is whole")


def a_disk_is_full(operator: Operator) -> None:
    """Room vanishes between check and creation: all that was made is taken back."""
    shelf = operator.cluster.hosts["node2"].shelf
    shelf.pools["xenvg"] = 1200
    job = operator.creates("web1", on="node1:node2", disks=({"size": 1024}, {"size": 1024}))
    reason = str(job.known[-1].result) if job is not None else ""
    operator.expect("insufficient_resources" in reason, f"the request is refused: {reason}")
    operator.expect(not operator.cluster.hosts["node1"].shelf.own, "node1 holds no volume")
    shelf.pools["xenvg"] = 1024 * 1024
    operator.expect_success(operator.creates("web1", on="node1:node2"))


def a_hypervisor_dies(operator: Operator) -> None:
    """Its guests go on; what needs it is refused, and works again when it answers again."""
    operator.expect_success(operator.creates("web1", on="node1:node2"))
    operator.cluster.room.stop_service("node2")
    operator.waits(20.0)
    job = operator.migrates("web1")
    reason = str(job.known[-1].result) if job is not None else ""
    operator.expect("environment_error" in reason, f"the migration is refused: {reason}")
    operator.expect_running("web1", "node1")
    operator.expect("does not answer" in str(operator.verifies()), "verification says why")
    operator.cluster.room.start_service("node2")
    operator.waits(20.0)
    operator.expect_success(operator.migrates("web1"))
    operator.expect_running("web1", "node2")


def a_guest_is_deaf(operator: Operator) -> None:
    """It does not obey the power button and is ended after its time."""
    operator.expect_success(operator.creates("web1", on="node1:node2"))
    operator.cluster.room.machine("node1").deaf.add("web1")
    operator.expect_success(operator.stops("web1"))
    operator.expect(operator.cluster.runs_on("web1") == (), "web1 does not run")


def a_node_dies_for_good_during_a_migration(operator: Operator) -> None:
    """Its half of the job cannot be undone, until the operator declares it lost."""
    operator.expect_success(operator.creates("web1", on="node1:node2"))
    operator.cluster.room.plan_migration("web1", Course(polls=100))
    number = operator.begins(InstanceMigrate(instance_name="web1"))
    operator.cluster.clock.run(5.0)
    operator.pulls_the_plug("node2")
    operator.waits_for_jobs()
    job = operator.cluster.job(number) if number is not None else None
    stuck = job is not None and job.status is Status.STUCK
    operator.expect(stuck, "the migration is stuck")
    operator.expect_running("web1", "node1")
    operator.expect_success(operator.marks_offline("node2"))
    ended = job is not None and job.status is Status.ERROR
    operator.expect(ended, "the migration has ended")
    operator.expect_success(operator.stops("web1"))


def a_node_is_away_while_a_copy_is_made_anew(operator: Operator) -> None:
    """Minutes later it is back: the job has waited for it, and nobody need unwind anything."""
    operator.expect_success(operator.creates("web1", on="node1:node2"))
    replace = InstanceReplaceDisks(instance_name="web1", mode="replace_on_secondary")
    number = operator.begins(replace)
    operator.cluster.clock.run(2.0)
    operator.cluster.hosts["node2"].power_off()
    operator.cluster.clock.run(300.0)
    operator.cluster.hosts["node2"].boot()
    operator.waits_for_jobs()
    job = operator.cluster.job(number) if number is not None else None
    ended = job is not None and job.status in (Status.SUCCESS, Status.ERROR)
    operator.expect(ended, "the job has ended by itself")
    operator.waits(REPAIRED_S)
    operator.expect_running("web1", "node1")
    operator.expect(not operator.invariants.degraded(), "the mirror is whole")


def a_guest_travels_with_its_disk(operator: Operator) -> None:
    """Its target loses power on the way: it stays. The next time it arrives with all it wrote."""
    operator.expect_success(operator.creates("db1", on="node1"))
    operator.cluster.room.plan_migration("db1", Course(polls=100))
    number = operator.begins(InstanceMigrate(instance_name="db1", target_node="node2"))
    operator.cluster.clock.run(5.0)
    operator.cluster.hosts["node2"].power_off()
    operator.cluster.clock.run(60.0)
    operator.cluster.hosts["node2"].boot()
    operator.waits_for_jobs()
    job = operator.cluster.job(number) if number is not None else None
    operator.expect(job is not None and job.status is Status.ERROR, "the migration has failed")
    operator.expect_running("db1", "node1")
    operator.cluster.room.plan_migration("db1", Course())
    moved = operator.does(InstanceMigrate(instance_name="db1", target_node="node2"))
    operator.expect_success(moved)
    operator.expect_running("db1", "node2")
    operator.expect(not operator.cluster.hosts["node1"].shelf.own, "nothing is left on node1")


def the_master_keeps_it_even(operator: Operator) -> None:
    """A lopsided cluster rests in quiet hours, balances itself after them, and then rests."""
    for number in range(4):
        operator.expect_success(operator.creates(f"web{number}", on="node1:node2"))
    operator.waits(200.0)
    operator.expect(operator.rounds() == [], "nothing is done while it is off")
    rules: dict[str, Any] = {
        "enabled": True,
        "begin_gain": 0.2,
        "end_gain": 0.05,
        "round_pause_s": 60.0,
    }
    day = {"quiet_hours": ["00:00-23:59"]}
    operator.expect_success(operator.does(ClusterSetParams(balancing=rules | day)))
    operator.waits(200.0)
    operator.expect(operator.rounds() == [], "nothing is done in quiet hours")
    operator.expect("quiet hours" in operator.balance_state(), "it says so")
    operator.expect_success(operator.does(ClusterSetParams(balancing={"quiet_hours": []})))
    operator.waits(1000.0)
    done = operator.rounds()
    operator.expect(bool(done), "a round was made")
    operator.expect(all(one["ended"] and not one["failed"] for one in done), "all jobs succeeded")
    better = [one["score_after"] < one["score_before"] - 0.05 for one in done]
    operator.expect(bool(better) and all(better), "each has made the cluster more even")
    operator.expect(done[-1:] != [] and done[-1].get("rested", False), "then it rests")
    moved = [move["instance"] for one in done for move in one["moves"]]
    operator.expect(len(moved) == len(set(moved)), "no instance moved twice")
    operator.waits(1000.0)
    operator.expect(len(operator.rounds()) == len(done), "and goes on resting")
    off = {"enabled": False, "instance_pause_s": 0.0, "begin_gain": 0.05}
    operator.expect_success(operator.does(ClusterSetParams(balancing=off)))
    for name in moved:
        if operator.calm:
            operator.expect_success(operator.migrates(name))
    operator.waits(200.0)
    operator.expect(len(operator.rounds()) == len(done), "off means that nothing is done")
    operator.expect(operator.balance_state() == "off", "it says so")


STORIES: dict[str, Story] = {
    story.__name__: story
    for story in (
        the_first_day,
        a_life,
        what_others_read_from_stays,
        a_secondary_comes_back,
        a_lost_primary_comes_back,
        a_migration_is_canceled,
        a_disk_is_full,
        a_hypervisor_dies,
        a_guest_is_deaf,
        a_node_dies_for_good_during_a_migration,
        a_node_is_away_while_a_copy_is_made_anew,
        a_guest_travels_with_its_disk,
        the_master_keeps_it_even,
        *FAULTS,
    )
}
