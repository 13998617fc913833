"""Hooks, OS definitions and their scripts, run for real."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from clusterd.node.blocking import InlineThreads, ThreadedScripts
from clusterd.pooled import PooledThreads
from clusterd.verbs import os_definitions
from clusterd.verbs.errors import OsFailed, OsMissing, WrongInput
from clusterd.verbs.hooks import run_hooks
from clusterd.verbs.host import Host, Script, ScriptBusy
from clusterd.verbs.os import run_os
from clusterd.world import OsRun
from tests.unit.node_host import make_host, script
from tests.waiting import pause, reactor, run, settled, thread_pool


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return make_host(tmp_path)


# -- hooks -----------------------------------------------------------------------------------------


def test_hooks_run_in_order_with_their_environment_and_nothing_else(
    host: Host, tmp_path: Path
) -> None:
    folder = tmp_path / "hooks-a" / "instance-start-pre.d"
    script(folder / "20-second", "echo second; pwd; cat; echo to stderr >&2")
    script(folder / "10_first", "env | sort")
    script(folder / "30fails", "echo no; exit 3")
    script(folder / "40.skipped", "echo never")
    script(folder / "50unset", "echo never", mode=0o644)
    (folder / "60folder").mkdir()
    script(tmp_path / "hooks-b" / "instance-start-pre.d" / "00late", "echo late")
    said: list[str] = []
    environment = {"GANETI_OP_CODE": "OP_INSTANCE_STARTUP", "PATH": "/evil"}
    found = settled(run_hooks(host, "instance-start", "pre", environment, said.append))
    assert [(one.name, one.status, one.output) for one in found] == [
        (
            "instance-start-pre.d/10_first",
            "success",
            "GANETI_OP_CODE=OP_INSTANCE_STARTUP\nPATH=/sbin:/bin:/usr/sbin:/usr/bin\nPWD=/",
        ),
        ("instance-start-pre.d/20-second", "success", "second\n/\nto stderr"),
        ("instance-start-pre.d/30fails", "fail", "no"),
        ("instance-start-pre.d/40.skipped", "skip", ""),
        ("instance-start-pre.d/50unset", "skip", ""),
        ("instance-start-pre.d/60folder", "skip", ""),
        ("instance-start-pre.d/00late", "success", "late"),
    ]
    assert len(said) == 4


def test_hooks_of_a_phase_that_nobody_wrote_are_none(host: Host) -> None:
    assert settled(run_hooks(host, "node-add", "post", {}, print)) == ()


def test_one_hooks_directory_under_two_names_runs_once(host: Host, tmp_path: Path) -> None:
    script(tmp_path / "hooks-a" / "node-add-post.d" / "one", "echo here")
    (tmp_path / "hooks-b").symlink_to(tmp_path / "hooks-a")
    assert len(settled(run_hooks(host, "node-add", "post", {}, print))) == 1


def test_a_hook_that_cannot_be_started_fails(host: Host, tmp_path: Path) -> None:
    broken = tmp_path / "hooks-a" / "node-add-post.d" / "one"
    script(broken, "")
    broken.write_text("#!/no/such/shell\n")
    (result,) = settled(run_hooks(host, "node-add", "post", {}, print))
    assert result.status == "fail"
    assert "cannot be started" in result.output


@pytest.mark.parametrize(
    ("path", "phase"), [("../x", "pre"), ("a/b", "pre"), ("", "pre"), ("node-add", "during")]
)
def test_hook_paths_stay_in_their_directory(host: Host, path: str, phase: str) -> None:
    with pytest.raises(WrongInput):
        settled(run_hooks(host, path, phase, {}, print))


# -- OS definitions --------------------------------------------------------------------------------


def definition(place: Path, versions: str = "20\n", **files: str) -> Path:
    """An OS definition whose scripts say what they are."""
    for name in ("create", "import", "export", "rename", "verify"):
        script(place / name, f"echo {name}")
    (place / "ganeti_api_version").write_text(versions)
    (place / "parameters.list").write_text("dhcp Use DHCP\nsize\n")
    for name, text in files.items():
        (place / name.replace("_list", ".list")).write_text(text)
    return place


def test_definitions_are_found_and_judged(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    definition(first / "debian", "15\n20\n", variants_list="# all\ncloud\n\nminimal\n")
    definition(first / "old", "10\n")
    definition(first / "fifteen", "15\n").joinpath("variants.list").write_text("")
    definition(first / "future", "30\n")
    definition(first / "garbled", "twenty\n")
    definition(first / "locked").joinpath("create").chmod(0o644)
    definition(first / "lacking").joinpath("verify").unlink()
    definition(first / "shadow", "30\n")
    definition(second / "shadow")
    untrusted = definition(second / "untrusted")
    untrusted.joinpath("create").rename(untrusted / "create_untrusted")
    (first / "empty").mkdir()
    (first / ".hidden").mkdir()
    found = {one.name: one for one in os_definitions.find_all((first, second, tmp_path / "no"))}
    assert {name for name, one in found.items() if one.valid} == {"debian", "old", "untrusted"}
    assert {name: one.message for name, one in found.items() if not one.valid} == {
        "empty": "ganeti_api_version is missing",
        "fifteen": "variants.list names no variant",
        "future": "interface versions [30] are none of 20, 15, 10",
        "garbled": "ganeti_api_version must have one number a line",
        "lacking": "script 'verify' is missing",
        "locked": "script 'create' is not executable",
        "shadow": "interface versions [30] are none of 20, 15, 10",
    }
    debian = found["debian"]
    assert debian.variants == ("cloud", "minimal")
    assert debian.api_versions == (15, 20)
    assert debian.parameters == (("dhcp", "Use DHCP"), ("size", ""))
    assert (found["old"].variants, found["old"].parameters) == ((), ())
    assert os_definitions.newest_version(debian) == 20


def test_the_packages_own_definitions_come_last(tmp_path: Path) -> None:
    *given, shipped = os_definitions.search_path((tmp_path,))
    assert given == [tmp_path]
    assert shipped.parts[-3:] == ("clusterd", "share", "os")
    for found in os_definitions.find_all((shipped,)):
        assert found.valid, found.message


def os_run(**changes: Any) -> OsRun:
    values = {"os": "debian", "action": "create", "instance": "inst1", "environment": {"A": "b"}}
    return OsRun(**(values | changes))


def test_an_os_script_runs_in_its_directory_and_logs(host: Host, tmp_path: Path) -> None:
    place = definition(tmp_path / "os-b" / "debian")
    script(place / "create", "pwd; env | sort; echo done")
    settled(run_os(host, os_run()))
    (log,) = (tmp_path / "log" / "os").iterdir()
    assert log.name == f"create-debian-inst1-{int(host.clock.seconds())}.log"
    assert log.read_text().splitlines() == [
        str(place),
        "A=b",
        "OS_API_VERSION=20",
        "PATH=/sbin:/bin:/usr/sbin:/usr/bin",
        f"PWD={place}",
        "done",
    ]


def test_an_os_script_that_fails_tells_its_last_lines(host: Host, tmp_path: Path) -> None:
    place = definition(tmp_path / "os-a" / "debian")
    script(place / "create", "seq 1 100; echo mkfs: no such device >&2; exit 7")
    with pytest.raises(OsFailed) as caught:
        settled(run_os(host, os_run()))
    message = caught.value.message
    assert "code 7" in message
    assert "mkfs: no such device" in message
    assert "\n82\n" in message
    assert "\n80\n" not in message
    assert caught.value.subject == "inst1"


def test_verify_is_told_what_to_verify(host: Host, tmp_path: Path) -> None:
    script(definition(tmp_path / "os-a" / "debian") / "verify", 'test "$*" = parameters')
    settled(run_os(host, os_run(action="verify")))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"os": "nothing"}, OsMissing),
        ({"os": "../debian"}, OsMissing),
        ({"os": "debian+cloud"}, OsMissing),
        ({"os": "broken"}, OsMissing),
        ({"os": "untrusted"}, OsMissing),
        ({"action": "export"}, WrongInput),
        ({"action": "../create"}, WrongInput),
    ],
)
def test_os_runs_that_cannot_be_are_refused(
    host: Host, tmp_path: Path, changes: dict[str, Any], error: type[Exception]
) -> None:
    definition(tmp_path / "os-a" / "debian")
    definition(tmp_path / "os-a" / "broken", "99\n")
    untrusted = definition(tmp_path / "os-a" / "untrusted")
    untrusted.joinpath("create").rename(untrusted / "create_untrusted")
    with pytest.raises(error):
        settled(run_os(host, os_run(**changes)))
    assert not list(tmp_path.glob("log/os/*"))


# -- scripts ---------------------------------------------------------------------------------------


def alive(pid: int) -> bool:
    """False also for one that is dead and not yet reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_script_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    place = script(tmp_path / "slow", f"sleep 60 & echo $! > {tmp_path}/child; wait")
    begun = time.monotonic()
    end = ThreadedScripts(InlineThreads()).run_blocking(
        Script(argv=(str(place),), environment={"PATH": os.environ["PATH"]}, timeout_s=0.5)
    )
    assert (end.timed_out, end.code) == (True, -9)
    assert time.monotonic() - begun < 20
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 5
    while alive(child):
        assert time.monotonic() < deadline, "the child lives on"
        time.sleep(0.01)


