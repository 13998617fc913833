"""The part of the hypervisor contract about one node: start to end, reading, failures."""

from __future__ import annotations

import msgspec
import pytest

from hypervisors import errors
from hypervisors.guest import GuestState
from tests.contracts.hypervisor_world import Pair


class Life:
    """Start to end on one node, and reading."""

    def test_absent_guest_is_no_error(self, pair: Pair) -> None:
        drive, name = pair.world.drive, pair.world.guest().name
        assert drive(pair.here.look(name)) is None
        drive(pair.here.ask_to_stop(name))
        drive(pair.here.destroy(name))
        drive(pair.here.abort_migration(name))
        assert drive(pair.here.freeze(name)) is False
        drive(pair.here.thaw(name))
        assert drive(pair.here.migration(name)).state == "none"
        assert drive(pair.here.list()) == ()

    def test_started_guest_is_seen_and_starting_again_changes_nothing(self, pair: Pair) -> None:
        drive, guest = pair.world.drive, pair.world.guest()
        drive(pair.here.start(guest))
        other = msgspec.structs.replace(guest, memory_mib=guest.memory_mib + 32)
        drive(pair.here.start(other))
        seen = drive(pair.here.look(guest.name))
        assert seen is not None
        assert (seen.name, seen.uuid, seen.state) == (guest.name, guest.uuid, GuestState.RUNNING)
        assert (seen.memory_mib, seen.vcpus) == (guest.memory_mib, guest.vcpus)
        assert seen.alive
        listed = drive(pair.here.list())
        assert [(one.name, one.uuid, one.state) for one in listed] == [
            (guest.name, guest.uuid, GuestState.RUNNING)
        ]
        assert drive(pair.there.list()) == ()

    def test_paused_start(self, pair: Pair) -> None:
        guest = pair.world.guest()
        pair.world.drive(pair.here.start(guest, paused=True))
        assert pair.places(guest) == ("paused", None)

    def test_restarted_daemon_sees_the_guest(self, pair: Pair) -> None:
        drive, guest = pair.world.drive, pair.world.guest()
        drive(pair.here.start(guest))
        fresh = pair.world.driver(pair.world.here)
        seen = drive(fresh.look(guest.name))
        assert seen is not None
        drive(fresh.start(guest))

    def test_destroy_leaves_nothing(self, pair: Pair) -> None:
        guest = pair.world.guest()
        pair.world.drive(pair.here.start(guest))
        for _ in range(2):
            pair.world.drive(pair.here.destroy(guest.name))
            assert pair.places(guest) == (None, None)

    def test_power_button(self, pair: Pair) -> None:
        drive, guest = pair.world.drive, pair.world.guest()
        drive(pair.here.start(guest))
        pair.world.wait_until_obedient(guest)
        with pytest.raises(errors.StillRunning):
            drive(pair.here.ask_to_stop(guest.name))
        pair.world.until(lambda: pair.here.ask_to_stop(guest.name), errors.StillRunning)
        assert pair.places(guest) == (None, None)

    @pytest.mark.parametrize("hard", [False, True])
    def test_reboot_keeps_the_guest(self, pair: Pair, hard: bool) -> None:
        drive, guest = pair.world.drive, pair.world.guest()
        with pytest.raises(errors.GuestMissing):
            drive(pair.here.reboot(guest, hard=hard))
        drive(pair.here.start(guest))
        drive(pair.here.reboot(guest, hard=hard))
        assert pair.places(guest) == ("running", None)

    def test_missing_disk(self, pair: Pair) -> None:
        drive, guest = pair.world.drive, pair.world.without_disk(pair.world.guest())
        for ask in (pair.here.start, pair.there.accept):
            with pytest.raises(errors.DeviceMissing, match=guest.disks[0].path):
                drive(ask(guest))
        assert pair.places(guest) == (None, None)

    def test_too_much_memory(self, pair: Pair) -> None:
        drive, guest = pair.world.drive, pair.world.guest()
        greedy = msgspec.structs.replace(guest, memory_mib=100 * 1024 * 1024)
        for ask in (pair.here.start, pair.there.accept):
            with pytest.raises(errors.NotEnoughMemory, match=guest.name):
                drive(ask(greedy))
        assert pair.places(guest) == (None, None)

    def test_bad_parameters(self, pair: Pair) -> None:
        drive, guest = pair.world.drive, pair.world.guest()
        drive(pair.here.validate(guest.params))
        for wrong in ({"migration_mode": "sideways"}, {"no_such_parameter": 1}):
            params = {**guest.params, **wrong}
            with pytest.raises(errors.BadParameter, match=next(iter(wrong))):
                drive(pair.here.validate(params))
            with pytest.raises(errors.BadParameter):
                drive(pair.here.start(msgspec.structs.replace(guest, params=params)))

    def test_hardware(self, pair: Pair) -> None:
        seen = pair.world.drive(pair.here.hardware())
        assert 0 < seen.memory_free_mib <= seen.memory_total_mib
        assert 0 <= seen.memory_host_mib < seen.memory_total_mib
        assert min(seen.cpus, seen.cpu_sockets, seen.cpu_nodes, seen.host_cpus) >= 1
        assert seen.version

    def test_console(self, pair: Pair) -> None:
        console = pair.world.drive(pair.here.console(pair.world.guest()))
        assert console["kind"] in ("ssh", "vnc", "spice", "msg")

    def test_dead_service_is_said_and_comes_back(self, pair: Pair) -> None:
        drive, guest = pair.world.drive, pair.world.guest()
        drive(pair.here.start(guest))
        pair.world.stop_service(pair.world.here)
        for ask in (pair.here.list, pair.here.hardware):
            with pytest.raises(errors.HypervisorDown):
                drive(ask())
        with pytest.raises(errors.HypervisorDown):
            drive(pair.here.start(guest))
        pair.world.start_service(pair.world.here)
        assert pair.places(guest) == ("running", None)

    def test_restarted_service_is_not_noticed(self, pair: Pair) -> None:
        drive, guest = pair.world.drive, pair.world.guest()
        drive(pair.here.start(guest))
        pair.world.stop_service(pair.world.here)
        pair.world.start_service(pair.world.here)
        assert pair.places(guest) == ("running", None)

    def test_power_failure_leaves_nothing(self, pair: Pair) -> None:
        guest = pair.world.guest()
        pair.world.drive(pair.here.start(guest))
        pair.world.power_off_and_on(pair.world.here)
        assert pair.places(guest) == (None, None)
        pair.world.drive(pair.here.start(guest))
        assert pair.places(guest) == ("running", None)
