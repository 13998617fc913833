"""All routes of the RAPI, version 2: one row a method and path."""

from __future__ import annotations

from collections.abc import Iterable

from rapi.resources import cluster, filters, instances, jobs, nodes
from rapi.resources.kinds import FILTERS, GROUPS, IMAGES, INSTANCES, NETWORKS, NODES
from rapi.resources.rows import Kind, listing, one
from rapi.routes import Read, Route, Submit

DRY = ("dry-run", "dry_run")
FORCE = ("force", "force")
NO_REMEMBER = ("no_remember", "no_remember")


def _get(path: str, read: Read, summary: str, access: str = "") -> Route:
    return Route(method="GET", path=path, read=read, summary=summary, access=access)  # type: ignore[arg-type]


def _job(method: str, path: str, submit: Submit, summary: str) -> Route:
    return Route(method=method, path=path, submit=submit, summary=summary, access="write")


def _tags(path: str, kind: str) -> Iterable[Route]:
    target = "name" if "{name}" in path else ""
    yield _get(f"{path}/tags", cluster.tags(kind), f"Tags of the {kind}")
    for method, op, words in (("PUT", "OP_TAGS_SET", "Add"), ("DELETE", "OP_TAGS_DEL", "Remove")):
        submit = Submit(
            op=op,
            target=target,
            lists=(("tag", "tags"),),
            flags=(DRY,),
            fixed={"kind": kind},
            needed=("tag",),
            body=False,
        )
        yield _job(method, f"{path}/tags", submit, f"{words} tags of the {kind}")


def _objects(kind: Kind, word: str) -> Iterable[Route]:
    yield _get(kind.path, listing(kind), f"All {word}s")
    yield _get(f"{kind.path}/{{name}}", one(kind), f"One {word}")


def _cluster() -> Iterable[Route]:
    yield _get("/", cluster.nothing, "Nothing")
    yield _get("/2", cluster.nothing, "Nothing")
    yield _get("/version", cluster.version, "The version of this interface")
    yield _get("/2/features", cluster.features, "What clients may rely on")
    yield _get("/2/info", cluster.info, "Everything about the cluster itself")
    yield _get("/2/os", cluster.systems, "OS definitions")
    yield _job("PUT", "/2/modify", Submit(op="OP_CLUSTER_SET_PARAMS"), "Change the cluster")
    yield _job(
        "PUT",
        "/2/redistribute-config",
        Submit(op="OP_CLUSTER_REDIST_CONF", body=False),
        "Distribute the configuration again",
    )
    yield _job(
        "PUT",
        "/2/verify-disks",
        Submit(op="OP_CLUSTER_VERIFY_DISKS", texts=(("group_name", "group_name"),), body=False),
        "Activate the disks of instances that lack them",
    )
    yield _job(
        "PUT",
        "/2/repair-disk-sizes",
        Submit(op="OP_CLUSTER_REPAIR_DISK_SIZES"),
        "Record the sizes that disks really have",
    )
    yield from _tags("/2", "cluster")
    path = "/2/query/{resource}"
    yield _get(path, cluster.query, "A query", "read")
    yield Route(
        method="PUT",
        path=path,
        read=cluster.filtered_query,
        summary="A query with a filter",
        access="read",
    )
    yield _get(f"{path}/fields", cluster.query_fields, "Fields that can be queried")
    yield from _objects(FILTERS, "filter")
    for method, where, read, summary in (
        ("POST", "/2/filters", filters.add, "Add a job filter"),
        ("PUT", "/2/filters/{name}", filters.replace, "Replace a job filter"),
        ("DELETE", "/2/filters/{name}", filters.delete, "Delete a job filter"),
    ):
        yield Route(method=method, path=where, read=read, summary=summary, access="write")


def _jobs() -> Iterable[Route]:
    yield _get("/2/jobs", jobs.listing, "All jobs")
    yield _get("/2/jobs/{id}", jobs.one, "One job")
    yield Route(
        method="DELETE",
        path="/2/jobs/{id}",
        read=jobs.cancel,
        summary="Cancel a job",
        access="write",
    )
    yield _get("/2/jobs/{id}/wait", jobs.wait, "Wait until a job changes", "write")


