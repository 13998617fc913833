"""What a program does to the cluster around its instances, with the stock client."""

from __future__ import annotations

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
