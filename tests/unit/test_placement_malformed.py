"""Broken files at every tool of htools: each is refused by line or object, with no traceback.

All runs happen in one child, as a program's own words and streams belong to its process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clusterd.placement import text_format
from tests.acceptance import htools_data

FACTS = htools_data.cluster(4, 8, 5)
GOOD = text_format.render(FACTS)
LINES = GOOD.split("\n")
POLICY = next(line for line in LINES if line.startswith("|"))
TOOLS = {
    "hbal": ("-l", "1"),
    "hspace": ("-l", "1", "--disk-template", "drbd"),
    "hcheck": ("--no-simulation",),
    "hroller": ("--offline-maintenance",),
    "hinfo": (),
}
CHILD = """
import contextlib, importlib, io, json, sys, traceback
answers = []
for tool, words in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    sys.argv = [tool, *words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = importlib.import_module("cli.htools." + tool).main()
        except SystemExit as ended:
            code = ended.code
        except BaseException:
            code, _ = -1, err.write(traceback.format_exc())
    answers.append((code, out.getvalue(), err.getvalue()))
json.dump(answers, sys.stdout)
"""


def run(asked: list[tuple[str, tuple[str, ...]]]) -> list[tuple[int, str, str]]:
    """(exit code, output, errors) of each (tool, words)."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD], input=json.dumps(asked), capture_output=True, text=True,
        check=True, timeout=120,
    )  # fmt: skip
    return [(code, out, err) for code, out, err in json.loads(done.stdout)]


def field(name: str, at: int, value: str) -> str:
    """The file with one field of one line changed."""
    lines = [line.split("|") for line in LINES]
    next(line for line in lines if line[0] == name)[at] = value
    return "\n".join("|".join(line) for line in lines)


def policy(at: int, value: str) -> str:
    fields = POLICY.split("|")
    fields[at] = value
    return GOOD.replace(POLICY, "|".join(fields))


def cut(before: str, more: int = 0) -> str:
    return GOOD[: GOOD.index(before) + more]


