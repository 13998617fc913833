"""Which tests run on one worker when several work at once."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real tests of a module stay together, for they share what they start; modules that share with
    others name their group themselves."""
    for item in items:
        real = item.get_closest_marker("real") is not None
        if real and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
