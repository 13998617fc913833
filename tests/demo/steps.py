"""The steps of the demo, in order. Each does one thing that an operator does and then reads back
from the hosts, not from the commands, that it is true.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.demo import guest
from tests.demo.cluster import MASTER, Cluster
from tests.demo.image import build_image, deliver_image
from tests.demo.report import DemoFailed

INSTANCE = "web1.tb"
NODES = 3
TEMPLATES = "drbd,plain,file,sharedfile,diskless"
SMALL_GUESTS = (
    "min:memory-size=64,cpu-count=1,disk-count=1,disk-size=16,nic-count=0,spindle-use=1/"
    "max:memory-size=1024,cpu-count=2,disk-count=4,disk-size=4096,nic-count=4,spindle-use=2"
)
"""The usual policy asks for 128 MiB of memory and a disk of 1 GiB at least."""

Step = Callable[[Cluster], None]


def require(true: bool, otherwise: str) -> None:
    """A claim. Raises DemoFailed with what was found instead."""
    if not true:
        raise DemoFailed(otherwise)


def build_guest(cluster: Cluster) -> None:
    """Build the guest image from Debian packages"""
    image = build_image(cluster.report.say)
    cluster.report.fact(f"{image.name}: {image.stat().st_size // 2**20} MiB, Debian's kernel")


def start_hosts(cluster: Cluster) -> None:
    """Start three node hosts, each with its own kernel"""
    cluster.testbed.up(NODES)
    for node in cluster.testbed.nodes():
        deliver_image(node)
        kernel, drbd, group = node.run(
            "uname -r; sed -n 's/^version: \\([^ ]*\\).*/\\1/p' /proc/drbd;"
            " vgs --noheadings -o vg_name,vg_size"
        ).stdout.splitlines()
        fact = f"kernel {kernel}, DRBD {drbd}, volume group {' '.join(group.split())}"
        cluster.report.fact(f"{node.name} {node.address}: {fact}")


def init_cluster(cluster: Cluster) -> None:
    """gnt-cluster init"""
    cluster.gnt(
        *("gnt-cluster", "init"),
        *(f"--enabled-disk-templates={TEMPLATES}", "--enabled-hypervisors=kvm"),
        *("--vg-name=xenvg", "--master-netdev=br0", "-N", "link=br0"),
        *("-H", "kvm:kernel_path=", "--no-etc-hosts"),
        f"--ipolicy-bounds-specs={SMALL_GUESTS}",
        "cluster.tb",
    )
    master = cluster.gnt("gnt-cluster", "getmaster").strip()
    require(master == "n1.tb", f"the master is {master!r}, not n1.tb")
    addresses = cluster.node(MASTER).run(["ip", "-o", "-4", "addr", "show", "br0"]).stdout
    wanted = f"{cluster.testbed.settings.net}.10/"
    require(wanted in addresses, f"n1 does not have the cluster's address {wanted}: {addresses}")
    cluster.report.fact(f"master {master}, the cluster's address {wanted[:-1]} is on its br0")


def add_nodes(cluster: Cluster) -> None:
    """gnt-node add n2, n3 over SSH with checked host keys"""
    for name in ("n2.tb", "n3.tb"):
        cluster.gnt("gnt-node", "add", name)
        found = cluster.node(name).run("pgrep -f clusterd-node", check=False).stdout.split()
        require(bool(found), f"no clusterd-node runs on {name}")
    rows = cluster.gnt(
        "gnt-node", "list", "--no-headers", "--separator=|", "-o", "name,offline,mtotal,dtotal"
    ).split()
    require(len(rows) == NODES, f"gnt-node list shows {rows}")
    for row in rows:
        name, offline, memory, disk = row.split("|")
        require(offline == "N" and "?" not in memory + disk, f"{name} is not whole: {row}")
        cluster.report.fact(f"{name}: {memory} MiB memory, {disk} MiB disk")


def add_instance(cluster: Cluster) -> None:
    """gnt-instance add -t drbd on n2, mirrored to n3"""
    cluster.gnt(
        *("gnt-instance", "add", "-t", "drbd", "-n", "n2.tb:n3.tb", "-o", "demo-guest"),
        *("--disk", "0:size=64M", "-B", "memory=96", "--no-name-check", "--no-ip-check", INSTANCE),
    )
    state = cluster.fields("instance", INSTANCE, "pnode", "snodes", "status")
    require(state == ["n2.tb", "n3.tb", "running"], f"{INSTANCE} is {state}")
    require(cluster.running_on(INSTANCE) == ["n2"], f"runs on {cluster.running_on(INSTANCE)}")
    status = cluster.node("n2").run(["drbdsetup", "dstate", "0"]).stdout.strip()
    require(status == "UpToDate/UpToDate", f"the mirror is {status}")
    cluster.report.fact(f"QEMU runs on n2 alone; DRBD says {status}")


def hear_heartbeat(cluster: Cluster) -> None:
    """Read the guest's heartbeat on its console"""
    counted = guest.ticks(cluster.wait_ticks("n2", INSTANCE, 5))
    require(not guest.gap(counted), f"the console count has a gap: {guest.gap(counted)}")
    written = cluster.disk_counter("n2")
    cluster.report.fact(f"console: TICK {counted[0]} to {counted[-1]}; disk: {written.tick}")


