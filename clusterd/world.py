"""The world: everything that a step may touch, as protocols. Whoever is handed it can be simulated.

``world.node("n2").storage("drbd").ensure(volume)`` is a call over the link to that node when the
master runs it, and a direct one on the node itself; both are the plugin's own interface.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec

from clusterd.configuration import Configuration
from clusterd.master_address import MasterAddress
from clusterd.model import Cluster, Node
from clusterd.observation import Observation
from clusterd.store_members import Begin, Member
from clusterd.view import View
from hypervisors.interface import Driver
from storage.interface import Backend
from storage.volume import Volume


class Clock(Protocol):
    """Time. ``seconds`` since the epoch; delayed calls as in Twisted's reactors."""

    def seconds(self) -> float:
        """Now."""

    def callLater(self, delay: float, callable: Any, *args: Any, **kw: Any) -> Any:
        """Call later; answers an object with ``cancel`` and ``active``."""


class Random(Protocol):
    """The only source of identities and secrets."""

    def uuid(self) -> str:
        """A new random uuid."""

    def token(self, length_bytes: int) -> str:
        """Hexadecimal secret."""

    def below(self, bound: int) -> int:
        """A number in [0, bound)."""


class ScriptResult(msgspec.Struct, frozen=True, kw_only=True):
    """One script that a node ran."""

    name: str
    status: str
    """success, fail or skip."""
    output: str = ""


class AllocatorEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How an iallocator ended."""

    code: int
    output: str
    errors: str


class OsRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run of an OS definition's script. ``environment`` is complete but for PATH."""

    os: str
    """Name with variant, ``debian+cloud``."""
    action: str
    """create, rename, export, import or verify."""
    instance: str
    environment: dict[str, str]


class StreamEnd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the contents of a disk come from, or go to, on one node."""

    kind: Literal["disk", "file", "script"]
    place: str
    """disk: its path there. file: its path, or, where it is written, ``NAME.new/FILE`` below the
    node's directory of exports. script: names the stream; one of a name is received at a time."""
    size_mib: int = 0
    """What is expected; of a disk no more is read."""
    run: OsRun | None = None
    """script: the OS definition's, whose standard output or input is the contents."""


class ExportFound(msgspec.Struct, frozen=True, kw_only=True):
    """An export's directory on a node, and its ``config.ini``."""

    path: str
    text: str


Whom = Literal["both", "next", "alone"]


class Outfit(Protocol):
    """What the master gives its candidates, and the members of the store. Raises ClusterError."""

    async def of_candidate(self, node: Node, cluster: Cluster) -> dict[str, bytes]:
        """Name -> content of the files in the state directory of a node that may become master:
        authorities with their keys, its certificates anew, users of the remote API."""

    async def of_node(self, node: Node) -> dict[str, bytes]:
        """The same of any other node."""

    async def of_rapi(self, node: Node, cluster: Cluster, *, anew: bool) -> dict[str, bytes]:
        """The certificate of a candidate's remote API: a new one, or the file that the master
        has."""

    async def next_authority(self, cluster: Cluster) -> dict[str, bytes]:
        """The authority that is to take the present one's place, with its key; drawn if there is
        none yet."""

    async def trusting(self, whom: Whom) -> dict[str, bytes]:
        """Whom a node believes: ``both`` authorities, the ``next`` one first among both with its
        key (for candidates), or it ``alone``. Nothing where no authority is to come."""

    async def shared(self) -> dict[str, bytes]:
        """What all candidates have alike, as the master has it; edited there by operators."""

    def member(self, node: Node) -> Member:
        """What the node's member of the store is, if it is one."""

    async def add_member(self, node: Node) -> Begin:
        """Let the node's member in, without a vote; what it begins with. Is in: the same. Raises
        NotReady while the store cannot take one."""

    async def give_vote(self, node: Node) -> None:
        """Its data are complete: it counts. Raises NotReady before."""

    async def remove_member(self, node: Node) -> None:
        """It is no member. None already: success. Raises NotReady while that is not possible."""


class ImageFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a node found of an image file."""

    size_mib: int
    """Of what a guest would see, rounded up."""
    format: Literal["raw", "qcow2"]
    checksum: str
    """``sha256:...`` of the file."""


class World(Protocol):
    """What a step is handed: one attempt's view of everything outside."""

    configuration: Configuration
    random: Random
    outfit: Outfit

    def now(self) -> float:
        """Seconds since the epoch."""

    def view(self) -> View:
        """The snapshot of this moment."""

    def node(self, name: str, heard: Callable[[str], None] | None = None) -> NodeWorld:
        """A node by host name; calls carry this attempt's ids and the master's epoch. ``heard``
        takes lines of progress."""

    async def pause(self, duration_s: float) -> None:
        """Let time pass (test delay on the master)."""

    async def greet(self, name: str, address: str) -> dict[str, Any]:
        """Connect to a node that is not in the configuration yet and say hello."""

    def read_opcode(self, stored: Any) -> Any:
        """An opcode from its stored form."""

    def forget_node(self, name: str) -> None:
        """Close the link to a node that is no longer in the configuration."""


