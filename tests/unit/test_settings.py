"""The settings file: strict, explained, and written so that it reads back the same."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterd.errors import NoCluster
from clusterd.settings import (
    SECTIONS,
    BadSettings,
    NodeSection,
    Settings,
    StorageSection,
    usual_path,
)

FULL = """
[cluster]
name = "c1.example.com"
[node]
name = "n1.example.com"
primary_ip = "192.0.2.1"
port = 1911
[directories]
state = "/srv/clusterd/state"
[storage]
file_directories = ["/srv/ganeti/file-storage"]
"""


def parse(text: str) -> Settings:
    return Settings.parse(text, source="test.toml")


def test_values_and_defaults() -> None:
    settings = parse(FULL)
    assert settings.node.port == 1911
    assert settings.rapi.port == 5080
    assert settings.state_directory == Path("/srv/clusterd/state")
    assert settings.run_directory == Path("/run/clusterd")
    assert settings.storage.file_directories == ("/srv/ganeti/file-storage",)


def test_unknown_section_is_named() -> None:
    with pytest.raises(BadSettings, match=r"unknown section \[nodes\]; known are cluster, node"):
        parse("[nodes]\nname = 'x'\n")


def test_unknown_key_is_named_with_those_known() -> None:
    with pytest.raises(BadSettings, match=r"unknown key 'prot' in section \[node\].*port"):
        parse("[node]\nprot = 1811\n")


def test_the_root_cannot_be_written_into_the_file() -> None:
    with pytest.raises(BadSettings, match=r"unknown section \[root\]"):
        parse("root = '/tmp'\n")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[node]\nport = '1811'\n", "node.port"),
        ("[node]\nport = 0\n", "node.port"),
        ("[node]\nport = 65536\n", "node.port"),
        ("[node]\nrole = 'master'\n", "node.role"),
        ("[node]\nprimary_ip = '192.0.2'\n", "primary_ip: '192.0.2' is not an IP address"),
        ("[directories]\nstate = 'here'\n", "directories.state"),
        ("[store]\nengine = 'postgres'\n", "store.engine"),
        ("[timeouts]\nstart_s = 0\n", "timeouts.start_s"),
        ("node = 5\n", "node must be a section"),
        ("[node\n", "not valid TOML"),
    ],
)
def test_wrong_values_are_refused_by_name(text: str, what: str) -> None:
    with pytest.raises(BadSettings) as caught:
        parse(text)
    assert what in str(caught.value)
    assert "test.toml" in str(caught.value)


def test_a_machine_without_the_file_is_in_no_cluster(tmp_path: Path) -> None:
    with pytest.raises(NoCluster, match="gnt-cluster init"):
        Settings.load(environment={"CLUSTERD_ROOT": str(tmp_path)})


def test_the_prefix_moves_all_four_directories_and_is_explained(tmp_path: Path) -> None:
    environment = {"CLUSTERD_ROOT": f"{tmp_path}/"}
    path = usual_path(str(tmp_path))
    path.parent.mkdir(parents=True)
    path.write_text(FULL)
    settings = Settings.load(environment=environment)
    assert settings.path == path
    for directory in (
        settings.config_directory,
        settings.state_directory,
        settings.run_directory,
        settings.log_directory,
        settings.store_path,
        settings.socket_directory,
    ):
        assert directory.is_relative_to(tmp_path)
    shown = {row.key: row for row in settings.effective()}
    assert shown["directories.state"].value == f"{tmp_path}/srv/clusterd/state"
    assert shown["directories.state"].why == f"file {path}, below CLUSTERD_ROOT={tmp_path}"
    assert shown["directories.run"].why == f"default, below CLUSTERD_ROOT={tmp_path}"
    assert shown["node.port"].why == f"file {path}"
    assert shown["rapi.port"].why == "default"


def test_a_relative_prefix_is_refused() -> None:
    with pytest.raises(BadSettings, match="absolute"):
        Settings.load(environment={"CLUSTERD_ROOT": "here"})


def test_every_key_is_explained() -> None:
    keys = [row.key for row in Settings().effective()]
    assert keys == [f"{section}.{key}" for section, part in SECTIONS.items() for key in part]


def test_an_option_wins_over_the_file_and_says_so() -> None:
    settings = parse(FULL).override("node", "option -p", port=2000)
    shown = {row.key: row for row in settings.effective()}
    assert (shown["node.port"].value, shown["node.port"].why) == (2000, "option -p")
    assert shown["node.name"].why == "file test.toml"
    with pytest.raises(BadSettings, match="option -p"):
        settings.override("node", "option -p", port=70000)


def sections(settings: Settings) -> list[object]:
    return [getattr(settings, name) for name in SECTIONS]


@given(
    name=st.text(st.characters(exclude_categories=["Cs"])),
    port=st.integers(1, 65535),
    directories=st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"])).map(lambda text: "/" + text)
    ),
)
def test_what_is_written_reads_back(name: str, port: int, directories: list[str]) -> None:
    settings = Settings(
        node=NodeSection(name=name, port=port, role="master-candidate"),
        storage=StorageSection(file_directories=tuple(directories)),
    )
    assert sections(parse(settings.to_toml())) == sections(settings)


def test_sections_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Settings().node.port = 5  # type: ignore[misc]
    assert msgspec.structs.replace(Settings(), root="/x").run_directory == Path("/x/run/clusterd")
