"""Options of our tools and the real htools on the same data: the same words, or why not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import htools_data
from tests.acceptance.htools_runs import SHAPES, answered, lines, ours, theirs

pytestmark = pytest.mark.real


@pytest.fixture(params=SHAPES[:2], ids=lambda shape: "-".join(map(str, shape)))
def data(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    nodes, instances, seed, offline = request.param
    path = tmp_path / "cluster.data"
    facts = htools_data.cluster(nodes, instances, seed, offline=offline)
    path.write_text(htools_data.text(facts), "utf-8")
    return str(path)


@pytest.mark.parametrize(
    "words",
    [
        ("--simulate", "p,3,100g,16g,4", "-l", "2"),
        ("--simulate", "p,4,200G,16g,4,8", "-l", "3", "--disk-template", "drbd"),
        ("--simulate", "p,2,20g,4g,2", "--simulate", "a,3,30g,8g,4", "--disk-template", "drbd"),
    ],
    ids=["small", "decimal", "two-groups"],
)
def test_an_empty_cluster_is_made_up_the_same(words: tuple[str, ...]) -> None:
    for form in ("yes", "no"):
        done = [run("hspace", *words, f"--machine-readable={form}") for run in (ours, theirs)]
        assert done[0].returncode == done[1].returncode == 0
        assert lines(done[0]) == lines(done[1])


@pytest.mark.parametrize(
    "more",
    [
        ("--independent-groups",),
        ("--accept-existing-errors",),
        ("--spindle-use", "3"),
        ("--tiered-alloc", "40g,8g,4"),
    ],
)
def test_hspace_options_do_the_same(data: str, more: tuple[str, ...]) -> None:
    words = ("-t", data, "--disk-template", "drbd", "-l", "4", "--machine-readable", *more)
    assert lines(ours("hspace", *words)) == lines(theirs("hspace", *words))


def test_tiers_are_the_same_to_the_last(tmp_path: Path) -> None:
    path = tmp_path / "cluster.data"
    path.write_text(htools_data.text(htools_data.cluster(3, 10, 1)), "utf-8")
    words = ("-t", str(path), "--disk-template", "drbd", "--machine-readable")
    large = ("--standard-alloc", "1000000,30000,8")
    mine, real = ours("hspace", *words, *large), theirs("hspace", *words, *large)
    assert "HTS_TSPEC=" in real.stdout
    assert lines(mine) == lines(real)


@pytest.mark.parametrize(("shape", "template"), [((4, 12, 6, 1), "plain"), ((4, 9, 13, 0), "rbd")])
def test_tiers_without_mirrors_are_the_same(
    tmp_path: Path, shape: tuple[int, int, int, int], template: str
) -> None:
    """Where nodes could be emptied only in one of several ways, and one node is offline."""
    nodes, instances, seed, offline = shape
    facts = htools_data.cluster(nodes, instances, seed, offline=offline)
    path = tmp_path / "cluster.data"
    path.write_text(htools_data.text(htools_data.unmirrored(facts, template)), "utf-8")
    words = ("-t", str(path), "--disk-template", template, "--machine-readable")
    large = ("--standard-alloc", "200g,8g,1", "--tiered-alloc", "1000g,32g,8")
    mine, real = ours("hspace", *words, *large), theirs("hspace", *words, *large)
    assert "HTS_TSPEC=" in real.stdout
    assert lines(mine) == lines(real)


def monitoring(facts: Any, skip: str = "") -> str:
    def report(node: str, load: float) -> dict[str, Any]:
        found = {
            "name": "cpu-avg-load", "version": "B", "format_version": 1, "category": None,
            "timestamp": 1, "kind": 0,
            "data": {"cpu_number": 4, "cpus": [load / 4] * 4, "cpu_total": load},
        }  # fmt: skip
        return {"node": node, "reports": [found]}

    return json.dumps(
        [report(one.name, 0.5 + row) for row, one in enumerate(facts.nodes) if one.name != skip]
    )


def test_monitoring_data_counts_the_same(tmp_path: Path) -> None:
    facts = htools_data.cluster(5, 20, 2)
    cluster, told, part = tmp_path / "cluster.data", tmp_path / "mond", tmp_path / "part"
    cluster.write_text(htools_data.text(facts), "utf-8")
    told.write_text(monitoring(facts), "utf-8")
    part.write_text(monitoring(facts, skip="node003"), "utf-8")
    words = ("-t", str(cluster), "--mond", "--mond-data")
    for path in (told, part):
        mine, real = (run("hinfo", *words, str(path), "-p") for run in (ours, theirs))
        assert lines(mine) == lines(real)
        assert mine.stderr == real.stderr
    mine, real = (run("hbal", *words, str(told), "-l2", "-C") for run in (ours, theirs))
    assert lines(mine) == lines(real)
    strict = ("--exit-on-missing-mond-data", "-l1")
    mine, real = (run("hbal", *words, str(part), *strict) for run in (ours, theirs))
    assert (mine.returncode, mine.stderr) == (real.returncode, real.stderr)
    assert mine.returncode == 1


def test_hbal_prints_the_first_job_group_alone(data: str) -> None:
    words = ("-t", data, "--no-disk-moves", "-l3", "--first-job-group", "-C")
    mine, real = ours("hbal", *words), theirs("hbal", *words)
    assert "First set of jobs:" in real.stdout
    # of moves that share no node, the original runs some one after the other
    before = [done.stdout.split("  echo jobset 1,")[0] for done in (mine, real)]
    assert before[0] == before[1]
    assert mine.stdout.count("echo job 1/") >= real.stdout.count("echo job 1/") >= 1
    assert "jobset 2" not in mine.stdout
    for wrong in (("--priority", "urgent"), ("-X",)):
        done = ours("hbal", "-t", data, *wrong)
        assert done.returncode != 0
        assert done.stdout == ""


def test_hail_shows_and_saves_the_same(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    facts = htools_data.cluster(4, 10, 5)
    first = facts.instances[0]
    leaves = {"type": "relocate", "name": first.name, "relocate_from": [first.secondary],
              "disk_space_total": 10240, "required_nodes": 1}  # fmt: skip
    for asked in (htools_data.new_instance("new1"), leaves):
        path.write_text(json.dumps(htools_data.request(facts, asked)), "utf-8")
        seen = {}
        for run in (ours, theirs):
            into = tmp_path / f"{run.__name__}-{asked['type']}"
            done = run("hail", str(path), "-p", "-S", str(into))
            saved = [
                Path(f"{into}.{end}").read_text("utf-8") for end in ("pre-ialloc", "post-ialloc")
            ]
            bodies = [text.split("\n\n")[:4] for text in saved]
            nodes_and_more = [[part.split("\n") for part in body] for body in bodies]
            told = "\n".join(done.stderr.replace(str(into), "FILE").split())
            seen[run] = (json.loads(done.stdout)["result"], told, nodes_and_more)
        assert seen[ours] == seen[theirs]


def test_hail_asks_another_cluster(tmp_path: Path) -> None:
    path, other = tmp_path / "request.json", tmp_path / "cluster.data"
    request = htools_data.request(htools_data.cluster(4, 10, 5), htools_data.new_instance("new1"))
    path.write_text(json.dumps(request), "utf-8")
    other.write_text(htools_data.text(htools_data.cluster(6, 20, 8)), "utf-8")
    for more in (("-t", str(other)), ("-t", str(other), "--ignore-dynu"), ()):
        mine, real = (answered(run("hail", str(path), *more)) for run in (ours, theirs))
        assert mine["result"] == real["result"]
        score_of = [re.findall(r"score: (\S+),", one["info"]) for one in (mine, real)]
        assert score_of[0] == score_of[1]
    simulated = ("--simulate", "p,3,100g,16g,4,8")
    assert answered(ours("hail", str(path), *simulated))["success"]


def test_a_request_is_a_cluster_too(tmp_path: Path) -> None:
    """Each instance counts once; the original counts it twice."""
    path, file = tmp_path / "request.json", tmp_path / "cluster.data"
    facts = htools_data.cluster(4, 10, 5)
    path.write_text(json.dumps(htools_data.request(facts, htools_data.new_instance("n"))), "utf-8")
    file.write_text(htools_data.text(facts), "utf-8")
    plain = ("--static-kvm-node-memory", "0")
    assert lines(ours("hinfo", "-I", str(path), *plain)) == lines(ours("hinfo", "-t", str(file)))
    for tool in ("hbal", "hcheck", "hroller", "hspace"):
        more = ("--force",) if tool == "hroller" else ("-l1",)
        done = ours(tool, "-I", str(path), *more)
        assert "Error" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("hspace", "--simulate", "p,3,100g"), "got 3"),
        (("hspace", "--simulate", "x,3,100g,1g,1"), "'x'"),
        (("hspace", "--simulate", "p,-3,100g,1g,1"), "'-3'"),
        (("hspace", "--simulate", "p,3,100y,1g,1"), "'100y'"),
        (("hspace", "--tiered-alloc", "1,2", "--simulate", "p,3,1g,1g,1"), "Invalid tiered"),
        (("hspace", "--disk-template", "nope", "--simulate", "p,3,1g,1g,1"), "nope"),
        (("hspace", "--spindle-use=-1", "--simulate", "p,3,1g,1g,1"), "spindle"),
        (("hspace",), "No backend selected"),
        (("hbal", "-t", "/nosuch", "-m", "x"), "Only one"),
        (("hinfo", "-I", "/dev/null"), "cannot be read"),
    ],
)
def test_wrong_words_are_refused(words: tuple[str, ...], told: str) -> None:
    done = ours(*words)
    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_hscan_tells_of_a_cluster_that_does_not_answer(tmp_path: Path) -> None:
    words = ("-d", str(tmp_path), "http://127.0.0.1:1")
    mine, real = ours("hscan", *words), theirs("hscan", *words)
    assert mine.returncode == real.returncode == 2
    assert lines(mine)[0] == lines(real)[0], "the line above"
    assert (
        lines(mine)[1]
        == lines(real)[1]
        == ("Error for http://127.0.0.1:1: failed to load data. Details:")
    )
    assert list(tmp_path.iterdir()) == []
