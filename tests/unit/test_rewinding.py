"""Going back to a moment: whatever had changed is as it was, and what cannot be brought back is
refused."""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet.defer import Deferred

from clusterd.simulation.folders import Folders, put_back, tree
from clusterd.simulation.rewinding import Moment, Moving, Reach


class Place:
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class Slotted:
    __slots__ = ("value",)


class Piece(msgspec.Struct):
    size: int
    parts: list[int]


def counter() -> tuple[Callable[[], int], Callable[[], int]]:
    count = 0

    def more() -> int:
        nonlocal count
        count += 1
        return count

    return more, lambda: count


def test_what_has_changed_is_as_it_was() -> None:
    more, count = counter()
    dice = random.Random(7)
    place = Place(
        rows=[1, [2, 3]],
        known={"a": {"b": 1}},
        order=OrderedDict(x=1, y=2),
        waiting=deque([1, 2]),
        cut={("one", "two")},
        piece=Piece(5, [1]),
        more=more,
        dice=dice,
        inner=(Place(name="before"),),
    )
    place.inner[0].outer = place
    inner, rows, piece = place.inner[0], place.rows[1], place.piece
    moment = Moment([place])
    drawn = dice.random()
    for _ in range(2):
        place.rows[1].append(4)
        place.rows.append(5)
        place.known["a"]["b"] = 2
        place.known["c"] = {}
        place.order.move_to_end("x")
        place.waiting.popleft()
        place.cut.clear()
        place.piece.size, place.piece.parts = 6, [2]
        place.more()
        place.inner[0].name = "after"
        place.inner[0].added = True
        place.inner = ()
        moment.restore()
        assert place.rows == [1, [2, 3]]
        assert place.known == {"a": {"b": 1}}
        assert list(place.order) == ["x", "y"]
        assert list(place.waiting) == [1, 2]
        assert place.cut == {("one", "two")}
        assert place.piece == Piece(5, [1])
        assert count() == 0
        assert dice.random() == drawn
        assert vars(place.inner[0]) == {"name": "before", "outer": place}
        assert (place.inner[0], place.rows[1], place.piece) == (inner, rows, piece)
        assert place.rows[1] is rows
        assert place.piece is piece


def test_what_was_there_instead_is_handed_out() -> None:
    place = Place(rows=[1])
    moment = Moment([place])
    late = Place()
    place.rows[:] = [late]
    assert any(late in gone for gone in moment.restore() if isinstance(gone, list))


def test_a_coroutine_that_waits_cannot_be_brought_back() -> None:
    waited_for: Deferred[None] = Deferred()

    async def wait() -> None:
        await waited_for

    waiting = Deferred.fromCoroutine(wait())
    with pytest.raises(Moving):
        Moment([{"heap": [waited_for.callback]}])
    waited_for.callback(None)
    assert waiting.called
    Moment([{"heap": [waited_for.callback]}])


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(TypeError, match="Slotted"):
        Moment([[Slotted()]])
    with pytest.raises(TypeError, match="bytearray"):
        Moment([[bytearray()]])


def test_looking_ends_where_it_is_told_to() -> None:
    far = Place(name="far")
    edge = Place(rows=[far], next=far)
    beyond = Place(name="beyond")
    place = Place(edge=edge, beyond=beyond)
    reach = {id(edge): Reach.EDGE, id(beyond): Reach.NONE}
    moment = Moment([place], lambda one: reach.get(id(one), Reach.ALL))
    far.name = beyond.name = "changed"
    edge.rows.clear()
    edge.next = None
    moment.restore()
    assert (far.name, beyond.name) == ("changed", "changed")
    assert (edge.rows, edge.next) == ([far], far)


def test_files_are_put_back(tmp_path: Path) -> None:
    (tmp_path / "run" / "disks").mkdir(parents=True)
    (tmp_path / "run" / "disks" / "web1:0").symlink_to("/dev/xenvg/a")
    (tmp_path / "export").mkdir()
    (tmp_path / "seed").write_bytes(b"seed")
    (tmp_path / "seed").chmod(0o600)
    before = tree(tmp_path)
    touched = [1]
    folders = Folders({tmp_path: lambda: len(touched)})
    moment = Moment([touched], folders=folders)
    (tmp_path / "run" / "disks" / "web1:0").unlink()
    (tmp_path / "run" / "disks" / "web1:0").symlink_to("/dev/xenvg/b")
    (tmp_path / "run" / "disks" / "web2:0").symlink_to("/dev/xenvg/c")
    (tmp_path / "export").rmdir()
    (tmp_path / "export").write_bytes(b"")
    (tmp_path / "seed").unlink()
    (tmp_path / "new" / "deep").mkdir(parents=True)
    (tmp_path / "new" / "deep" / "file").write_bytes(b"x")
    after = tree(tmp_path)
    moment.restore()
    assert tree(tmp_path) == after, "nothing says that it was touched"
    touched.append(2)
    moment.restore()
    assert touched == [1]
    assert tree(tmp_path) == before
    assert list(before) == ["export", "run", "seed", "run/disks", "run/disks/web1:0"]


def test_a_directory_that_is_not_there_has_nothing_in_it(tmp_path: Path) -> None:
    assert tree(tmp_path / "none") == {}
    put_back(tmp_path / "none", {})
    assert not (tmp_path / "none").exists()