def migrate(cluster: Cluster) -> None:
    """gnt-instance migrate: live, while the guest counts"""
    before = guest.ticks(cluster.console("n2", INSTANCE))[-1]
    offset = len(cluster.console("n3", INSTANCE))
    output = cluster.gnt("gnt-instance", "migrate", "-f", INSTANCE)
    landed = cluster.wait_ticks("n3", INSTANCE, 5, offset=offset)
    require(cluster.running_on(INSTANCE) == ["n3"], f"runs on {cluster.running_on(INSTANCE)}")
    # joined as bytes came out of the one serial port, so a line cut in two becomes whole again
    whole = cluster.console("n2", INSTANCE) + landed
    counted = [tick for tick in guest.ticks(whole) if tick >= before]
    require(not guest.gap(counted), f"the count has a gap: {guest.gap(counted)}")
    require(len(guest.boots(whole)) == 1, f"the guest restarted: {guest.boots(whole)}")
    cluster.report.fact(f"counted {counted[0]} to {counted[-1]} over it, none lost, none doubled")
    for line in output.splitlines():
        if "downtime" in line.lower():
            cluster.report.fact(line.split(" ", 5)[-1].strip(" -*"))


def compare_mirrors(cluster: Cluster) -> None:
    """Compare the disk contents on n2 and n3"""
    sums = {name: cluster.checksum_beside_counter(name) for name in ("n2", "n3")}
    require(sums["n2"] == sums["n3"], f"the volumes differ: {sums}")
    # The guest goes on counting; a write ends only when both hosts have it, so the other side read
    # in between cannot be older than the first reading nor newer than the second.
    first, other, second = (cluster.disk_counter(name) for name in ("n3", "n2", "n3"))
    require(first <= other <= second, f"the mirror lags: {first}, {other}, {second}")
    cluster.report.fact(f"equal on both: sha256 {sums['n2'][:16]}..., counter at {other.tick}")


def failover(cluster: Cluster) -> None:
    """gnt-instance failover back to n2"""
    before = cluster.disk_counter("n3")
    offset = len(cluster.console("n2", INSTANCE))
    cluster.gnt("gnt-instance", "failover", "-f", INSTANCE)
    _continues(cluster, "n2", offset, before)


def verify_whole(cluster: Cluster) -> None:
    """gnt-cluster verify finds nothing wrong"""
    output = cluster.gnt("gnt-cluster", "verify")
    wrong = [line for line in output.splitlines() if "ERROR" in line]
    require(not wrong, f"verify complains: {wrong}")
    cluster.report.fact("no error")


def cut_power(cluster: Cluster) -> None:
    """Cut the power of n2 under the running guest"""
    host = cluster.node("n2")
    host.kill()
    require(not host.running, "n2 still runs")
    cluster.gnt("gnt-node", "modify", "-O", "yes", "n2.tb")
    offline = cluster.fields("node", "n2.tb", "offline")
    require(offline == ["Y"], f"gnt-node list says offline={offline}")
    cluster.report.fact("n2 has no power and is marked offline")


def failover_from_dead(cluster: Cluster) -> None:
    """gnt-instance failover with the primary's host dead"""
    before = cluster.disk_counter("n3")
    offset = len(cluster.console("n3", INSTANCE))
    cluster.gnt("gnt-instance", "failover", "-f", "--ignore-consistency", INSTANCE)
    _continues(cluster, "n3", offset, before)


def verify_degraded(cluster: Cluster) -> None:
    """gnt-cluster verify names what is wrong now"""
    output = cluster.gnt("gnt-cluster", "verify", allowed=(0, 1))
    told = [
        line.strip(" -*") for line in output.splitlines() if "n2.tb" in line or INSTANCE in line
    ]
    require(bool(told), f"verify does not mention n2.tb or {INSTANCE}: {output[-1500:]}")
    for line in told[:4]:
        cluster.report.fact(line)


def list_jobs(cluster: Cluster) -> None:
    """gnt-job list"""
    rows = cluster.gnt(
        "gnt-job", "list", "--no-headers", "--separator=|", "-o", "id,status,summary"
    ).splitlines()
    bad = [row for row in rows if row.split("|")[1] != "success"]
    require(bool(rows) and not bad, f"jobs that did not succeed: {bad or rows}")
    for row in rows:
        cluster.report.fact("  ".join(row.split("|")))


def _continues(cluster: Cluster, node: str, offset: int, before: guest.Counter) -> None:
    """The guest started once on ``node`` alone, found its count on the disk and goes on."""
    fresh = cluster.wait_ticks(node, INSTANCE, 3, offset=offset)
    require(cluster.running_on(INSTANCE) == [node], f"runs on {cluster.running_on(INSTANCE)}")
    started = guest.boots(fresh)
    require(len(started) == 1, f"expected one start on {node}: {started}")
    boot = started[0]
    require(boot.number == before.boot + 1, f"start {boot.number} came after {before.boot}")
    require(boot.last >= before.tick, f"the disk lost counts: {boot.last} after {before.tick}")
    counted = guest.ticks(fresh)
    require(counted[0] == boot.last + 1, f"the count began at {counted[0]} after {boot.last}")
    cluster.report.fact(f"start {boot.number} on {node}: found {boot.last}, counts {counted[-1]}")


STEPS: tuple[Step, ...] = (
    build_guest,
    start_hosts,
    init_cluster,
    add_nodes,
    add_instance,
    hear_heartbeat,
    migrate,
    compare_mirrors,
    failover,
    verify_whole,
    cut_power,
    failover_from_dead,
    verify_degraded,
    list_jobs,
)


def run_steps(cluster: Cluster) -> float:
    """Run all steps; answers the seconds they took. Raises DemoFailed at the first that fails."""
    began = time.monotonic()
    for step in STEPS:
        with cluster.report.step((step.__doc__ or step.__name__).strip()):
            step(cluster)
    return time.monotonic() - began
