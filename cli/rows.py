"""Words for writing rows: the kinds of options that differ from what a field's type makes.

Decided here: the options that several commands spell alike. The rows are ``compatibility``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cli import readers
from cli.command import Option
from cli.notation import boolean, split


def row(field: str, *names: str, **rest: Any) -> Option:
    """An option that fills one field."""
    return Option(names=names, field=field, **rest)


def sets(*names: str, words: str = "", **fields: Any) -> Option:
    """A flag that fills fields with these values."""
    return Option(names=names, flag=True, words=words, fields=lambda _given: fields)


def not_(field: str, *names: str, **rest: Any) -> Option:
    """A flag that makes a field false."""
    return Option(names=names, field=field, flag=True, reads=lambda _given: False, **rest)


def spread(*names: str, reads: Callable[[Any], dict[str, Any]], **rest: Any) -> Option:
    """An option whose reader fills several fields at once."""
    return Option(names=names, reads=reads, fields=dict, **rest)


FORCE = row("force", "-f", "--force")
FORCE_ONLY = Option(names=("-f", "--force"), flag=True, words="Do not ask")
BACKEND = row(
    "beparams", "-B", "--backend-parameters", reads=readers.backend, metavar="KEY=VALUE,..."
)
HYPERVISOR_ONLY = row(
    "hvparams",
    "-H",
    "--hypervisor-parameters",
    reads=readers.params,
    metavar="KEY=VALUE,...",
)
IALLOCATOR = row("iallocator", "-I", "--iallocator", metavar="NAME")
EXPLAIN = Option(
    names=("--explain",),
    flag=True,
    words="Show for each node why it would or would not be chosen, and change nothing",
)
TARGET = row("target_node", "-n", "--target-node", metavar="NODE", completes="node")
OS_PARAMS = row(
    "osparams", "-O", "--os-parameters", reads=readers.os_params, metavar="KEY=VALUE,..."
)
OS_PARAMS_PRIVATE = row(
    "osparams_private", "--os-parameters-private", reads=readers.os_params, metavar="KEY=VALUE,..."
)
OS_PARAMS_SECRET = row(
    "osparams_secret", "--os-parameters-secret", reads=readers.os_params, metavar="KEY=VALUE,..."
)
SEEDED = (
    sets("--cloud-init", words="Give the guest a seed disk for cloud-init", cloud_init=True),
    sets("--no-cloud-init", words="Give the guest no seed disk", cloud_init=False),
    row("user_data", "--user-data", reads=readers.file_text, metavar="FILE"),
    row("network_config", "--network-config", reads=readers.file_text, metavar="FILE"),
    row("ssh_keys", "--ssh-key", many=True, reads=readers.ssh_keys, metavar="FILE|KEY"),
)
IGNORE_OFFLINE = row("ignore_offline_nodes", "--ignore-offline")
TAGS = row("tags", "--tags", reads=split, metavar="TAG,...")
COMMUNICATION = row(
    "instance_communication", "-c", "--communication", reads=boolean, metavar="yes|no"
)
NO_RUNTIME_CHANGES = not_(
    "allow_runtime_changes",
    "--no-runtime-changes",
    words="Do not change the guest's memory while it runs",
)
NODE_PARAMS = row("ndparams", "--node-parameters", reads=readers.params, metavar="KEY=VALUE,...")
HV_STATE = row(
    "hv_state",
    "--hypervisor-state",
    many=True,
    reads=readers.nested_params,
    metavar="HYPERVISOR:KEY=VALUE,...",
)
DISK_STATE = row(
    "disk_state",
    "--disk-state",
    many=True,
    reads=readers.nested_params,
    metavar="TEMPLATE:KEY=VALUE,...",
)


def _policy(name: str, part: str, reads: Callable[[str], Any], words: str, metavar: str) -> Option:
    return Option(
        names=(name,),
        reads=reads,
        words=words,
        metavar=metavar,
        fields=lambda value: {f"policy {part}": value},
    )


POLICY = (
    _policy(
        "--ipolicy-bounds-specs",
        "minmax",
        readers.policy_bounds,
        "Least and greatest instances",
        "min:KEY=N,.../max:KEY=N,...",
    ),
    _policy("--ipolicy-std-specs", "std", readers.policy_specs, "A usual instance", "KEY=N,..."),
    _policy(
        "--ipolicy-disk-templates", "disk-templates", split, "Allowed disk templates", "NAME,..."
    ),
    _policy(
        "--ipolicy-vcpu-ratio", "vcpu-ratio", readers.policy_ratio, "Virtual CPUs per CPU", "N"
    ),
    _policy(
        "--ipolicy-spindle-ratio",
        "spindle-ratio",
        readers.policy_ratio,
        "Instances per spindle",
        "N",
    ),
)


def policy(body: dict[str, Any]) -> dict[str, Any]:
    """The parts of an instance policy, put together."""
    keys = ("minmax", "std", "disk-templates", "vcpu-ratio", "spindle-ratio")
    parts = {key: body[f"policy {key}"] for key in keys if f"policy {key}" in body}
    rest = {key: value for key, value in body.items() if not key.startswith("policy ")}
    return {**rest, "ipolicy": parts} if parts else rest
