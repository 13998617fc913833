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
from clusterd.simulation.rewinding import Moving, Reach, World


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
    moment = World([place]).moment()
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
    moment = World([place]).moment()
    late = Place()
    place.rows[:] = [late]
    assert any(late in gone for gone in moment.restore() if isinstance(gone, list))


def test_a_coroutine_that_waits_cannot_be_brought_back() -> None:
    waited_for: Deferred[None] = Deferred()

    async def wait() -> None:
        await waited_for

    waiting = Deferred.fromCoroutine(wait())
    with pytest.raises(Moving):
        World([{"heap": [waited_for.callback]}]).moment()
    waited_for.callback(None)
    assert waiting.called
    World([{"heap": [waited_for.callback]}]).moment()


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(TypeError, match="Slotted"):
        World([[Slotted()]]).moment()
    with pytest.raises(TypeError, match="bytearray"):
        World([[bytearray()]]).moment()


def test_a_later_moment_is_of_all_that_was_put_there_since() -> None:
    first = Place(rows=[1])
    place = Place(inner=first, known={}, cut=set(), rows=[], piece=Piece(5, []), more=counter()[0])
    world = World([place])
    world.moment()
    for turn in range(20):
        place.inner = Place(rows=[turn])
        place.known[turn] = [turn]
        place.cut.add(("one", turn))
        place.rows.append({turn})
        place.piece.parts = [turn]
        setattr(place, f"added{turn}", deque([turn]))
        place.more()
        first.late = {"rows": [turn]}
        place.first = [first]
        moment = world.moment()
        inner, late, added = place.inner, first.late["rows"], getattr(place, f"added{turn}")
        inner.rows.append("more")
        place.known[turn].append("more")
        place.rows[-1].clear()
        place.piece.parts.append("more")
        late.append("more")
        added.append("more")
        assert place.more() == turn + 2
        place.inner = first.late = None
        moment.restore()
        assert place.inner is inner
        assert inner.rows == [turn]
        assert place.known == {one: [one] for one in range(turn + 1)}
        assert place.rows[-1] == {turn}
        assert place.piece.parts == [turn]
        assert first.late == {"rows": late}
        assert late == [turn]
        assert list(added) == [turn]


def test_a_later_moment_finds_what_waits_since() -> None:
    waited_for: Deferred[None] = Deferred()
    place = Place(rows=[])
    world = World([place])
    world.moment()

    async def wait() -> None:
        await waited_for

    place.rows.append(wait)
    world.moment()
    waiting = Deferred.fromCoroutine(wait())
    place.rows.append(waited_for)
    with pytest.raises(Moving):
        world.moment()
    with pytest.raises(Moving):
        world.moment()
    waited_for.callback(None)
    assert waiting.called
    world.moment()


def test_looking_ends_where_it_is_told_to() -> None:
    far = Place(name="far")
    edge = Place(rows=[far], next=far)
    beyond = Place(name="beyond")
    place = Place(edge=edge, beyond=beyond)
    reach = {id(edge): Reach.EDGE, id(beyond): Reach.NONE}
    moment = World([place], lambda one: reach.get(id(one), Reach.ALL)).moment()
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
    moment = World([touched], folders=folders).moment()
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
