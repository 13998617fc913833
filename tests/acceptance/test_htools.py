"""Our tools and the real htools on the same data: the same words, the same or a better answer."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from clusterd.placement import text_format
from tests.acceptance import htools_data

REAL = Path("/usr/lib/ganeti/3.0/usr/bin/htools")
SHAPES = [(6, 30, 1, 0), (8, 60, 2, 1), (10, 50, 3, 0)]


def ours(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; from cli.htools.{name} import main; sys.exit(main())"
    return _run([sys.executable, "-c", code, *words])


def theirs(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return _run([str(REAL), *words], {"HTOOLS": name, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})


def _run(argv: list[str], env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120, env=env)


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.strip()]


@pytest.fixture(params=SHAPES, ids=lambda shape: "-".join(map(str, shape)))
def data(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    nodes, instances, seed, offline = request.param
    path = tmp_path / "cluster.data"
    facts = htools_data.cluster(nodes, instances, seed, offline=offline)
    path.write_text(htools_data.text(facts), "utf-8")
    return str(path)


@pytest.fixture(params=SHAPES[::2], ids=lambda shape: "-".join(map(str, shape)))
def online(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Without offline nodes, which the original counts among a cluster's resources."""
    nodes, instances, seed, _none = request.param
    path = tmp_path / "cluster.data"
    path.write_text(htools_data.text(htools_data.cluster(nodes, instances, seed)), "utf-8")
    return str(path)


def test_hinfo_prints_the_same(data: str) -> None:
    assert lines(ours("hinfo", "-t", data)) == lines(theirs("hinfo", "-t", data))


def test_hbal_begins_the_same(data: str) -> None:
    words = ("-t", data, "-l", "0")
    assert lines(ours("hbal", *words)) == lines(theirs("hbal", *words))


FIELDS = "+idx,fqdn,amem,plist,slist,ptags,spindle_count,hi_spindles,inst_spindles,odd"


@pytest.mark.parametrize("domain", ["", ".example.com"])
def test_tables_and_saved_files_are_the_same(data: str, tmp_path: Path, domain: str) -> None:
    path = tmp_path / "named.data"
    named = re.sub(r"((node|inst)\d+)", rf"\1{domain}", Path(data).read_text("utf-8"))
    path.write_text(named.replace("inst0002|", "inst0002.other|", 1), "utf-8")
    saved = {}
    for run in (ours, theirs):
        into = tmp_path / run.__name__
        words = ("-t", str(path), "--no-disk-moves", "-l2", "-C", f"-p{FIELDS}")
        done = run("hbal", *words, "--print-instances", "-S", str(into))
        files = [Path(f"{into}.{end}").read_text("utf-8") for end in ("original", "balanced")]
        told = done.stderr.replace(str(into), "FILE")
        saved[run] = (done.returncode, done.stdout, told, files)
    assert saved[ours] == saved[theirs]
    words = ("-t", str(path), "-p", "--print-instances")
    assert ours("hinfo", *words).stderr == theirs("hinfo", *words).stderr


def score(done: subprocess.CompletedProcess[str]) -> float:
    found = re.findall(r"improved from \S+ to (\S+)", done.stdout)
    return float(found[0])


@pytest.mark.parametrize("more", [(), ("--no-disk-moves",)])
def test_hbal_ends_no_worse(data: str, more: tuple[str, ...]) -> None:
    mine, real = ours("hbal", "-t", data, *more), theirs("hbal", "-t", data, *more)
    assert mine.returncode == real.returncode == 0
    assert score(mine) <= score(real) + 1e-6


@pytest.mark.parametrize("short_mib", [0, 59000])
def test_hspace_says_the_same(data: str, tmp_path: Path, short_mib: int) -> None:
    """With offline nodes, too, and where a node fails N+1 already: nothing fits there."""
    facts = text_format.parse(Path(data).read_text("utf-8"))
    short = tuple(
        replace(node, memory_free_mib=max(0, node.memory_free_mib - short_mib))
        for node in facts.nodes
    )
    path = tmp_path / "short.data"
    path.write_text(text_format.render(replace(facts, nodes=short)), "utf-8")
    words = ("-t", str(path), "-l", "3", "--standard-alloc", "10g,1g,1", "--disk-template", "drbd")
    for form in ("yes", "no"):
        done = [run("hspace", *words, f"--machine-readable={form}") for run in (ours, theirs)]
        assert done[0].stderr == done[1].stderr
        mine, real = map(lines, done)
        assert mine == real


@pytest.mark.parametrize("limit", ["3", "8"])
def test_hspace_fills_and_saves_the_same(online: str, tmp_path: Path, limit: str) -> None:
    saved = {}
    for run in (ours, theirs):
        into = tmp_path / run.__name__
        words = ("-t", online, "-l", limit, "--disk-template", "drbd", "-p+idx,plist,slist,amem")
        done = run("hspace", *words, "-S", str(into))
        files = [Path(f"{into}.{end}").read_text("utf-8") for end in ("tiered", "standard")]
        saved[run] = (done.stdout, done.stderr.replace(str(into), "FILE"), files)
    assert saved[ours] == saved[theirs]


MOVE = re.compile(
    r"  [ 0-9]{3}\. inst\d{4} node\d{3}:node\d{3} => node\d{3}:node\d{3} [ 0-9]{3}\.\d{8}"
    r" a=(f|r:node\d{3})( (f|r:node\d{3}))*$"
)