def test_of_a_long_output_the_end_is_answered(tmp_path: Path) -> None:
    place = script(tmp_path / "loud", "seq 1 100000; printf '\\377end'")
    end = ThreadedScripts(InlineThreads()).run_blocking(
        Script(argv=(str(place),), environment={"PATH": os.environ["PATH"]})
    )
    assert len(end.output) <= 64 * 1024
    assert end.output.endswith("100000\n\ufffdend")


def test_a_script_is_not_run_beside_an_earlier_one_under_the_same_lock(tmp_path: Path) -> None:
    """Also when the daemon that began the earlier one is dead: the script itself holds the lock."""
    place = script(tmp_path / "leaves", "sleep 60 & echo $!")
    request = Script(
        argv=(str(place),),
        environment={"PATH": os.environ["PATH"]},
        lock=str(tmp_path / "lock"),
    )
    scripts = ThreadedScripts(InlineThreads())
    child = int(scripts.run_blocking(request).output)
    with pytest.raises(ScriptBusy):
        scripts.run_blocking(request)
    os.kill(child, 9)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(int(scripts.run_blocking(request).output), 9)
            break
        except ScriptBusy:
            time.sleep(0.01)
    else:
        pytest.fail("the lock was never let go")


def test_scripts_end_with_the_daemon(tmp_path: Path) -> None:
    place = script(tmp_path / "slow", "sleep 60")
    request = Script(argv=(str(place),), environment={"PATH": os.environ["PATH"]})

    async def story() -> None:
        with thread_pool() as pool:
            scripts = ThreadedScripts(PooledThreads(reactor, pool))
            from twisted.internet.defer import Deferred

            running = Deferred.fromCoroutine(scripts.run(request))
            while not scripts._running:
                await pause(0.01)
            scripts.kill_all()
            assert (await running).code == -9
            assert (await scripts.run(request)).code == -9

    run(story, timeout_s=10)
