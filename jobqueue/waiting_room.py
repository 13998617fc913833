"""The jobs that have not begun and wait for nothing but their turn, or for a name to become free.

Invariant: a job is here once, either in line or held under one name. Every change costs O(log n).
"""

from __future__ import annotations

import heapq

Place = tuple[float, int]
"""(turn, job): smaller is next."""


class WaitingRoom:
    """Lines are heaps; what left or moved stays in them until it comes up, and is known by that."""

    def __init__(self) -> None:
        self._where: dict[int, tuple[str, float]] = {}
        """job -> (name under which it is held or empty, turn)"""
        self._lines: dict[str, list[Place]] = {"": []}

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._where

    def __len__(self) -> int:
        return len(self._where)

    def ids(self) -> list[int]:
        """All that are here, by number."""
        return sorted(self._where)

    def put(self, job_id: int, turn: float) -> None:
        """The job stands in line; it may have stood somewhere else."""
        self._stand(job_id, turn, "")

    def hold(self, job_id: int, turn: float, name: str) -> None:
        """The job waits until ``free`` is called for ``name``."""
        self._stand(job_id, turn, name)

    def move(self, job_id: int, turn: float) -> None:
        """The job's turn is another one."""
        found = self._where.get(job_id)
        if found is not None:
            self._stand(job_id, turn, found[0])

    def leave(self, job_id: int) -> None:
        """The job is not here any more."""
        self._where.pop(job_id, None)

    def next(self) -> int | None:
        """The job whose turn it is; it is not here any more."""
        return self._pop("")

    def free(self, name: str) -> int | None:
        """The first job that is held under ``name`` stands in line again; None if there is none."""
        line = self._lines.get(name, [])
        while line:
            turn, job_id = heapq.heappop(line)
            if self._where.get(job_id) == (name, turn):
                self.put(job_id, turn)
                return job_id
        self._lines.pop(name, None)
        return None

    def free_all(self) -> None:
        """Nobody is held any more."""
        for job_id, (name, turn) in list(self._where.items()):
            if name:
                self.put(job_id, turn)
        self._lines = {"": self._lines[""]}

    def _stand(self, job_id: int, turn: float, name: str) -> None:
        self._where[job_id] = (name, turn)
        heapq.heappush(self._lines.setdefault(name, []), (turn, job_id))

    def _pop(self, name: str) -> int | None:
        line = self._lines[name]
        while line:
            turn, job_id = heapq.heappop(line)
            if self._where.get(job_id) == (name, turn):
                del self._where[job_id]
                return job_id
        return None
