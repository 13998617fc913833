"""Abbreviated long options, ``--disk-t`` for ``--disk-template``, written out before parsing.

Decided here: what is unique is meant; what is not is refused with all that it could be. Words
after the first argument, and values of options, are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cli.notation import BadText


def written_out(words: Sequence[str], takes_value: Mapping[str, bool]) -> list[str]:
    """The same words with whole names. ``takes_value``: every name, long and short."""
    found: list[str] = []
    left = list(words)
    while left and left[0].startswith("-") and left[0] not in ("-", "--"):
        word = left.pop(0)
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            name = _whole(name, takes_value)
            found.append(f"{name}{equals}{value}")
            wants_next = takes_value.get(name, False) and not equals
        else:
            found.append(word)
            wants_next = _last_letter_wants_next(word, takes_value)
        if wants_next and left:
            found.append(left.pop(0))
    return [*found, *left]


def _whole(name: str, takes_value: Mapping[str, bool]) -> str:
    if name in takes_value:
        return name
    meant = sorted(known for known in takes_value if known.startswith(name))
    if len(meant) > 1:
        raise BadText(f"ambiguous option: {name} ({', '.join(meant)}?)")
    return meant[0] if meant else name


def _last_letter_wants_next(word: str, takes_value: Mapping[str, bool]) -> bool:
    """``-fn`` wants a value if ``-n`` does; in ``-nf`` the f is the value."""
    letters = word[1:]
    for index, letter in enumerate(letters):
        if takes_value.get(f"-{letter}", False):
            return index == len(letters) - 1
    return False
