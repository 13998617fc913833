"""The errors of the cluster, their codes, and how they look to clients of Ganeti.

A request that cannot be carried out raises ``jobqueue.errors.Refused`` with one of ``ECODES``; what
goes wrong while acting is a ``ClusterError``, or a plugin's error that crossed a link: then it is
a ``CallFailed``.
"""

from __future__ import annotations

from typing import ClassVar

ECODES = (
    "resolver_error",
    "insufficient_resources",
    "temp_insufficient_resources",
    "wrong_input",
    "wrong_state",
    "unknown_entity",
    "already_exists",
    "resource_not_unique",
    "internal_error",
    "environment_error",
)


class ClusterError(Exception):
    """The cluster failed."""

    code: ClassVar[str] = "cluster_error"
    retryable: bool = False

    def __init__(self, message: str = "", *, subject: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or self.code).strip())
        self.subject = subject

    @property
    def message(self) -> str:
        """The sentence for people."""
        return str(self)


class CallFailed(ClusterError):
    """A node answered with an error of a plugin or verb; ``kind`` is that error's code."""

    code = "call_failed"

    def __init__(
        self, message: str, *, kind: str, node: str, subject: str = "", retryable: bool = False
    ) -> None:
        super().__init__(message, subject=subject)
        self.kind = kind
        self.node = node
        self.retryable = retryable


class NodeAway(CallFailed):
    """The node cannot be reached, or did not answer in time: the outcome is unknown."""

    code = "node_away"

    def __init__(self, message: str, *, node: str, kind: str = "node_away") -> None:
        super().__init__(message, kind=kind, node=node, retryable=True)


class OldEpoch(CallFailed):
    """The node has seen a newer master; this one must stop."""

    code = "old_epoch"


class NotReady(ClusterError):
    """Something is not yet as it must be; asking again later helps."""

    code = "not_ready"
    retryable = True


class NotMaster(ClusterError):
    """This node is not the master."""

    code = "not_master"


class NoCluster(ClusterError):
    """This machine is not part of a cluster."""

    code = "no_cluster"


class DoorAway(ClusterError):
    """The master daemon does not answer on its local door."""

    code = "door_away"
