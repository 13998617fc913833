"""Change parameters of the cluster."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from clusterd.opcodes.fields import (
    Force,
    Params,
)
from jobqueue.opcode import Opcode


class ClusterSetParams(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_SET_PARAMS"):
    """Change parameters of the cluster."""

    force: Force = False
    vg_name: Annotated[str | None, Meta(description="volume group for lvm disk templates")] = None
    enabled_hypervisors: tuple[str, ...] | None = None
    enabled_disk_templates: tuple[str, ...] | None = None
    hvparams: dict[str, Params] | None = None
    os_hvp: dict[str, dict[str, Params]] | None = None
    beparams: Params | None = None
    osparams: dict[str, dict[str, str | None]] | None = None
    diskparams: dict[str, Params] | None = None
    nicparams: Params | None = None
    ndparams: Params | None = None
    ipolicy: dict[str, Any] | None = None
    candidate_pool_size: Annotated[int, Meta(ge=1)] | None = None
    max_running_jobs: Annotated[int, Meta(ge=1)] | None = None
    max_tracked_jobs: Annotated[int, Meta(ge=1)] | None = None
    mac_prefix: str | None = None
    master_netdev: str | None = None
    master_netmask: int | None = None
    maintain_node_health: bool | None = None
    prealloc_wipe_disks: bool | None = None
    drbd_helper: str | None = None
    default_iallocator: str | None = None
    default_iallocator_params: Params | None = None
    reserved_lvs: tuple[str, ...] | None = None
    hidden_os: tuple[tuple[Literal["add", "remove"], str], ...] | None = None
    blacklisted_os: tuple[tuple[Literal["add", "remove"], str], ...] | None = None
    file_storage_dir: str | None = None
    shared_file_storage_dir: str | None = None
    modify_etc_hosts: bool | None = None
