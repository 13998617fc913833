"""What verbs of a node may raise; their codes cross the wire."""

from __future__ import annotations

from clusterd.errors import ClusterError


class WrongCluster(ClusterError):
    """The node belongs to another cluster."""

    code = "wrong_cluster"


class WrongInput(ClusterError):
    """The request cannot be understood."""

    code = "wrong_input"


class OsMissing(ClusterError):
    """The OS definition is not on this node, or not usable."""

    code = "os_missing"


class OsFailed(ClusterError):
    """A script of an OS definition failed."""

    code = "os_failed"


class ExportMissing(ClusterError):
    """There is no such export."""

    code = "export_missing"


class StreamBroken(ClusterError):
    """The contents of a disk did not arrive."""

    code = "stream_broken"
    retryable = True


class StreamFailed(ClusterError):
    """The contents of a disk cannot be read or written, or a script failed with them."""

    code = "stream_failed"
