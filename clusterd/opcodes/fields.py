"""Field types that several opcodes share, with their words for people. Shapes only."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from clusterd.model import ParamValue
from clusterd.names import DEFAULT_SHUTDOWN_TIMEOUT_S
from jobqueue.complaint import ALLOWS

Params = dict[str, ParamValue | None]
"""Parameters to set; null takes a parameter back to its default."""

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$(?!\n)"
"""In Python ``$`` alone lets a newline at the end pass."""
PLAIN = {ALLOWS: "letters, digits, '.', '_' and '-', the first a letter or a digit"}

InstanceName = Annotated[
    str, Meta(pattern=NAME, extra=PLAIN, max_length=255, description="name of the instance")
]
NodeName = Annotated[
    str, Meta(pattern=NAME, extra=PLAIN, max_length=255, description="name of the node")
]
OsName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+:-]*$(?!\n)",
        extra={ALLOWS: "NAME or NAME+VARIANT, of letters, digits and '.', '_', ':', '-'"},
        max_length=255,
        description="OS definition, with variant: name+variant",
    ),
]
ImageName = Annotated[
    str, Meta(pattern=NAME, extra=PLAIN, max_length=128, description="name of the image")
]
SnapshotName = Annotated[
    str,
    Meta(
        pattern=NAME,
        extra=PLAIN,
        max_length=64,
        description="name of the snapshot",
    ),
]
GroupName = Annotated[str, Meta(min_length=1, max_length=255, description="name of the node group")]
NewGroupName = Annotated[
    str, Meta(pattern=NAME, extra=PLAIN, max_length=128, description="name of the node group")
]
NetworkName = Annotated[str, Meta(min_length=1, max_length=255, description="name of the network")]
NewNetworkName = Annotated[
    str, Meta(pattern=NAME, extra=PLAIN, max_length=128, description="name of the network")
]
ShutdownTimeout = Annotated[
    int, Meta(ge=0, description="seconds to wait for the guest to power off before it is forced")
]
Hvparams = Annotated[Params, Meta(description="hypervisor parameters")]
Beparams = Annotated[Params, Meta(description="memory, processors and other backend parameters")]
Osparams = Annotated[dict[str, str | None], Meta(description="parameters of the OS definition")]
IgnoreIpolicy = Annotated[bool, Meta(description="go on although the instance policy is violated")]
TargetNode = Annotated[
    Annotated[str, Meta(pattern=NAME, extra=PLAIN)] | None, Meta(description="node to move to")
]
Iallocator = Annotated[
    str | None, Meta(description="allocator that chooses nodes; '.' is the cluster's default")
]
Compress = Annotated[
    Literal["none", "gzip-fast", "gzip", "gzip-slow"],
    Meta(description="how contents of disks are compressed on their way"),
]
Force = Annotated[bool, Meta(description="do it although it is not sensible")]
EarlyRelease = Annotated[
    bool, Meta(description="give up the old copy before the new one is complete")
]
TargetGroups = Annotated[
    tuple[str, ...] | None, Meta(description="groups to choose from; any other by default")
]

DiskSpec = dict[str, Any]
NicSpec = dict[str, Any]
Modification = tuple[str, str | int, dict[str, Any]]
"""(add, attach, modify, remove or detach; index, name or uuid; parameters)"""

SHUTDOWN_TIMEOUT_S = DEFAULT_SHUTDOWN_TIMEOUT_S
