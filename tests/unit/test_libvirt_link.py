"""The link to libvirt, on the pretended hypervisor that libvirt's own library carries."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from hypervisors.errors import BadParameter, GuestMissing, HypervisorDown
from hypervisors.libvirt_link import LibvirtLink, load_library
from tests.waiting import settled

T = TypeVar("T")
PRETENDED = "test:///default"


class InPlace:
    """Blocking work done at once."""

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)


@pytest.fixture
def link() -> LibvirtLink:
    return LibvirtLink(InPlace(), PRETENDED)


def look_up(name: str) -> Callable[[Any, Any], str]:
    def work(library: Any, connection: Any) -> str:
        found: str = connection.lookupByName(name).name()
        return found

    return work


def test_one_connection_is_kept(link: LibvirtLink) -> None:
    first = settled(link.use(lambda library, connection: connection))
    second = settled(link.use(lambda library, connection: connection))
    assert first is second
    settled(link.close())
    assert settled(link.use(lambda library, connection: connection)) is not first


def test_errors_become_ours_and_name_the_subject(link: LibvirtLink) -> None:
    assert settled(link.use(look_up("test"))) == "test"
    with pytest.raises(GuestMissing) as caught:
        settled(link.use(look_up("absent"), subject="absent"))
    assert caught.value.subject == "absent"
    assert "absent" in caught.value.message
    with pytest.raises(BadParameter):
        settled(link.use(lambda library, connection: connection.createXML("junk", 0)))


def test_other_exceptions_pass(link: LibvirtLink) -> None:
    with pytest.raises(ZeroDivisionError):
        settled(link.use(lambda library, connection: 1 // 0))


def test_nobody_there() -> None:
    link = LibvirtLink(InPlace(), "qemu+unix:///system?socket=/nowhere/libvirt-sock")
    with pytest.raises(HypervisorDown, match="/nowhere/libvirt-sock"):
        settled(link.use(lambda library, connection: None))


def test_a_broken_connection_is_made_anew_once(link: LibvirtLink) -> None:
    library = load_library()
    asked = []

    def broken_once(library: Any, connection: Any) -> int:
        asked.append(connection)
        if len(asked) == 2:
            raise_rpc(library)
        return len(asked)

    assert settled(link.use(broken_once)) == 1
    assert settled(link.use(broken_once)) == 3
    assert asked[0] is asked[1]
    assert asked[2] is not asked[1]
    with pytest.raises(HypervisorDown):
        settled(link.use(lambda given, connection: raise_rpc(given)))
    assert library.VIR_FROM_RPC == 7


def raise_rpc(library: Any) -> None:
    """What libvirt's library raises when the other end has closed."""
    error = library.libvirtError("virDomainLookupByName() failed")
    error.err = (
        library.VIR_ERR_INTERNAL_ERROR,
        library.VIR_FROM_RPC,
        "internal error: client socket is closed",
        library.VIR_ERR_ERROR,
        None,
        None,
        None,
        0,
        0,
    )
    raise error


def test_nothing_is_printed_and_reading_declarations_loads_no_library() -> None:
    script = (
        "import sys\n"
        "from hypervisors.plugins import built_in\n"
        "built_in()['kvm'].defaults()\n"
        "assert 'libvirt' not in sys.modules\n"
        "from hypervisors.libvirt_link import connected, load_library\n"
        "try: connected(load_library(), 'qemu+unix:///system?socket=/nowhere')\n"
        "except Exception as error: print(type(error).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("HypervisorDown\n", "")