def test_hbal_prints_moves_and_commands_in_the_same_form(data: str) -> None:
    for done in (
        ours("hbal", "-t", data, "-l", "4", "-C"),
        theirs("hbal", "-t", data, "-l4", "-C"),
    ):
        moves = [line for line in done.stdout.splitlines() if " => " in line]
        assert len(moves) == 4
        assert all(MOVE.match(line) for line in moves), moves
        assert done.stdout.count("gnt-instance ") >= 4
        assert "Commands to run to reach the above solution:" in done.stdout
        assert "echo jobset 1, 1 jobs" in done.stdout


def answered(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_hail_allocates_the_same(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    for nodes, instances, seed, offline in SHAPES:
        facts = htools_data.cluster(nodes, instances, seed, offline=offline)
        new = htools_data.new_instance("new1")
        for asked in (new, {"type": "multi-allocate", "instances": [new, {**new, "name": "new2"}]}):
            path.write_text(json.dumps(htools_data.request(facts, asked)), "utf-8")
            mine, real = answered(ours("hail", str(path))), answered(theirs("hail", str(path)))
            # where nothing fits, the original fails as a whole even for several instances
            placed = mine["result"] if "instances" not in asked else mine["result"][0]
            if real["success"]:
                assert (mine["success"], mine["result"]) == (True, real["result"])
            else:
                assert placed == []


@pytest.mark.parametrize("mode", ["primary-only", "secondary-only", "all"])
def test_hail_evacuates_the_same(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "request.json"
    facts = htools_data.cluster(8, 40, 4)
    leaving = [
        one.name
        for one in facts.instances
        if (one.primary == "node001" and mode != "secondary-only")
        or (one.secondary == "node001" and mode != "primary-only")
    ]
    asked = {"type": "node-evacuate", "evac_mode": mode, "instances": leaving}
    path.write_text(json.dumps(htools_data.request(facts, asked)), "utf-8")
    mine, real = answered(ours("hail", str(path))), answered(theirs("hail", str(path)))
    assert mine["success"] is real["success"] is True
    assert [name for name, *_rest in mine["result"][0]] == [
        name for name, *_rest in real["result"][0]
    ]
    assert mine["result"][1] == real["result"][1]
    assert {op["OP_ID"] for job in mine["result"][2] for op in job} == {
        op["OP_ID"] for job in real["result"][2] for op in job
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "cannot be read"), ("{}", "version"), ('{"version":3}', "nodegroups")],
)
def test_hail_answers_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "request.json"
    path.write_text(text, "utf-8")
    done = ours("hail", str(path))
    reply = answered(done)
    assert (done.returncode, reply["success"], reply["result"]) == (1, False, [])
    assert told in reply["info"]


@pytest.mark.parametrize("name", ["hbal", "hinfo"])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "cluster.data"
    whole = htools_data.text(htools_data.cluster(4, 8, 5))
    path.write_text(whole[: len(whole) // 2], "utf-8")
    done = ours(name, "-t", str(path))
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("short_mib", [0, 59000])
@pytest.mark.parametrize(
    "more", [("--no-simulation",), ("--no-disk-moves",), ("-l0", "--no-capacity-checks")]
)
def test_hcheck_counts_the_same(
    data: str, tmp_path: Path, more: tuple[str, ...], short_mib: int
) -> None:
    """Also where memory is short and some instances are on shared storage."""
    facts = text_format.parse(Path(data).read_text("utf-8"))
    short = tuple(
        replace(node, memory_free_mib=max(0, node.memory_free_mib - short_mib))
        for node in facts.nodes
    )
    shared = tuple(
        replace(one, template="rbd", secondary="") if short_mib and number % 3 == 0 else one
        for number, one in enumerate(facts.instances)
    )
    path = tmp_path / "short.data"
    path.write_text(text_format.render(replace(facts, nodes=short, instances=shared)), "utf-8")
    for form in ("yes", "no"):
        words = ("-t", str(path), *more, f"--machine-readable={form}")
        mine, real = ours("hcheck", *words), theirs("hcheck", *words)
        assert (mine.returncode, mine.stderr) == (real.returncode, real.stderr)
        if more[0] == "--no-disk-moves":  # how good the moves are is another test
            mine.stdout, real.stdout = mine.stdout.split("FINAL")[0], real.stdout.split("FINAL")[0]
            mine.stdout, real.stdout = (
                one.stdout.split(" after rebalancing")[0] for one in (mine, real)
            )
        assert lines(mine) == lines(real)


def test_hroller_needs_no_more_groups(online: str) -> None:
    words = ("-t", online, "--offline-maintenance")
    mine, real = lines(ours("hroller", *words)), lines(theirs("hroller", *words))
    assert mine[0] == real[0] == "'Node Reboot Groups'"
    assert len(mine) <= len(real)
    assert sorted(",".join(mine[1:]).split(",")) == sorted(",".join(real[1:]).split(","))
    assert "node000" in mine[-1].split(",")
    assert "node000" in real[-1].split(",")


# -- where the cluster comes from, and options of one tool -----------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("--simulate", "p,3,100g,16g,4", "-l", "2"),
        ("--simulate", "p,4,200G,16g,4,8", "-l", "3", "--disk-template", "drbd"),
        ("--simulate", "preferred,2,300g,16g,4,3,True", "--disk-template", "plain", "-l", "1"),
        ("--simulate", "p,2,20g,4g,2", "--simulate", "a,3,30g,8g,4", "--disk-template", "drbd"),
    ],
    ids=["small", "decimal", "exclusive", "two-groups"],
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
