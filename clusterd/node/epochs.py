"""Which mastership this node obeys: the highest epoch it has seen, and no lower one ever again."""

from __future__ import annotations

from clusterd.errors import ClusterError
from clusterd.node.keep import Keep

NAME = "node-epoch"


class EpochPassed(ClusterError):
    """A newer master has been seen."""

    code = "old_epoch"


class EpochUnreadable(ClusterError):
    """The stored epoch of this node is damaged."""

    code = "epoch_unreadable"


class Epochs:
    """Invariant: ``highest`` never falls, and is stored before anything is done under it."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        stored = keep.read(NAME)
        try:
            self.highest = 0 if stored is None else int(stored)
        except ValueError:
            # guessing would let a deposed master in
            raise EpochUnreadable(
                f"the stored epoch '{NAME}' in the state directory is damaged ({stored!r}); write"
                " the epoch of the present master into it"
            ) from None

    def admit(self, epoch: int) -> bool:
        """Raises EpochPassed for a lower one; answers True if it is the highest so far, now
        stored."""
        if epoch < self.highest:
            raise EpochPassed(
                f"epoch {epoch} has passed: this node obeys the master of epoch {self.highest}"
            )
        if epoch == self.highest:
            return False
        self._keep.write(NAME, b"%d" % epoch)
        self.highest = epoch
        return True
