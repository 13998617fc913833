"""Why a node was not reached, in words."""

from __future__ import annotations

from twisted.internet.address import HostnameAddress
from twisted.internet.error import ConnectingCancelledError, ConnectionLost

from clusterd.calls.wire import reason


def test_a_connection_that_was_given_up_or_lost_is_told_in_words() -> None:
    cancelled = ConnectingCancelledError(HostnameAddress(b"10.77.0.13", 1811))
    assert reason(cancelled) == "no answer in time"
    assert reason(ConnectionLost("nothing was heard for 10 s")) == "nothing was heard for 10 s"
    assert reason(ConnectionLost()).startswith("Connection to the other side was lost")
