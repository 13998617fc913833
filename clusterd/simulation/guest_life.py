"""What guests do: each running one writes to its disks once a second and reads what it wrote last.

So a guest that runs without a disk, a disk that is not open for writing, and a write that was
confirmed and is gone, are found as soon as they are there.
"""

from __future__ import annotations

from clusterd.simulation.cluster import SimulatedCluster
from clusterd.simulation.hosts import SimulatedHost
from hypervisors.guest import GuestDisk
from hypervisors.machine_room import Presence
from storage.errors import StorageError
from storage.shelf import StandsStill

EVERY_S = 1.0


class GuestLife:
    """Lives on the cluster's clock from ``begin`` on; ``wrong`` collects what guests suffer."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self.wrong: list[str] = []
        self.last: dict[str, str] = {}
        """Disk uuid -> the last write that a guest was told is done."""
        self._cluster = cluster

    def begin(self) -> None:
        """Let guests write."""
        self._cluster.clock.callLater(EVERY_S, self._live)

    def forget(self) -> None:
        """From here on older data are accepted: an operator has asked for that."""
        self.last.clear()

    def _live(self) -> None:
        for name in sorted(self._cluster.hosts):
            host = self._cluster.hosts[name]
            residents = self._cluster.room.machine(name).residents
            for guest, resident in sorted(residents.items()):
                if resident.presence is not Presence.RUNNING:
                    continue
                if resident.outlived:
                    self._note(f"guest {guest} on {name} goes on as it was before its last writes")
                for disk in resident.guest.disks:
                    if disk.access == "rw":
                        self._write(host, guest, disk)
        self._cluster.clock.callLater(EVERY_S, self._live)

    def _write(self, host: SimulatedHost, guest: str, disk: GuestDisk) -> None:
        where = f"guest {guest} on {host.name}, disk {disk.index}"
        device = host.device(disk.path)
        try:
            found = host.shelf.read(device)
            wrote = host.shelf.write(device)
        except StandsStill:
            return  # so does the guest
        except StorageError as error:
            self._note(f"{where} cannot write: {error}")
            return
        expected = self.last.get(disk.uuid, found)
        if found != expected:
            self._note(f"{where} has lost a write: finds '{found}', wrote '{expected}'")
        self.last[disk.uuid] = wrote

    def _note(self, text: str) -> None:
        if text not in self.wrong:
            self.wrong.append(text)
