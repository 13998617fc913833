"""The twelve tools, and what each is about in a few words."""

from __future__ import annotations

TOOLS = {
    "backup": "exports of instances",
    "cluster": "the cluster as a whole",
    "debug": "locks, and jobs for tests",
    "filter": "filters of the job queue",
    "group": "node groups",
    "image": "images that instances begin as",
    "instance": "virtual machines",
    "job": "jobs and their queue",
    "network": "networks of instances",
    "node": "node hosts",
    "os": "OS definitions",
    "storage": "external storage providers",
}