class NodeWorld(Protocol):
    """One node. All verbs are idempotent; errors are ``clusterd.errors.CallFailed``."""

    name: str

    def storage(self, template: str) -> Backend:
        """The storage backend of a disk template on this node."""

    def hypervisor(self, name: str) -> Driver:
        """The hypervisor driver on this node."""

    async def observe(self) -> Observation:
        """Look now; the answer is also taken as the node's latest sight."""

    async def run_hooks(
        self, path: str, phase: str, environment: dict[str, str]
    ) -> tuple[ScriptResult, ...]:
        """Run the hook scripts ``<path>-<phase>.d`` of this node in order."""

    async def run_iallocator(
        self, name: str, request: str, options: tuple[str, ...]
    ) -> AllocatorEnd:
        """Run an iallocator of the site on a request; CallFailed ``wrong_input`` without one."""

    async def find_iallocator(self, name: str) -> str:
        """Where an iallocator of the site is; CallFailed ``wrong_input`` without one."""

    async def run_os(self, run: OsRun) -> None:
        """Run an OS script to its end; raises CallFailed ``os_failed`` with its last lines."""

    async def sum_contents(self, path: str, size_mib: int) -> str:
        """``sha256:...`` of the beginning of a file or device."""

    async def inspect_image(self, path: str) -> ImageFile:
        """Measure an image file; CallFailed where it is none, or refers to other files."""

    async def accept_stream(self, token: str, end: StreamEnd) -> None:
        """The node takes the contents that will be sent under ``token``; an earlier stream to the
        same place is broken off."""

    async def send_stream(self, token: str, peer: str, end: StreamEnd, compress: str) -> int:
        """Send contents to ``peer``, which accepted ``token``; answers the bytes once they are
        safe there. CallFailed ``stream_broken``, retryable, when either side was lost."""

    async def stop_stream(self, place: str) -> None:
        """Nothing is received for this place any more."""

    async def begin_export(self, name: str, identity: str) -> None:
        """There is an empty unfinished export of an instance; one of the same identity stays."""

    async def commit_export(self, name: str, identity: str, text: str) -> None:
        """The unfinished export is the instance's export, with this ``config.ini``."""

    async def forget_export(self, name: str, identity: str) -> None:
        """The unfinished export of this identity is gone; with an empty identity the finished one,
        too."""

    async def read_export(self, path: str) -> ExportFound:
        """``config.ini`` of the export at a path or of a name; CallFailed ``export_missing``."""

    async def link_disks(self, instance: str, paths: tuple[str, ...]) -> tuple[str, ...]:
        """Symbolic links ``<run>/instance-disks/<instance>:<n>`` to ``paths``, where those are not
        empty; all others are removed."""

    async def place_seed(self, instance: str, files: dict[str, str]) -> str:
        """The path of the instance's seed disk with these files for cloud-init; without any there
        is no disk, and the path is empty."""

    async def greet(self, cluster: str) -> dict[str, Any]:
        """Version, host name, cluster of the daemon there; CallFailed ``wrong_cluster``."""

    async def peers(self, addresses: dict[str, str]) -> None:
        """The node may relay to these nodes: host name -> address."""

    async def watch(self, volumes: tuple[Volume, ...]) -> None:
        """From now on observations tell the status of these volumes; a restart forgets them."""

    async def leave(self) -> None:
        """Forget the cluster: keys, certificates and state are removed, the daemon ends."""

    async def equip(self, role: str, engine: str, files: dict[str, bytes]) -> None:
        """The node has these files in its state directory and runs the daemons of its role."""

    async def store_begin(self, begin: bytes) -> None:
        """The node runs a member of the store, which begins so when it has no data."""

    async def store_end(self) -> None:
        """The node runs no member of the store and has no data of one."""

    async def store_members(self, members: tuple[Member, ...]) -> None:
        """The node knows where the store is."""

    async def drop_address(self, address: MasterAddress) -> None:
        """The cluster's address does not lead to this node."""

    async def storage_units(
        self, kind: str, directories: tuple[str, ...]
    ) -> tuple[dict[str, Any], ...]:
        """Units of storage of a type (lvm-pv, lvm-vg, file, sharedfile), sizes in MiB."""

    async def logical_volumes(self) -> tuple[dict[str, Any], ...]:
        """Each logical volume: vg, name, size in MiB, phys."""

    async def set_allocatable(self, name: str, allowed: bool) -> None:
        """New extents may (not) be taken from a physical volume."""

    async def repair_volume_group(self, name: str) -> None:
        """A volume group no longer counts on disks that are gone."""

    async def delay(self, duration_s: float) -> None:
        """Do nothing for a while (test delay on nodes)."""

    async def verify(self, checks: dict[str, Any]) -> dict[str, Any]:
        """Look at the node's health: name of check -> what was found."""