def _nodes() -> Iterable[Route]:
    path, target = "/2/nodes/{name}", "node_name"
    yield from _objects(NODES, "node")
    yield from _tags(path, "node")
    yield _get(f"{path}/role", nodes.role, "The role, in a word")
    yield Route(
        method="PUT",
        path=f"{path}/role",
        prepare=nodes.role_change,
        operations=("OP_NODE_SET_PARAMS",),
        summary="Change the role; the body is the word",
        access="write",
    )
    for method, last, submit, summary in (
        (
            "POST",
            "powercycle",
            Submit(op="OP_NODE_POWERCYCLE", target=target, flags=(FORCE,), body=False),
            "Restart the node at once",
        ),
        (
            "POST",
            "evacuate",
            Submit(op="OP_NODE_EVACUATE", target=target, flags=(DRY,)),
            "Move instances away",
        ),
        (
            "POST",
            "migrate",
            Submit(op="OP_NODE_MIGRATE", target=target, extra=nodes.migration),
            "Migrate all primary instances away",
        ),
        ("POST", "modify", Submit(op="OP_NODE_SET_PARAMS", target=target), "Change the node"),
    ):
        yield _job(method, f"{path}/{last}", submit, summary)


def _node_storage() -> Iterable[Route]:
    path = "/2/nodes/{name}/storage"
    typed = ("storage_type", "storage_type")
    listed = Submit(
        op="OP_NODE_QUERY_STORAGE",
        target="nodes[]",
        texts=(typed,),
        extra=nodes.storage_fields,
        needed=("storage_type", "output_fields"),
        body=False,
    )
    yield _job("GET", path, listed, "List storage")
    for last, op, extra, summary in (
        ("modify", "OP_NODE_MODIFY_STORAGE", nodes.storage_changes, "Change storage"),
        ("repair", "OP_REPAIR_NODE_STORAGE", None, "Repair storage"),
    ):
        submit = Submit(
            op=op,
            target="node_name",
            texts=(typed, ("name", "name")),
            extra=extra,
            needed=("storage_type", "name"),
            body=False,
        )
        yield _job("PUT", f"{path}/{last}", submit, summary)


def _groups() -> Iterable[Route]:
    path, target = "/2/groups/{name}", "group_name"
    yield from _objects(GROUPS, "group")
    yield from _tags(path, "nodegroup")
    yield _job("POST", "/2/groups", Submit(op="OP_GROUP_ADD", flags=(DRY,)), "Add a group")
    yield _job(
        "DELETE",
        path,
        Submit(op="OP_GROUP_REMOVE", target=target, flags=(DRY,), body=False),
        "Remove an empty group",
    )
    for last, op, flags, summary in (
        ("modify", "OP_GROUP_SET_PARAMS", (), "Change the group"),
        ("rename", "OP_GROUP_RENAME", (DRY,), "Rename the group"),
        ("assign-nodes", "OP_GROUP_ASSIGN_NODES", (DRY, FORCE), "Move nodes into the group"),
    ):
        yield _job("PUT", f"{path}/{last}", Submit(op=op, target=target, flags=flags), summary)


def _networks() -> Iterable[Route]:
    path, target = "/2/networks/{name}", "network_name"
    yield from _objects(NETWORKS, "network")
    yield from _tags(path, "network")
    yield _job("POST", "/2/networks", Submit(op="OP_NETWORK_ADD", flags=(DRY,)), "Add a network")
    yield _job(
        "DELETE",
        path,
        Submit(op="OP_NETWORK_REMOVE", target=target, flags=(DRY,), body=False),
        "Remove a network",
    )
    for last, op, flags, summary in (
        ("connect", "OP_NETWORK_CONNECT", (DRY,), "Connect to a group"),
        ("disconnect", "OP_NETWORK_DISCONNECT", (DRY,), "Disconnect from a group"),
        ("modify", "OP_NETWORK_SET_PARAMS", (), "Change the network"),
        ("rename", "OP_NETWORK_RENAME", (DRY,), "Rename the network"),
    ):
        yield _job("PUT", f"{path}/{last}", Submit(op=op, target=target, flags=flags), summary)


def _images() -> Iterable[Route]:
    path, target = "/2/images/{name}", "image_name"
    yield from _objects(IMAGES, "image")
    yield _job("POST", "/2/images", Submit(op="OP_IMAGE_ADD", flags=(DRY,)), "Make an image")
    yield _job(
        "DELETE",
        path,
        Submit(op="OP_IMAGE_REMOVE", target=target, flags=(DRY,), body=False),
        "Remove an image that nothing depends on",
    )
    changed = Submit(op="OP_IMAGE_SET_PARAMS", target=target)
    yield _job("PUT", f"{path}/modify", changed, "Change an image's name and properties")
    cached = Submit(op="OP_IMAGE_CACHE", target=target, flags=(DRY,))
    yield _job("PUT", f"{path}/cache", cached, "Copy an image to the nodes of a group")