BROKEN = {
    "empty": ("", "1 sections instead of"),
    "blank lines": ("\n\n\n\n\n", "no node group"),
    "only groups": (LINES[0] + "\n", "1 sections"),
    "cut in a node": (cut("node002|", 12), "2 sections"),
    "cut in an instance": (cut("inst0004|", 12), "3 sections"),
    "cut in a policy": (GOOD[:-30], "Line 20 "),
    "no nodes": ("\n".join(one for one in LINES if one[:5] != "node0"), "There is no node: "),
    "JSON": ('{"nodes": []}\n', "1 sections"),
    "tabs": (GOOD.replace("|", "\t"), "Line 19 "),
    "more sections": (GOOD + "\n\nmore\n", "7 sections"),
    "a group with a name only": (GOOD.replace(LINES[0], "default"), "Line 1 (default): 1 fields"),
    "an allocation policy": (GOOD.replace("preferred", "nosuch", 1), "Line 1 "),
    "a group twice": (LINES[0] + "\n" + GOOD, "group default is there twice"),
    "memory below zero": (field("node001", 1, "-1"), "Node node001: memory_total_mib -1"),
    "memory without end": (field("node001", 1, "9" * 30), "Node node001: memory_total_mib"),
    "half a MiB": (field("node001", 1, "1.5"), "Line 4 "),
    "digits apart": (field("node001", 1, "65_536"), "Line 4 "),
    "digits of another script": (field("node001", 1, "\u0666\u0665"), "Line 4 "),
    "more free than there is": (field("node001", 3, "99999999"), "Node node001: 99999999 MiB"),
    "disk below zero": (field("node001", 5, "-7"), "Node node001: disk_free_mib -7"),
    "no processors": (field("node001", 6, "0"), "Node node001: an online node needs"),
    "no speed": (field("node001", 14, "nan"), "Node node001: an online node needs"),
    "a state": (field("node001", 7, "X"), "Line 4 "),
    "a node's group": (field("node001", 8, "nosuch"), "Node node001: there is no group nosuch"),
    "exclusive perhaps": (field("node001", 11, "maybe"), "Line 4 "),
    "a node twice": (field("node002", 0, "node001"), "node node001 is there twice"),
    "a node without a name": (field("node002", 0, ""), "node without a name"),
    "a name that rings": (field("node002", 0, "node\a2"), "'node\\x072'"),
    "an instance below zero": (field("inst0001", 1, "-128"), "Instance inst0001: memory_mib"),
    "an instance without end": (field("inst0001", 2, "9" * 25), "Instance inst0001: disk_mib"),
    "a template": (field("inst0001", 8, "nosuch"), "Line 9 "),
    "a status": (field("inst0001", 4, "asleep"), "Instance inst0001: unknown status"),
    "no such node": (field("inst0001", 6, "node9"), "Instance inst0001: there is no node node9"),
    "its own mirror": (field("inst0001", 7, "node000"), "secondary node are the same, node000"),
    "no mirror": (field("inst0001", 7, ""), "Instance inst0001: its template is drbd"),
    "an instance twice": (field("inst0002", 0, "inst0001"), "instance inst0001 is there twice"),
    "two fields": (GOOD.replace(LINES[8], "inst0001|128"), "Line 9 (inst0001|128): 2 fields"),
    "least above most": (policy(2, "32768,8,9,9,9,9;1,1,1,1,1,1"), "the cluster contradicts"),
    "least without most": (policy(2, "1,1,1,1,1,1"), "Line 19 "),
    "a policy's template": (policy(3, "drbd,nosuch"), "Line 19 "),
    "a ratio of nothing": (policy(4, "0"), "vcpu ratio of 0"),
    "an endless ratio": (policy(5, "inf"), "spindle ratio of inf"),
    "a standard nobody has": (policy(1, "64,1,1,1,1,1"), "fits none of its ranges"),
    "nobody's policy": (GOOD.replace(POLICY, "nosuch" + POLICY), "a group nosuch"),
    "two policies": (GOOD + POLICY.replace("4.0", "2.0") + "\n", "Line 21: a second instance"),
}  # fmt: skip


def test_every_broken_file_is_refused_by_every_tool(tmp_path: Path) -> None:
    asked, told = [], []
    for number, (name, (text, words)) in enumerate(BROKEN.items()):
        path = tmp_path / f"{number}.data"
        path.write_text(text, "utf-8")
        for tool, more in TOOLS.items():
            asked.append((tool, ("-t", str(path), *more)))
            told.append((name, words))
    assert len(BROKEN) > 30
    for (name, words), (tool, _), (code, out, err) in zip(told, asked, run(asked), strict=True):
        assert (code, out) == (1, ""), (name, tool, err)
        assert err.startswith("Error: "), (name, tool, err)
        assert words in err, (name, tool, err)


def test_whole_files_of_other_editors_are_read(tmp_path: Path) -> None:
    path = tmp_path / "cluster.data"
    path.write_text("\ufeff" + GOOD.replace("\n", "\r\n"), "utf-8", newline="")
    assert text_format.parse(path.read_text("utf-8")) == text_format.parse(GOOD)
    # standard sizes count for the cluster: a group's ranges may be above them
    narrow = POLICY.replace("|128,1,1024,1,1,1;", "|256,1,1024,1,1,1;")
    assert text_format.parse(GOOD.replace("default" + POLICY, "default" + narrow)).groups


Change = Callable[[dict[str, Any]], object]


def of_new(**fields: Any) -> Change:
    return lambda body: body["request"].update(fields)


def of_first(**fields: Any) -> Change:
    return lambda body: body["instances"]["inst0001"].update(fields)


def asking(**request: Any) -> Change:
    return lambda body: body.update(request=request)


