"""The built-in storage backends are found, declared and made without touching anything."""

from __future__ import annotations

import msgspec
import pytest

from clusterd.defaults import DISK_TEMPLATES
from clusterd.placement import facts
from storage.commands import ThreadedCommands
from storage.plugin import Mirrored, StorageSettings, built_in
from storage.volume import Template
from tests.contracts.storage import InPlace


def test_every_template_has_one_backend() -> None:
    assert list(built_in()) == sorted(Template)


@pytest.mark.parametrize("template", sorted(Template))
def test_backend_is_of_its_template(template: Template) -> None:
    plugin = built_in()[template]
    threads = InPlace()
    backend = plugin.make(ThreadedCommands(threads), threads, StorageSettings())
    assert backend.template is plugin.template is template


@pytest.mark.parametrize("template", sorted(Template))
def test_parameters_have_defaults_and_strict_names(template: Template) -> None:
    plugin = built_in()[template]
    parameters = plugin.parameters
    assert isinstance(msgspec.convert({}, parameters), parameters)
    if plugin.open_parameters:
        return
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"no-such-parameter": 1}, parameters)


def test_placement_and_policies_know_every_template() -> None:
    """Placement is told of templates by name, and must not read plugins; here both are compared."""
    plugins = {str(t): plugin for t, plugin in built_in().items() if t is not Template.MEMORY}
    assert sorted(facts.TEMPLATES) == sorted(DISK_TEMPLATES) == sorted(plugins)
    shared = [name for name, plugin in plugins.items() if plugin.shared and name != "diskless"]
    assert sorted(facts.SHARED) == sorted(shared)
    assert sorted(facts.LOCAL) == [name for name, p in plugins.items() if p.uses_volume_groups]
    mirrored = [name for name, p in plugins.items() if p.mirrored is Mirrored.INTERNAL]
    assert mirrored == [facts.INTERNAL_MIRROR]
    assert sorted(facts.MOVABLE) == sorted([*shared, *mirrored])


def test_what_the_master_reads() -> None:
    plugins = built_in()
    internal = [t for t, plugin in plugins.items() if plugin.mirrored is Mirrored.INTERNAL]
    assert internal == [Template.DRBD]
    shared = [
        *(Template.BLOCKDEV, Template.DISKLESS, Template.EXT),
        *(Template.GLUSTER, Template.RBD, Template.SHAREDFILE),
    ]
    assert [t for t, p in plugins.items() if p.shared] == shared
    assert plugins[Template.DRBD].overhead_mib == 128
    assert msgspec.to_builtins(plugins[Template.DRBD].parameters())["resync-rate"] == 61440
