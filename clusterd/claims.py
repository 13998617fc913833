"""Identities that jobs have drawn and that the store does not hold yet.

Two jobs may draw at the same moment, before the writes of either are in the store and in the mirror
of it. What one has drawn is claimed until then, so that the other draws something else. In memory
only: one master draws, and what it has not stored when it dies was never drawn.

What a job takes from an object is claimed, too, as long as it might have to give it back.

Invariant: an identity has one claimant, none once the mirror shows it, none whose job has ended.
"""

from __future__ import annotations

Identity = tuple[str | int, ...]
"""(port, 11000), (minor, uuid of node, 3), (mac, address), (address, uuid of network, number)"""


class Claims:
    """Claims by the number of the job."""

    def __init__(self) -> None:
        self._claimed: dict[Identity, int] = {}

    def __contains__(self, identity: object) -> bool:
        return identity in self._claimed

    def numbers(self, *kind: str) -> frozenset[int]:
        """The claimed numbers of a kind: what stands behind ``kind`` in the identities."""
        return frozenset(int(identity[-1]) for identity in self._claimed if identity[:-1] == kind)

    def take(self, identity: Identity, job_id: int) -> None:
        """The job has drawn it."""
        self._claimed[identity] = job_id

    def give_up(self, job_id: int) -> None:
        """The job will draw anew, or not at all."""
        for identity in [one for one, owner in self._claimed.items() if owner == job_id]:
            del self._claimed[identity]

    def stored(self, identity: Identity) -> None:
        """The mirror shows it from now on."""
        self._claimed.pop(identity, None)
