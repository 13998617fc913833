"""``gnt-cluster backup`` and ``restore`` where what they need is not as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clusterd.backup import write_backup
from clusterd.certificates import MASTER_CANDIDATE
from clusterd.settings import ClusterSection, NodeSection, Settings
from tests.unit.cli_stage import Ended, Stage


class Node(Stage):
    """A candidate of a cluster whose state is in a file; nothing runs on it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.settings = Settings(
            cluster=ClusterSection(name="c1", uuid="c1-uuid"),
            node=NodeSection(name="n1", role=MASTER_CANDIDATE),
            root=str(directory),
        )
        for path in (self.settings.config_directory, self.settings.state_directory):
            path.mkdir(parents=True)
        self.settings.path.write_text(self.settings.to_toml())

    def cluster(self, *words: str) -> Ended:
        return self.run("cluster", *words)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    (tmp_path / "root").mkdir()
    made = Node(tmp_path / "root")
    try:
        yield made
    finally:
        made.responder.close()


def test_a_backup_that_is_not_there(node: Node, tmp_path: Path) -> None:
    missing = tmp_path / "missing.tar.gz"
    ended = node.cluster("restore", "--yes-do-it", str(missing))
    assert (ended.code, ended.err) == (1, [f"Failure: {missing}: No such file or directory"])


def test_a_backup_of_another_cluster(node: Node, tmp_path: Path) -> None:
    other = Settings(cluster=ClusterSection(name="c2", uuid="c2-uuid"), root=str(tmp_path / "o"))
    write_backup(tmp_path / "b", other, (), 1.0)
    ended = node.cluster("restore", "--yes-do-it", str(tmp_path / "b"))
    assert ended.code == 1
    assert "The backup is of cluster c2" in ended.err[0]
    assert not node.settings.store_path.exists()


def test_a_store_that_is_damaged_is_said_to_be(node: Node, tmp_path: Path) -> None:
    node.settings.store_path.write_bytes(b"not a database" * 1000)
    ended = node.cluster("backup", str(tmp_path / "b"))
    assert ended.code == 1
    assert ended.err == [
        f"The store {node.settings.store_path} cannot be read: file is not a database"
    ]
    assert not (tmp_path / "b").exists()


def test_where_nothing_can_be_written(node: Node, tmp_path: Path) -> None:
    ended = node.cluster("backup", str(tmp_path / "nowhere" / "b"))
    assert (ended.code, ended.err) == (1, [f"There is no directory {tmp_path / 'nowhere'}"])
    node.settings.store_path.write_bytes(b"")
    ended = node.cluster("backup", "/proc/b")
    assert ended.code == 1
    assert ended.err[0].startswith("Failure: /proc/")
