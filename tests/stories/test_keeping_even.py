"""Rounds of balancing are neither lost nor repeated, whatever the store or the master does."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.main import run
from cli.simulating import SimulatedSession
from clusterd.master.balancer import PREFIX_OF_ROUNDS, SUBMITTER
from clusterd.opcodes.cluster_set_params import ClusterSetParams
from clusterd.opcodes.instance_create import InstanceCreate
from clusterd.simulation.cluster import SimulatedCluster
from clusterd.simulation.complaints import Complaints
from clusterd.simulation.door import SimulatedDoor
from clusterd.simulation.invariants import Invariants
from clusterd.simulation.pretended_site import OS_NAME
from clusterd.simulation.rest import settle
from jobqueue.errors import StoreAway
from jobqueue.store.interface import Transaction
from jobqueue.store.memory import Died, NoTrouble

RULES = {"enabled": True, "begin_gain": 0.2, "end_gain": 0.05, "round_pause_s": 60.0}


class AtTheFirstRound(NoTrouble):
    """Something happens once, when a round is stored with its jobs."""

    def __init__(self, what: type[BaseException], *, written: bool) -> None:
        self.struck = False
        self._what = what
        self._written = written

    def before_commit(self, transaction: Transaction) -> None:
        """See ``Trouble``."""
        if not self._written:
            self._strike(transaction)

    def after_commit(self, transaction: Transaction, revision: int) -> None:
        """See ``Trouble``."""
        if self._written:
            self._strike(transaction)

    def _strike(self, transaction: Transaction) -> None:
        begins = any(key.startswith(PREFIX_OF_ROUNDS) for key, _ in transaction.puts)
        if begins and not self.struck:
            self.struck = True
            raise self._what("at the first round")


def lopsided(directory: Path, trouble: NoTrouble) -> SimulatedCluster:
    """Four mirrored instances on two of three nodes."""
    cluster = SimulatedCluster(directory, trouble=trouble)
    cluster.wait_for_nodes()
    for number in range(4):
        create = InstanceCreate(
            instance_name=f"web{number}",
            disk_template="drbd",
            disks=({"size": 1024},),
            nics=({},),
            pnode="node1",
            snode="node2",
            os_type=OS_NAME,
            hypervisor="memory",
        )
        assert cluster.run(create).status == "success"
    return cluster


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("what", [StoreAway, Died])
def test_a_round_is_neither_lost_nor_repeated(
    what: type[BaseException], written: bool, tmp_path: Path
) -> None:
    with Complaints().listening():
        trouble = AtTheFirstRound(what, written=written)
        cluster = lopsided(tmp_path, trouble)
        cluster.run(ClusterSetParams(balancing=RULES))
        cluster.clock.run(300.0)
        settle(cluster)
        cluster.clock.run(900.0)
        settle(cluster)
        cluster.process.kill()  # the next master knows all that is stored
        cluster.clock.run(60.0)
        settle(cluster)
        rounds = cluster.master.balancer.told()["rounds"]
        jobs = [job.id for job in cluster.master.queue.jobs() if job.submitter == SUBMITTER]
        invariants = Invariants(cluster)
        invariants.check_quiet()
    assert trouble.struck
    assert [one["number"] for one in rounds] == list(range(1, len(rounds) + 1))
    assert rounds
    assert sorted(number for one in rounds for number in one["jobs"]) == jobs
    assert all(one["ended"] and not one["failed"] for one in rounds)
    assert rounds[-1]["rested"]
    moved = [move["instance"] for one in rounds for move in one["moves"]]
    assert len(moved) == len(set(moved))
    assert not invariants.broken


def test_at_rest_it_takes_more_to_begin_than_to_go_on(tmp_path: Path) -> None:
    """The same unevenness leaves a cluster at rest by one threshold and wakes it by a lower one."""
    cluster = lopsided(tmp_path, NoTrouble())
    cluster.run(ClusterSetParams(balancing=RULES | {"begin_gain": 1000.0, "end_gain": 0.0}))
    cluster.clock.run(300.0)
    settle(cluster)
    told = cluster.master.balancer.told()
    assert told["rounds"] == []
    assert "1000 is needed to begin" in told["state"]
    cluster.run(ClusterSetParams(balancing={"begin_gain": 0.2}))
    cluster.clock.run(300.0)
    settle(cluster)
    first = cluster.master.balancer.told()["rounds"]
    assert first
    assert first[0]["score_planned"] <= first[0]["score_before"] - 0.2
    assert all(key in first[0] for key in ("began", "reason", "moves", "jobs", "group"))


def told_by(cluster: SimulatedCluster, *words: str) -> str:
    """What ``gnt-cluster balance`` says at this cluster's door."""
    door = SimulatedDoor(cluster, 600.0)
    door.begin()
    session = SimulatedSession(door, cluster.clock, {})
    assert run("cluster", ["balance", *words], session) == 0, session.lines
    return "\n".join(session.lines)


def test_quiet_hours_end_and_the_history_tells_what_was_done(tmp_path: Path) -> None:
    """By the commands of an operator; a master that begins anew remembers."""
    cluster = lopsided(tmp_path, NoTrouble())
    limits = ("--begin-gain", "0.2", "--end-gain", "0.05", "--round-pause", "1m")
    told_by(cluster, "--auto", "on", *limits, "--quiet-hours", "00:00-12:00,12:00-23:59")
    cluster.clock.run(300.0)
    settle(cluster)
    assert "State: quiet hours" in told_by(cluster, "--auto", "status")
    assert cluster.master.balancer.told()["rounds"] == []
    told_by(cluster, "--auto", "on", "--quiet-hours", "none")
    cluster.clock.run(300.0)
    settle(cluster)
    history = told_by(cluster, "--history")
    moved = [line for line in history.split("\n") if " => " in line]
    jobs = [job.id for job in cluster.master.queue.jobs() if job.submitter == SUBMITTER]
    assert moved
    assert jobs
    assert f"  Jobs: {', '.join(map(str, jobs[:1]))}" in history
    cluster.process.kill()
    cluster.clock.run(60.0)
    settle(cluster)
    assert told_by(cluster, "--history") == history
    told_by(cluster, "--auto", "off")
    assert "Automatic balancing: off" in told_by(cluster, "--auto", "status")
