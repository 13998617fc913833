"""What a program does to the cluster around its instances, with the stock client."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from tests.acceptance.exercise import POLL_S, Plan, finish


def tag(client: Any, plan: Plan, kind: str, *name: str) -> None:
    """Tags of an object are added, seen and removed. ``kind`` is the client's word; the cluster
    has no name."""

    def call(verb: str, *given: list[str]) -> Any:
        return getattr(client, f"{verb}{kind}Tags")(*name, *given)

    finish(client, plan, call("Add", ["rack:r1", "a+b"]))
    assert call("Get") == ["a+b", "rack:r1"]
    finish(client, plan, call("Delete", ["a+b"]))
    assert call("Get") == ["rack:r1"]
    finish(client, plan, call("Delete", ["rack:r1"]))
    assert call("Get") == []


def regroup(client: Any, plan: Plan) -> None:
    """A node group is added, told, given a node, renamed, tagged, emptied and removed."""
    (home,) = client.GetGroups()
    node = plan.nodes[1]
    finish(client, plan, client.CreateGroup("rack2"))
    finish(
        client,
        plan,
        client.ModifyGroup("rack2", alloc_policy="last_resort", ndparams={"ovs": True}),
    )
    finish(client, plan, client.AssignGroupNodes("rack2", [node], force=True))
    finish(client, plan, client.RenameGroup("rack2", "row2"))
    assert client.GetGroups() == sorted([home, "row2"])
    group = client.GetGroup("row2")
    assert (group["alloc_policy"], group["node_list"]) == ("last_resort", [node])
    assert (group["custom_ndparams"], group["ndparams"]["ovs"]) == ({"ovs": True}, True)
    tag(client, plan, "Group", "row2")
    job_id = client.DeleteGroup("row2")
    assert client.WaitForJobCompletion(job_id, period=POLL_S, retries=600) is False
    finish(client, plan, client.AssignGroupNodes(home, [node], force=True))
    finish(client, plan, client.DeleteGroup("row2"))
    assert client.GetGroups() == [home]


CARDS = ({"network": "lab", "ip": "pool"},)


@contextlib.contextmanager
def laboratory(client: Any, plan: Plan) -> Iterator[None]:
    """The network of ``CARDS``, as long as it lasts."""
    (group,) = client.GetGroups()
    finish(client, plan, client.CreateNetwork("lab", network="203.0.113.0/24"))
    finish(client, plan, client.ConnectNetwork("lab", group, "bridged", plan.bridge))
    yield
    finish(client, plan, client.DisconnectNetwork("lab", group))
    finish(client, plan, client.DeleteNetwork("lab"))


def network(client: Any, plan: Plan) -> None:
    """A network is added, changed, connected; an instance gets an address of it and
    tags; all is removed."""
    (group,) = client.GetGroups()
    values = {"gateway": "192.0.2.1", "add_reserved_ips": "192.0.2.2", "tags": "a"}
    finish(client, plan, client.CreateNetwork("net1", network="192.0.2.0/28", **values))
    finish(client, plan, client.ModifyNetwork("net1", mac_prefix="aa:00:77"))
    finish(client, plan, client.ConnectNetwork("net1", group, "bridged", plan.bridge))
    assert client.GetNetworks() == ["net1"]
    found = client.GetNetwork("net1")
    assert (found["gateway"], found["free_count"], found["map"][:4]) == ("192.0.2.1", 12, "XXX.")
    assert (found["group_list"], found["tags"]) == ([[group, "bridged", plan.bridge, ""]], ["a"])
    finish(client, plan, _pooled(client, plan))
    one = client.GetInstance(plan.instance)
    assert (one["nic.ips"], one["nic.networks.names"]) == (["192.0.2.3"], ["net1"])
    assert one["nic.macs"][0].startswith("aa:00:77:")
    assert client.GetNetwork("net1")["inst_list"] == [plan.instance]
    tag(client, plan, "Instance", plan.instance)
    tag(client, plan, "Group", group)
    refused = client.DisconnectNetwork("net1", group)
    assert client.WaitForJobCompletion(refused, period=POLL_S, retries=600) is False
    finish(client, plan, client.DeleteInstance(plan.instance))
    finish(client, plan, client.DisconnectNetwork("net1", group))
    finish(client, plan, client.DeleteNetwork("net1"))
    assert client.GetNetworks() == []


def _pooled(client: Any, plan: Plan) -> int:
    """The job of an instance whose card has an address of the pool."""
    number: int = client.CreateInstance(
        "create",
        plan.instance,
        "diskless",
        [],
        [{"network": "net1", "ip": "pool"}],
        os=plan.os,
        hypervisor=plan.hypervisor,
        pnode=plan.nodes[0],
        ip_check=False,
        name_check=False,
        start=False,
    )
    return number