def swapped(body: dict[str, Any]) -> None:
    (both,) = body["ipolicy"]["minmax"]
    body["ipolicy"] = {**body["ipolicy"], "minmax": [{"min": both["max"], "max": both["min"]}]}


NEW = htools_data.new_instance("new1")
REQUESTS: dict[str, tuple[Change, str]] = {
    "no nodes": (lambda body: body.update(nodes={}, instances={}), "There is no node"),
    "no groups": (lambda body: body.update(nodegroups={}), "There is no node group"),
    "a swapped policy": (swapped, "contradicts itself"),
    "a name that is taken": (of_new(name="inst0001"), "instance inst0001 already"),
    "no name": (of_new(name=""), "without a name"),
    "memory below zero": (of_new(memory=-1), "Instance new1: memory -1"),
    "disk without end": (of_new(disk_space_total=10**20), "Instance new1: disk 1000"),
    "a template": (of_new(disk_template="nosuch"), "unknown disk template 'nosuch'"),
    "three nodes for two": (of_new(required_nodes=3), "takes 2 nodes, not 3"),
    "a group": (of_new(group_name="nosuch"), "no node group nosuch"),
    "words for a list": (of_new(tags="db"), "$.tags"),
    "no such kind": (of_new(type="nosuch"), "$.type"),
    "on three nodes": (of_first(nodes=["node000", "node001", "node002"]), "inst0001: it has 3"),
    "on a node that is gone": (of_first(nodes=["node9", "node001"]), "inst0001: there is no node"),
    "the same twice": (asking(type="multi-allocate", instances=[NEW, NEW]), "new1 is asked for"),
    "out twice": (
        asking(type="node-evacuate", evac_mode="all", instances=["inst0001", "inst0001"]),
        "inst0001 is named twice",
    ),
    "out half": (asking(type="node-evacuate", evac_mode="half", instances=[]), "evac_mode"),
    "to nowhere": (
        asking(type="change-group", instances=["inst0001"], target_groups=["nosuch"]),
        "no group nosuch",
    ),
}


def test_every_broken_request_is_answered_with_what_is_wrong(tmp_path: Path) -> None:
    asked: list[tuple[str, tuple[str, ...]]] = []
    for number, (change, _words) in enumerate(REQUESTS.values()):
        body = json.loads(json.dumps(htools_data.request(FACTS, NEW)))
        change(body)
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(body), "utf-8")
        asked.append(("hail", (str(path),)))
    for (name, (_change, words)), (code, out, err) in zip(
        REQUESTS.items(), run(asked), strict=True
    ):
        reply = json.loads(out)
        assert (code, err, reply["success"], reply["result"]) == (1, "", False, []), name
        assert words in reply["info"], (name, reply)


def test_words_and_files_beside_the_data(tmp_path: Path) -> None:
    data, load = tmp_path / "cluster.data", tmp_path / "load"
    data.write_text(GOOD, "utf-8")
    load.write_text("inst0001 nan 1 1 1\n", "utf-8")
    rows = (
        ("hbal", ("-U", str(load)), "Line 1: after the instance inst0001 come four numbers"),
        ("hbal", ("-g", "nan"), "'nan' is not a number"),
        ("hbal", ("-l", "1", f"-C{tmp_path}/nosuch/commands"), "nosuch/commands"),
        ("hbal", ("-O", "nosuch"), "no node nosuch"),
        ("hspace", ("--max-cpu", "inf"), "'inf' is not a number"),
        ("hspace", ("--standard-alloc", "0,0,0"), "without end"),
        ("hspace", ("--standard-alloc", "1g,1g,\u0663"), "expected disk,ram,cpu"),
    )
    asked = [(tool, ("-t", str(data), *words)) for tool, words, _told in rows]
    for (tool, words, told), (code, _out, err) in zip(rows, run(asked), strict=True):
        assert code in (1, 2), (tool, words)
        assert told in err, (tool, words, err)
        assert "Traceback" not in err, (tool, words, err)
