"""What an operator's program does with the stock client, on whatever cluster it is pointed at."""

from __future__ import annotations

from typing import Any

import msgspec

POLL_S = 0.2


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to make, and where."""

    instance: str
    nodes: tuple[str, str]
    """Primary and secondary."""
    os: str
    hypervisor: str
    disk_template: str = "drbd"
    disks: tuple[dict[str, Any], ...] = ({"size": 1024},)
    nics: tuple[dict[str, Any], ...] = ({},)
    memory_mib: int = 128
    bridge: str = "br0"
    hvparams: dict[str, Any] = {}
    job_s: float = 600.0
    """The longest that one job may take."""
    graceful: bool = True
    """Whether the guest powers off when asked, so that stopping need not be forced."""


class Failed(AssertionError):
    """A job did not succeed."""


def finish(client: Any, plan: Plan, job_id: int) -> Any:
    """The results of a job; raises Failed with what it says."""
    retries = int(plan.job_s / POLL_S)
    well = client.WaitForJobCompletion(job_id, period=POLL_S, retries=retries)
    job = client.GetJobStatus(job_id)
    if not well:
        raise Failed(f"job {job_id} {job['summary']} is {job['status']}: {job['opresult']}")
    return job["opresult"]


def look(client: Any, plan: Plan) -> None:
    """All that only reads."""
    assert client.GetVersion() == 2
    assert len(set(client.GetFeatures())) == 4
    info = client.GetInfo()
    assert info["master"] in client.GetNodes()
    assert plan.hypervisor in info["enabled_hypervisors"]
    assert set(plan.nodes) <= set(client.GetNodes())
    assert plan.os in [name.split("+")[0] for name in client.GetOperatingSystems()]
    nodes = {node["name"]: node for node in client.GetNodes(bulk=True)}
    assert all(nodes[name]["mtotal"] > 0 for name in plan.nodes)
    assert client.GetNode(info["master"])["role"] == "M"
    assert client.GetNodeRole(info["master"]) == "master"
    assert isinstance(client.GetNodeTags(info["master"]), list)
    (group, *_) = client.GetGroups()
    assert set(plan.nodes) <= set(client.GetGroup(group)["node_list"])
    assert client.GetGroups(bulk=True)[0]["name"] == group
    assert isinstance(client.GetNetworks(), list)
    assert isinstance(client.GetClusterTags(), list)
    assert client.GetFilters() == []
    assert all(isinstance(number, int) for number in client.GetJobs())
    assert isinstance(client.GetJobs(bulk=True), list)
    names = {field["name"] for field in client.QueryFields("instance")["fields"]}
    assert {"name", "status", "oper_ram"} <= names


def make(client: Any, plan: Plan) -> None:
    """Create the instance, described in detail, found by a query."""
    nodes = {"pnode": plan.nodes[0]}
    if plan.disk_template == "drbd":
        nodes["snode"] = plan.nodes[1]
    job_id = client.CreateInstance(
        "create",
        plan.instance,
        plan.disk_template,
        list(plan.disks),
        list(plan.nics),
        os=plan.os,
        hypervisor=plan.hypervisor,
        beparams={"maxmem": plan.memory_mib, "minmem": plan.memory_mib, "vcpus": 1},
        hvparams=plan.hvparams,
        ip_check=False,
        name_check=False,
        start=False,
        **nodes,
    )
    finish(client, plan, job_id)
    assert plan.instance in client.GetInstances()
    one = client.GetInstance(plan.instance)
    assert (one["status"], one["pnode"]) == ("ADMIN_down", plan.nodes[0])
    assert one["disk.sizes"] == [disk["size"] for disk in plan.disks]
    networks = [card.get("network") for card in plan.nics]
    assert one["nic.networks.names"] == networks
    assert all(bool(ip) == bool(name) for ip, name in zip(one["nic.ips"], networks, strict=True))
    found = client.Query("instance", ["name", "pnode"], ["=", "name", plan.instance])
    assert found["data"] == [[[0, plan.instance], [0, plan.nodes[0]]]]
    (detail,) = finish(client, plan, client.GetInstanceInfo(plan.instance))
    assert detail[plan.instance]["pnode"] == plan.nodes[0]


def expect(client: Any, plan: Plan, *wanted: str) -> None:
    """The instance's status, and where it should be if that is named; raises Failed otherwise."""
    one = client.GetInstance(plan.instance)
    found = (one["status"], one["pnode"])[: len(wanted)]
    if found != wanted:
        raise Failed(f"instance {plan.instance}: status and node are {found}, not {wanted}")


def move(client: Any, plan: Plan) -> None:
    """Start, watch a job change, migrate there, fail over back, restart."""
    first, second = plan.nodes
    job_id = client.StartupInstance(plan.instance)
    seen = client.WaitForJobChange(job_id, ["id", "status"], None, None)
    assert seen["job_info"][0] == job_id
    finish(client, plan, job_id)
    expect(client, plan, "running", first)
    assert client.GetInstanceConsole(plan.instance)["instance"] == plan.instance
    if plan.disk_template == "drbd":
        finish(client, plan, client.MigrateInstance(plan.instance, mode="live"))
        expect(client, plan, "running", second)
        finish(client, plan, client.FailoverInstance(plan.instance))
        expect(client, plan, "running", first)
    finish(client, plan, client.RebootInstance(plan.instance, reboot_type="hard"))
    expect(client, plan, "running", first)


def change(client: Any, plan: Plan) -> None:
    """Change parameters, stop, see it stopped."""
    finish(client, plan, client.ModifyInstance(plan.instance, beparams={"vcpus": 2}))
    assert client.GetInstance(plan.instance)["beparams"]["vcpus"] == 2
    options = {} if plan.graceful else {"timeout": 0}
    finish(client, plan, client.ShutdownInstance(plan.instance, **options))
    expect(client, plan, "ADMIN_down")


def remove(client: Any, plan: Plan) -> None:
    """Remove it, see it gone."""
    finish(client, plan, client.DeleteInstance(plan.instance))
    assert plan.instance not in client.GetInstances()


def exercise(client: Any, plan: Plan) -> None:
    """The whole life of an instance, through the stock client."""
    look(client, plan)
    make(client, plan)
    move(client, plan)
    change(client, plan)
    remove(client, plan)
