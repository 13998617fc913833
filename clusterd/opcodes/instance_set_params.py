"""Change the parameters of an instance."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from clusterd.opcodes.fields import (
    Beparams,
    Force,
    Hvparams,
    Iallocator,
    IgnoreIpolicy,
    InstanceName,
    Osparams,
)
from jobqueue.opcode import Opcode


class InstanceSetParams(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_SET_PARAMS"):
    """Change the parameters of an instance."""

    instance_name: InstanceName
    force: Force = False
    force_variant: bool = False
    ignore_ipolicy: IgnoreIpolicy = False
    nics: Annotated[tuple[Any, ...], Meta(description="(operation, card, parameters)")] = ()
    disks: Annotated[tuple[Any, ...], Meta(description="(operation, disk, parameters)")] = ()
    beparams: Beparams = {}
    hvparams: Hvparams = {}
    osparams: Osparams | None = None
    osparams_private: dict[str, str] | None = None
    runtime_mem: int | None = None
    disk_template: str | None = None
    ext_params: dict[str, Any] = {}
    file_driver: str | None = None
    file_storage_dir: str | None = None
    pnode: str | None = None
    remote_node: str | None = None
    iallocator: Iallocator = None
    os_name: Annotated[str | None, Meta(description="OS definition to record")] = None
    wait_for_sync: bool = True
    offline: Annotated[bool | None, Meta(description="mark offline, or online (down) again")] = None
    conflicts_check: bool = True
    hotplug: Annotated[bool, Meta(description="change a running guest where that is possible")] = (
        True
    )
    instance_communication: bool | None = None
