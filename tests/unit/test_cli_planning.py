"""gnt-cluster balance: what is planned, shown and submitted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli.planning import job_bodies
from clusterd.placement import balance, model
from clusterd.placement.facts import ClusterFacts, GroupFacts, InstanceFacts, NodeFacts
from clusterd.placement.options import BalanceOptions
from tests.unit.cli_stage import Stage, job_answers, stage_in


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as made:
        yield made


def uneven(nodes: int = 4, instances: int = 12) -> ClusterFacts:
    """Everything runs on the first two nodes."""
    used = instances // 2 * 1024
    return ClusterFacts(
        groups=(GroupFacts(name="default", uuid="g1"),),
        nodes=tuple(
            NodeFacts(
                name=f"node{number}",
                group="g1",
                memory_total_mib=32768,
                memory_node_mib=1024,
                memory_free_mib=32768 - 1024 - (used if number < 2 else 0),
                disk_total_mib=500_000,
                disk_free_mib=500_000 - (instances * 10240 if number < 2 else 0),
                cpus=16,
                master=number == 0,
            )
            for number in range(nodes)
        ),
        instances=tuple(
            InstanceFacts(
                name=f"web{number}",
                memory_mib=1024,
                disk_mib=10240,
                vcpus=1,
                primary=f"node{number % 2}",
                secondary=f"node{1 - number % 2}",
            )
            for number in range(instances)
        ),
    )


def test_a_plan_is_shown_and_nothing_is_done(stage: Stage) -> None:
    facts = msgspec.to_builtins(uneven())
    ended = stage.answer(QueryPlacement=facts).run("cluster", "balance")
    assert ended.code == 0
    assert ended.out[0].startswith("Group default: score ")
    assert "  Set 1:" in ended.out
    assert any("=> node" in line and "copies 10.0G" in line for line in ended.out)
    assert stage.responder.of("SubmitManyJobs") == []


def test_a_plan_can_be_kept_from_copying(stage: Stage) -> None:
    facts = msgspec.to_builtins(uneven())
    ended = stage.answer(QueryPlacement=facts).run("cluster", "balance", "--no-disk-moves")
    assert not any("copies" in line for line in ended.out)


def test_the_plan_is_carried_out_set_by_set(stage: Stage) -> None:
    facts = msgspec.to_builtins(uneven())
    numbers: Any = lambda jobs, _name: [[True, 1 + at] for at in range(len(jobs))]  # noqa: E731
    stage.answer(QueryPlacement=facts, SubmitManyJobs=numbers, **job_answers())
    ended = stage.run("cluster", "balance", "--apply", "--force", "--submit", "--max-moves", "3")
    ((jobs, _name),) = stage.responder.of("SubmitManyJobs")
    assert ended.code == 0
    assert 1 <= len(jobs) <= 3
    assert all(job[0]["OP_ID"].startswith("OP_INSTANCE_") for job in jobs)


def test_without_a_yes_nothing_is_submitted(stage: Stage) -> None:
    facts = msgspec.to_builtins(uneven())
    ended = stage.answer(QueryPlacement=facts).run("cluster", "balance", "--apply")
    assert ended.code == 13
    assert stage.responder.of("SubmitManyJobs") == []


def test_each_set_waits_for_the_one_before() -> None:
    plan = balance.balance(model.build(uneven(6, 24)), BalanceOptions(group="default"))
    assert len(plan.job_sets) > 1
    bodies = job_bodies([plan])
    sizes = [len(together.moves) for together in plan.job_sets]
    assert len(bodies) == sum(sizes)
    place = 0
    for number, size in enumerate(sizes):
        for _ in range(size):
            depends = bodies[place][1][0].get("depends", [])
            earlier = sorted(place + offset for offset, _statuses in depends)
            begin = sum(sizes[: number - 1]) if number else 0
            assert earlier == (list(range(begin, sum(sizes[:number]))) if number else [])
            assert all(statuses == ["success"] for _offset, statuses in depends)
            place += 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--plan", "--apply"), "Only one of"),
        (("--node-group", "nosuch"), "nosuch"),
        (("--min-gain", "much"), "much"),
    ],
)
def test_mistakes(stage: Stage, words: tuple[str, ...], told: str) -> None:
    facts = msgspec.to_builtins(uneven())
    ended = stage.answer(QueryPlacement=facts).run("cluster", "balance", *words)
    assert ended.code != 0
    assert told in "\n".join([*ended.out, *ended.err])


# -- capacity --------------------------------------------------------------------------------------


def capacity(stage: Stage, *words: str) -> tuple[int, list[str]]:
    facts = msgspec.to_builtins(uneven())
    ended = stage.answer(QueryPlacement=facts).run("cluster", "capacity", *words)
    return ended.code, [*ended.out, *ended.err]


def test_how_many_more_fit(stage: Stage) -> None:
    code, lines = capacity(stage, "-t", "drbd", "--limit", "5")
    assert code == 0
    assert lines[0] == "Of the standard size (drbd): 5 more instances fit"
    assert any(line.startswith("From large to small (drbd): ") for line in lines)


def test_what_restarts_where_after_a_loss(stage: Stage) -> None:
    _code, lines = capacity(stage, "-t", "drbd", "--limit", "1", "--without-node", "node0")
    assert lines[0] == "Without node0:"
    assert [line for line in lines if "restarts on" in line] == [
        f"  web{number} restarts on node1" for number in range(0, 12, 2)
    ]
    assert any("12 instances run on without their mirror" in line for line in lines)


def test_the_loss_of_both_nodes_of_a_pair(stage: Stage) -> None:
    words = ("-t", "drbd", "--limit", "1", "--without-node", "node0", "--without-node", "node1")
    _code, lines = capacity(stage, *words)
    lost = [line for line in lines if " is lost: its mirror on " in line]
    assert len(lost) == 12
    assert any(line.startswith("Of the standard size (drbd): ") for line in lines)


def test_whether_so_many_fit(stage: Stage) -> None:
    code, lines = capacity(stage, "--add", "3:memory=2g,disk=20g,vcpus=2,template=drbd")
    assert (code, lines[0]) == (0, "3 of 3 instances fit (drbd):")
    code, lines = capacity(stage, "--add", "900:memory=16g,template=diskless")
    assert code == 1
    assert "the next does not: No place for" in lines[-1]


def test_more_nodes_hold_more(stage: Stage) -> None:
    def fitting(*words: str) -> int:
        _code, lines = capacity(stage, "--add", "40:memory=16g,template=diskless", *words)
        return int(lines[0].split()[0])

    assert fitting("--add-nodes", "4") > fitting()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--without-node", "node9"), "node9"),
        (("--without-rack", "rack9"), "rack9"),
        (("--without-group", "nosuch"), "nosuch"),
        (("--add", "many"), "COUNT:memory"),
        (("--add", "3:colour=red"), "colour=red"),
        (("--add", "3:vcpus=0"), "processors"),
        (("--add-nodes", "-1"), "Between 0"),
        (("-t", "nosuch"), "nosuch"),
    ],
)
def test_mistakes_about_capacity(stage: Stage, words: tuple[str, ...], told: str) -> None:
    code, lines = capacity(stage, *words)
    assert code != 0
    assert told in "\n".join(lines)


# -- health ----------------------------------------------------------------------------------------


def looked(stage: Stage, facts: ClusterFacts, *words: str) -> tuple[int, list[str]]:
    ended = stage.answer(QueryPlacement=msgspec.to_builtins(facts)).run("cluster", *words)
    return ended.code, [*ended.out, *ended.err]


def test_a_cluster_that_has_lost_a_node_is_not_healthy(stage: Stage) -> None:
    facts = uneven()
    first, *rest = facts.nodes
    broken = msgspec.structs.replace(
        facts, nodes=(msgspec.structs.replace(first, offline=True), *rest)
    )
    code, lines = looked(stage, broken, "check", "--no-simulation")
    assert code == 1
    assert any("6 instances that run on offline nodes: web0" in line for line in lines)
    assert lines[-1] == "The cluster is not healthy"


def test_mirrors_are_not_rebooted_together(stage: Stage) -> None:
    code, lines = looked(stage, uneven(), "reboot-plan", "--offline-maintenance")
    batches = [line.partition(": ")[2].split(", ") for line in lines if line.startswith("Batch")]
    assert code == 0
    assert sorted(node for batch in batches for node in batch) == [f"node{n}" for n in range(4)]
    assert not any({"node0", "node1"} <= set(batch) for batch in batches)
    assert "node0" in batches[-1], "the master is last"


def test_nothing_is_powered_without_standby_nodes(stage: Stage) -> None:
    code, lines = looked(stage, uneven(), "squeeze")
    assert code == 0
    assert lines
    code, lines = looked(
        stage, uneven(), "squeeze", "--minimal-resources", "5", "--target-resources", "2"
    )
    assert code == 1
    assert "must not exceed" in "\n".join(lines)
