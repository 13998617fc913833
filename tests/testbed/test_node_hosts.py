"""The node hosts are what docs/testbed.md says, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed import CommandFailed, Settings, Testbed, TestbedError
from tests.testbed.fixtures import session_testbed
from tests.testbed.settings import CHECKOUT

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def hosts() -> Iterator[Testbed]:
    """Two node hosts for this module."""
    yield from session_testbed(2)


def processes_of(settings: Settings) -> list[int]:
    """Every process of this machine that names the testbed's directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if os.fsencode(settings.directory) in words:
            found.append(int(entry.name))
    return found


def assert_nothing_left(testbed: Testbed) -> None:
    """No process, namespace or file."""
    assert processes_of(testbed.settings) == []
    assert not testbed.network.exists()
    assert not testbed.settings.directory.exists()


def test_a_node_host_has_lvm_drbd_libvirt_and_the_bridge(hosts: Testbed) -> None:
    n1 = hosts.node("n1")
    assert n1.run(["vgs", "--noheadings", "-o", "vg_name"]).stdout.split() == ["xenvg"]
    assert n1.read("/proc/drbd").startswith("version: 8.4")
    assert n1.run(["virsh", "-c", "qemu:///system", "list", "--all", "--name"]).stdout.strip() == ""
    assert " vec0:" in n1.run(["ip", "-o", "link", "show", "master", "br0"]).stdout
    assert n1.run(["test", "-x", "/opt/clusterd/bin/clusterd-node"]).ok


def test_root_of_a_node_host_reaches_the_others_whose_keys_it_knows(hosts: Testbed) -> None:
    n1 = hosts.node("n1")
    strict = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
    assert n1.run([*strict, "n2", "hostname"]).stdout == "n2.tb\n"
    keys = {node.run(["cat", "/etc/testbed/host_key.pub"]).stdout for node in hosts.nodes()}
    assert len(keys) == 2, "each node host has a key of its own"


def test_a_shell_of_a_node_host_finds_the_commands(hosts: Testbed) -> None:
    name = hosts.settings.directory.name.removeprefix("clusterd-testbed-")
    shell = [sys.executable, "-m", "tests.testbed", "--name", name, "exec", "n1"]
    said = subprocess.check_output(shell, cwd=CHECKOUT, input="command -v gnt-instance", text=True)
    assert said == "/opt/clusterd/bin/gnt-instance\n"


def test_a_drbd_disk_is_mirrored_between_two_node_hosts(hosts: Testbed) -> None:
    left, right = (f"ipv4:{hosts.node(name).address}:11000" for name in ("n1", "n2"))
    for name, own, peer in (("n1", left, right), ("n2", right, left)):
        hosts.node(name).run(
            f"lvcreate -q -y -Wn -L 16M -n data xenvg && lvcreate -q -y -Wn -L 128M -n meta xenvg"
            f" && drbdmeta --force 0 v08 /dev/xenvg/meta 0 create-md"
            f" && drbdsetup new-resource r0 && drbdsetup new-minor r0 0 0"
            f" && drbdsetup attach 0 /dev/xenvg/data /dev/xenvg/meta 0"
            f" && drbdsetup connect r0 {own} {peer} --protocol=C"
        )
    n1, n2 = hosts.node("n1"), hosts.node("n2")
    n1.run(["drbdsetup", "primary", "0", "--force"])
    n1.run("echo mirrored | dd of=/dev/drbd0 bs=512 count=1 conv=sync,fsync")
    deadline = time.monotonic() + 60
    while n1.run(["drbdsetup", "dstate", "0"]).stdout.strip() != "UpToDate/UpToDate":
        assert time.monotonic() < deadline, n1.read("/proc/drbd")
        time.sleep(0.5)
    n1.run("drbdsetup secondary 0 && drbdsetup down r0")
    n2.run("drbdsetup down r0")
    assert n2.run("dd if=/dev/xenvg/data bs=9 count=1").stdout == "mirrored\n"
    for node in (n1, n2):
        node.run(["lvremove", "-q", "-y", "xenvg"])


def test_disks_stay_over_a_power_cut_and_volumes_come_back_active(hosts: Testbed) -> None:
    n2 = hosts.node("n2")
    n2.run("lvcreate -q -y -L 8M -n kept xenvg && echo kept >/root/kept && sync")
    n2.kill()
    assert not n2.running
    with pytest.raises(CommandFailed):
        n2.run("true", timeout_s=15)
    n2.start()
    assert n2.read("/root/kept") == "kept\n"
    assert n2.run("test -b /dev/xenvg/kept && lvremove -q -y xenvg/kept").ok


def test_a_node_host_shuts_down_in_order_and_starts_again(hosts: Testbed) -> None:
    n2 = hosts.node("n2")
    n2.run("echo unsynced >/root/unsynced")
    n2.halt()
    assert not n2.running
    n2.start()
    assert n2.read("/root/unsynced") == "unsynced\n"


def test_a_pulled_cable_cuts_the_node_host_off_and_can_be_put_back(hosts: Testbed) -> None:
    n1, n2 = hosts.node("n1"), hosts.node("n2")
    ping = ["ping", "-q", "-c", "1", "-W", "1", "n2"]
    n2.unplug()
    assert not n1.run(ping, check=False).ok
    n2.plug()
    assert n1.run([*ping[:3], "5", *ping[4:]]).ok


def test_a_failing_command_says_where_and_what(hosts: Testbed) -> None:
    with pytest.raises(CommandFailed, match=r"n1: 'ls /nowhere' answered 2: .*No such file"):
        hosts.node("n1").run(["ls", "/nowhere"])
    with pytest.raises(CommandFailed, match=r"no end within 1 s"):
        hosts.node("n1").run(["sleep", "3"], timeout_s=1)


def test_an_unknown_node_host_and_a_second_up_are_refused(hosts: Testbed) -> None:
    with pytest.raises(TestbedError, match="no node host 'n9'"):
        hosts.node("n9")
    with pytest.raises(TestbedError, match="already up"):
        hosts.up(1)


@pytest.mark.parametrize("crash_s", [0.3, 1.0, 4.0])
def test_down_removes_all_that_a_killed_driver_left(crash_s: float) -> None:
    testbed = Testbed.named(f"check-{os.getpid()}-x")
    command = [sys.executable, "-m", "tests.testbed", "--name", f"check-{os.getpid()}-x", "up", "2"]
    driver = subprocess.Popen(command, cwd=CHECKOUT, start_new_session=True)
    try:
        time.sleep(crash_s)
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
        testbed.down()
    assert_nothing_left(testbed)
    testbed.down()  # nothing there is success


def test_a_directory_that_is_not_a_testbeds_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "somebodys").write_text("work")
    strange = Testbed(Settings(directory=tmp_path, namespace=f"clusterd-x{os.getpid()}"))
    with pytest.raises(TestbedError, match="left alone"):
        strange.down()
    assert (tmp_path / "somebodys").exists()


def test_a_testbed_name_must_be_usable() -> None:
    for name in ("", "../etc", "UPPER", "a" * 21):
        with pytest.raises(ValueError, match="testbed name"):
            Settings.named(name)
