"""Command lines that make no sense: what is said, and that nothing is sent."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli_stage import Stage, job_answers, stage_in


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as made:
        made.answer(**job_answers(), QueryInstances=[["web1"]])
        yield made


ADD = "instance add -o noop -n n1"

REFUSED = "Failure: prerequisites not met for this operation:"

WRONG: list[tuple[str, int, str]] = [
    ("instance add", 1, "Error: Command add expects 1 argument(s)"),
    ("instance add -t diskless a b", 1, "Error: Command add expects 1 argument(s)"),
    ("instance remove web1 -f", 1, "Error: Command remove expects 1 argument(s)"),
    ("node modify", 1, "Error: Command modify expects 1 argument(s)"),
    (
        "image add img1 --file=/x",
        1,
        "Error: Command add expects 1 argument(s); options stand before the arguments: --file=/x",
    ),
    ("job info", 1, "Error: Command info expects at least 1 argument(s)"),
    ("cluster info x", 1, "Error: Command info expects no arguments"),
    ("instance add --nosuchoption web1", 2, "gnt-instance: error: no such option: --nosuchoption"),
    (f"{ADD} -t diskless --file-driver=tape web1", 2, "gnt-instance: error:"),
    ("instance migrate --i web1", 2, "gnt-instance: error: ambiguous option: --i (--iallocator, "),
    (f"{ADD} -s 1q web1", 2, "gnt-instance: error: option -s: '1q' is not a size"),
    (f"{ADD} -t plain --disk size=1g web1", 2, "gnt-instance: error: option --disk:"),
    (f"{ADD} -B vcpus=1,vcpus=2 web1", 2, "gnt-instance: error: option -B:"),
    (f"{ADD} -B maxmem=x web1", 2, "gnt-instance: error: option -B: parameter 'maxmem'"),
    (f"{ADD} -n n1: web1", 2, "gnt-instance: error: option -n:"),
    (f"{ADD} -n", 2, "gnt-instance: error: option '-n' requires an argument"),
    ("instance modify --net 0:remove,ip=1 web1", 2, "gnt-instance: error: option --net:"),
    ("instance modify --net 0:add,remove web1", 2, "gnt-instance: error: option --net:"),
    ("instance modify --disk add web1", 2, "gnt-instance: error: option --disk: a new disk needs"),
    ("node modify -O maybe n1", 2, "gnt-node: error: option -O: 'maybe' is neither yes nor no"),
    ("cluster modify -C many", 2, "gnt-cluster: error: option -C: 'many' is not a whole number"),
    (
        "cluster modify --ipolicy-std-specs x=1",
        2,
        "gnt-cluster: error: option --ipolicy-std-specs:",
    ),
    ("cluster modify --ipolicy-bounds-specs min:cpu-count=1", 2, "gnt-cluster: error:"),
    ("debug delay --priority=huge 1", 2, "gnt-debug: error:"),
    ("debug delay --idempotency-key= 1", 2, "error: option --idempotency-key: the name of a"),
    (f"{ADD} web1", 1, "No disk information specified"),
    (f"{ADD} -t nosuch web1", 1, "Unknown disk template 'nosuch': there are blockdev, diskless"),
    ("instance add -t diskless -n n1 web1", 1, "No guest OS or OS image specified"),
    (f"{ADD} -t diskless -s 1g web1", 1, "Diskless instance but disk information passed"),
    (f"{ADD} -t plain -s 1g --disk 0:size=1g web1", 1, "Please use either the '--disk' or '-s'"),
    (f"{ADD} -t plain --disk 0:mode=rw web1", 1, "Missing size or adoption source for disk 0"),
    (f"{ADD} -t plain --disk 0:size=1g,adopt=x web1", 1, "Only one of 'size' and 'adopt'"),
    (f"{ADD} -t plain --disk 16:size=1g web1", 1, "Disk 16 is not possible, at most 16"),
    (f"{ADD} -t diskless --net 8:ip=none web1", 1, "Network card 8 is not possible"),
    (f"{ADD} -t diskless --no-nics --net 0:ip=none web1", 1, "Please use either the '--net'"),
    ("instance migrate -f --non-live --migration-mode=live web1", 1, "Only one of --non-live"),
    ("instance modify --offline --online web1", 1, "Only one of --offline and --online"),
    ("instance modify web1", 1, "Please give at least one of the parameters."),
    ("instance modify -f web1", 1, "Please give at least one of the parameters."),
    ("node modify --auto-promote n1", 1, "Please give at least one of the parameters."),
    ("cluster modify", 1, "Please give at least one of the parameters."),
    ("instance startup --all web1", 1, "No names can be given together with --all"),
    ("instance startup --node --primary n1", 1, "Only one of these options can be given"),
    ("instance startup", 1, "No instance names passed"),
    ("debug metad echo", 1, "gnt-debug metad is not served yet"),
    ("network add net1", 1, "The option --network is missing"),
    ("node failover -f --ignore-consistency n1", 1, "gnt-node failover is not served yet"),
    ("job info abc", 1, "Invalid job ID passed: 'abc' is not a number"),
    ("debug delay soon", 1, "'soon' is not a number"),
]


@pytest.mark.parametrize(("line", "code", "text"), WRONG, ids=[line for line, _, _ in WRONG])
def test_a_wrong_line_is_refused_and_nothing_is_sent(
    stage: Stage, line: str, code: int, text: str
) -> None:
    ended = stage.run(*shlex.split(line))
    assert ended.code == code
    assert any(text in said for said in ended.err), ended.err
    assert ended.out == []
    assert not stage.responder.of("SubmitJob")
    assert not stage.responder.of("SubmitManyJobs")


def test_a_refusal_before_sending_looks_like_one_of_the_master(stage: Stage) -> None:
    ended = stage.run("instance", "add", "-o", "noop", "-n", "n1", "web1")
    assert ended.err == [
        REFUSED,
        "error type: wrong_input, error details:",
        "No disk information specified",
    ]


def test_a_mistake_shows_the_usage(stage: Stage) -> None:
    ended = stage.run("instance", "add", "--nosuchoption", "web1")
    assert ended.err == [
        "Usage",
        "=====",
        "  gnt-instance add [...] -t disk-type -n node[:secondary-node] -o os-type <instance-name>",
        "",
        "gnt-instance: error: no such option: --nosuchoption",
    ]
