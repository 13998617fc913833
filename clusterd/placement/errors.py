"""What is wrong with what placement was given. Nothing is planned from input that is refused."""

from __future__ import annotations

from jobqueue.errors import Refused


class BadCluster(Refused):
    """The description of the cluster contradicts itself; the message names the line or object."""

    code = "placement_bad_cluster"


class BadRequest(Refused):
    """The request names what does not exist or asks for the impossible."""

    code = "placement_bad_request"
