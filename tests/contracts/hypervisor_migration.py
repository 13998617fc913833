"""The part of the hypervisor contract about live migration between two nodes."""

from __future__ import annotations

import time

import pytest

from hypervisors import errors
from hypervisors.guest import Guest
from tests.contracts.hypervisor_world import PATIENCE_S, Pair


class Migration:
    """From here to there."""

    def test_accepting_leaves_nothing_behind(self, pair: Pair) -> None:
        guest = pair.world.guest()
        for _ in range(2):
            pair.world.drive(pair.there.accept(guest))
        assert pair.places(guest) == (None, None)

    def test_accepting_a_guest_that_runs_is_refused(self, pair: Pair) -> None:
        guest = pair.world.guest()
        pair.world.drive(pair.there.start(guest))
        with pytest.raises(errors.StillRunning):
            pair.world.drive(pair.there.accept(guest))
        assert pair.places(guest) == (None, "running")

    def test_migrating_an_absent_guest(self, pair: Pair) -> None:
        with pytest.raises(errors.GuestMissing):
            pair.begin(pair.world.guest())

    def test_migrating_to_a_node_that_is_not_there(self, pair: Pair) -> None:
        drive, guest = pair.world.drive, pair.world.guest()
        drive(pair.here.start(guest))
        token = drive(pair.there.accept(guest))
        pair.world.stop_service(pair.world.there)
        with pytest.raises(errors.MigrationFailed, match=pair.world.there):
            drive(pair.here.migrate(guest, pair.world.there, token, live=True))
        pair.world.start_service(pair.world.there)
        assert pair.places(guest) == ("running", None)

    @pytest.mark.parametrize("live", [True, False])
    def test_there_and_settled(self, pair: Pair, live: bool) -> None:
        drive, guest = pair.world.drive, pair.world.guest()
        drive(pair.here.start(guest))
        pair.world.wait_until_obedient(guest)
        pair.begin(guest, live=live)
        status = pair.end(guest)
        assert status.state == "completed", status
        assert status.total_mib > 0
        assert status.remaining_mib == 0
        assert status.downtime_ms is not None
        assert 0 <= status.downtime_ms <= status.elapsed_ms
        assert pair.places(guest) == (None, "running")
        for _ in range(2):
            drive(pair.there.settle(guest, arrived=True))
            drive(pair.here.settle(guest, arrived=False))
        assert pair.places(guest) == (None, "running")
        assert drive(pair.here.migration(guest.name)) == status
        restarted = pair.world.driver(pair.world.here)
        assert drive(restarted.migration(guest.name)).state == "completed"
        with pytest.raises(errors.GuestMissing):
            drive(pair.here.abort_migration(guest.name))

    def test_there_and_back(self, pair: Pair) -> None:
        drive, guest = pair.world.drive, pair.world.guest()
        drive(pair.here.start(guest))
        pair.world.wait_until_obedient(guest)
        pair.begin(guest)
        assert pair.end(guest).state == "completed"
        pair.here, pair.there = pair.there, pair.here
        pair.world.here, pair.world.there = pair.world.there, pair.world.here
        pair.begin(guest)
        assert pair.end(guest).state == "completed"
        assert pair.places(guest) == (None, "running")
        # what is known of the first migration ended when the guest came back
        assert drive(pair.there.migration(guest.name)).state == "none"

    def test_paused_guest_arrives_paused(self, pair: Pair) -> None:
        guest = pair.world.guest()
        pair.world.drive(pair.here.start(guest, paused=True))
        pair.begin(guest)
        assert pair.end(guest).state == "completed"
        assert pair.places(guest)[0] is None
        assert pair.places(guest)[1] == "paused"

    def test_begun_twice_is_one_migration(self, pair: Pair) -> None:
        drive, guest = pair.world.drive, pair.world.guest(slow=True)
        drive(pair.here.start(guest))
        token = drive(pair.there.accept(guest))
        for _ in range(2):
            drive(pair.here.migrate(guest, pair.world.there, token, live=True))
        assert drive(pair.here.migration(guest.name)).state == "running"
        _abort(pair, guest)
        assert pair.places(guest) == ("running", None)

    def test_under_way(self, pair: Pair) -> None:
        drive, guest = pair.world.drive, pair.world.guest(slow=True)
        drive(pair.here.start(guest))
        pair.world.wait_until_obedient(guest)
        pair.begin(guest)
        _wait_for_transfer(pair, guest)
        assert pair.places(guest) == ("running", "incoming")
        seen = drive(pair.there.look(guest.name))
        assert seen is not None
        assert not seen.alive
        with pytest.raises(errors.MigrationRunning):
            drive(pair.there.settle(guest, arrived=True))
        with pytest.raises(errors.MigrationRunning):
            drive(pair.there.start(guest))
        assert pair.places(guest) == ("running", "incoming")

    def test_abort_leaves_the_guest_here_and_the_target_clean(self, pair: Pair) -> None:
        drive, guest = pair.world.drive, pair.world.guest(slow=True)
        drive(pair.here.start(guest))
        pair.world.wait_until_obedient(guest)
        pair.begin(guest)
        _wait_for_transfer(pair, guest)
        _abort(pair, guest)
        assert drive(pair.here.migration(guest.name)).state == "cancelled"
        drive(pair.there.settle(guest, arrived=False))
        drive(pair.here.settle(guest, arrived=True))
        assert pair.places(guest) == ("running", None)
        _abort(pair, guest)

    def test_settling_never_ends_a_live_guest(self, pair: Pair) -> None:
        guest = pair.world.guest()
        pair.world.drive(pair.here.start(guest))
        with pytest.raises(errors.StillRunning):
            pair.world.drive(pair.here.settle(guest, arrived=False))
        assert pair.places(guest) == ("running", None)

    def test_settling_a_guest_that_never_came(self, pair: Pair) -> None:
        drive, guest = pair.world.drive, pair.world.guest()
        drive(pair.there.settle(guest, arrived=False))
        with pytest.raises(errors.GuestMissing):
            drive(pair.there.settle(guest, arrived=True))

    def test_restarted_daemon_still_sees_and_stops_it(self, pair: Pair) -> None:
        drive, guest = pair.world.drive, pair.world.guest(slow=True)
        drive(pair.here.start(guest))
        pair.world.wait_until_obedient(guest)
        pair.begin(guest)
        _wait_for_transfer(pair, guest)
        pair.here = pair.world.driver(pair.world.here)
        for patience_s in (0.0, 0.2):
            seen = drive(pair.here.migration(guest.name, patience_s=patience_s))
            assert seen.state == "running"
        drive(pair.here.migrate(guest, pair.world.there, "", live=True))
        _abort(pair, guest)
        assert pair.end(guest).state in ("none", "cancelled")
        drive(pair.there.settle(guest, arrived=False))
        assert pair.places(guest) == ("running", None)

    def test_power_failure_of_the_target(self, pair: Pair) -> None:
        drive, guest = pair.world.drive, pair.world.guest(slow=True)
        drive(pair.here.start(guest))
        pair.world.wait_until_obedient(guest)
        pair.begin(guest)
        _wait_for_transfer(pair, guest)
        pair.world.power_off_and_on(pair.world.there)
        status = pair.end(guest)
        assert status.state == "failed", status
        assert status.message
        assert pair.places(guest) == ("running", None)

    def test_power_failure_of_the_source(self, pair: Pair) -> None:
        drive, guest = pair.world.drive, pair.world.guest(slow=True)
        drive(pair.here.start(guest))
        pair.world.wait_until_obedient(guest)
        pair.begin(guest)
        _wait_for_transfer(pair, guest)
        pair.world.power_off_and_on(pair.world.here)
        drive(pair.there.settle(guest, arrived=False))
        assert pair.places(guest) == (None, None)
        drive(pair.there.start(guest))
        assert pair.places(guest) == (None, "running")

    def test_dead_service_at_the_source(self, pair: Pair) -> None:
        drive, guest = pair.world.drive, pair.world.guest(slow=True)
        drive(pair.here.start(guest))
        pair.world.wait_until_obedient(guest)
        pair.begin(guest)
        _wait_for_transfer(pair, guest)
        pair.world.stop_service(pair.world.here)
        pair.world.start_service(pair.world.here)
        assert pair.end(guest).state == "failed"
        drive(pair.there.settle(guest, arrived=False))
        assert pair.places(guest) == ("running", None)


def _wait_for_transfer(pair: Pair, guest: Guest) -> None:
    """Memory is on its way."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        status = pair.world.drive(pair.here.migration(guest.name))
        assert status.state == "running", status
        if status.transferred_mib > 0:
            return
        assert time.monotonic() < deadline, status
        pair.world.pause()


def _abort(pair: Pair, guest: Guest) -> None:
    pair.world.until(lambda: pair.here.abort_migration(guest.name), errors.MigrationRunning)