def _instances() -> Iterable[Route]:
    path, target = "/2/instances/{name}", "instance_name"
    yield from _objects(INSTANCES, "instance")
    yield from _tags(path, "instance")
    yield _job(
        "POST",
        "/2/instances",
        Submit(op="OP_INSTANCE_CREATE", flags=(DRY,), extra=instances.creation),
        "Create an instance",
    )
    yield _job(
        "POST",
        "/2/instances-multi-alloc",
        Submit(op="OP_INSTANCE_MULTI_ALLOC", flags=(DRY,), extra=instances.allocation),
        "Create several instances",
    )
    yield _job(
        "DELETE",
        path,
        Submit(
            op="OP_INSTANCE_REMOVE", target=target, flags=(DRY,), fixed={"ignore_failures": False}
        ),
        "Remove the instance with its disks",
    )
    yield Route(
        method="GET",
        path=f"{path}/info",
        submit=Submit(
            op="OP_INSTANCE_QUERY_DATA",
            target="instances[]",
            flags=(("static", "static"),),
            body=False,
        ),
        summary="Describe the instance in detail",
    )
    yield Route(
        method="POST",
        path=f"{path}/reinstall",
        prepare=instances.reinstallation,
        operations=("OP_INSTANCE_SHUTDOWN", "OP_INSTANCE_REINSTALL", "OP_INSTANCE_STARTUP"),
        summary="Install the OS again",
        access="write",
    )
    yield _get(f"{path}/console", instances.console, "How to reach the console", "read")
    for method, last, submit, summary in _INSTANCE_JOBS:
        yield _job(method, f"{path}/{last}", submit, summary)


def _on(op: str, *flags: tuple[str, str], **more: object) -> Submit:
    return Submit(op=op, target="instance_name", flags=flags, **more)  # type: ignore[arg-type]


_INSTANCE_JOBS = (
    (
        "POST",
        "reboot",
        _on(
            "OP_INSTANCE_REBOOT",
            ("ignore_secondaries", "ignore_secondaries"),
            DRY,
            defaults=(("type", "reboot_type", "hard"),),
        ),
        "Restart the instance",
    ),
    ("PUT", "shutdown", _on("OP_INSTANCE_SHUTDOWN", NO_REMEMBER, DRY), "Stop the instance"),
    (
        "PUT",
        "startup",
        _on("OP_INSTANCE_STARTUP", FORCE, NO_REMEMBER, DRY, body=False),
        "Start the instance",
    ),
    (
        "POST",
        "replace-disks",
        _on("OP_INSTANCE_REPLACE_DISKS", extra=instances.replacement),
        "Replace disks",
    ),
    (
        "PUT",
        "activate-disks",
        _on("OP_INSTANCE_ACTIVATE_DISKS", ("ignore_size", "ignore_size"), body=False),
        "Make disks usable",
    ),
    (
        "PUT",
        "deactivate-disks",
        _on("OP_INSTANCE_DEACTIVATE_DISKS", FORCE, body=False),
        "Let go of disks",
    ),
    (
        "POST",
        "repair-disks",
        _on("OP_INSTANCE_REPAIR_DISKS"),
        "Join mirrors that were written separately",
    ),
    ("POST", "recreate-disks", _on("OP_INSTANCE_RECREATE_DISKS"), "Make missing disks anew"),
    (
        "POST",
        "disk/{disk}/grow",
        _on("OP_INSTANCE_GROW_DISK", extra=instances.disk),
        "Make a disk larger",
    ),
    (
        "PUT",
        "prepare-export",
        _on("OP_BACKUP_PREPARE", texts=(("mode", "mode"),), body=False),
        "Prepare an export",
    ),
    ("PUT", "export", _on("OP_BACKUP_EXPORT"), "Export the instance"),
    ("DELETE", "export", _on("OP_BACKUP_REMOVE", body=False), "Remove exports of the instance"),
    ("PUT", "migrate", _on("OP_INSTANCE_MIGRATE"), "Move it running to its other node"),
    ("PUT", "failover", _on("OP_INSTANCE_FAILOVER"), "Stop it, start it on its other node"),
    ("PUT", "move", _on("OP_INSTANCE_MOVE"), "Move it, stopped, with its disks to another node"),
    ("PUT", "change-group", _on("OP_INSTANCE_CHANGE_GROUP"), "Move it to another node group"),
    ("PUT", "rename", _on("OP_INSTANCE_RENAME"), "Rename the instance"),
    ("PUT", "modify", _on("OP_INSTANCE_SET_PARAMS", extra=instances.modification), "Change it"),
)


def routes() -> tuple[Route, ...]:
    """All of them."""
    return (
        *_cluster(),
        *_jobs(),
        *_nodes(),
        *_node_storage(),
        *_groups(),
        *_networks(),
        *_images(),
        *_instances(),
    )
