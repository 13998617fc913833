"""Create an instance."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from clusterd.opcodes.fields import (
    SHUTDOWN_TIMEOUT_S,
    Beparams,
    DiskSpec,
    Hvparams,
    Iallocator,
    IgnoreIpolicy,
    InstanceName,
    NicSpec,
    Osparams,
)
from jobqueue.opcode import Opcode


class InstanceCreate(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_CREATE"):
    """Create an instance."""

    instance_name: InstanceName
    mode: Annotated[
        Literal["create", "import", "remote-import"],
        Meta(description="where its contents come from"),
    ] = "create"
    disk_template: Annotated[
        str | None,
        Meta(description="how disks are stored: drbd, plain, file, sharedfile, diskless"),
    ] = None
    disks: Annotated[
        tuple[DiskSpec, ...], Meta(description="disks: size (MiB), mode, name, vg, metavg")
    ]
    nics: Annotated[
        tuple[NicSpec, ...], Meta(description="network cards: mac, ip, mode, link, vlan, name")
    ]
    pnode: Annotated[str | None, Meta(description="primary node")] = None
    snode: Annotated[str | None, Meta(description="secondary node")] = None
    group_name: Annotated[str | None, Meta(description="node group to choose nodes from")] = None
    iallocator: Iallocator = None
    opportunistic_locking: bool = False
    os_type: Annotated[str | None, Meta(description="OS definition, with variant")] = None
    osparams: Osparams | None = None
    osparams_private: dict[str, str] | None = None
    osparams_secret: dict[str, str] | None = None
    no_install: Annotated[bool | None, Meta(description="do not run the OS definition")] = None
    force_variant: Annotated[
        bool, Meta(description="accept a variant that the definition does not list")
    ] = False
    hypervisor: Annotated[
        str | None, Meta(description="hypervisor; default is the cluster's first")
    ] = None
    hvparams: Hvparams = {}
    beparams: Beparams = {}
    start: Annotated[bool, Meta(description="start it when it is made")] = True
    wait_for_sync: Annotated[bool, Meta(description="wait until mirrors are complete")] = True
    ignore_ipolicy: IgnoreIpolicy = False
    conflicts_check: bool = True
    ip_check: Annotated[bool, Meta(description="refuse a name whose address answers")] = False
    name_check: Annotated[bool, Meta(description="the name must resolve")] = False
    tags: Annotated[tuple[str, ...], Meta(description="tags")] = ()
    identify_defaults: bool = False
    file_driver: Annotated[
        Literal["loop", "blktap", "blktap2"] | None, Meta(description="driver for file disks")
    ] = None
    file_storage_dir: Annotated[
        str | None, Meta(description="directory below the file storage directory")
    ] = None
    forthcoming: bool = False
    commit: bool = False
    instance_communication: bool = False
    source_handshake: Any = None
    source_instance_name: str | None = None
    source_shutdown_timeout: int = SHUTDOWN_TIMEOUT_S
    source_x509_ca: str | None = None
    src_node: str | None = None
    src_path: str | None = None
    compress: str = "none"
    helper_startup_timeout: int | None = None
    helper_shutdown_timeout: int | None = None
