"""Who may do what: Ganeti's users file and its access rule.

A line of the file is ``USER PASSWORD [options]``; the password is plain, ``{cleartext}...`` or
``{HA1}`` with the MD5 of ``USER:REALM:PASSWORD``; options are ``read`` and ``write`` with commas.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Protocol

import msgspec
import structlog

from rapi.errors import Forbidden, Unauthorized

REALM = "Ganeti Remote API"
MAX_FILE_BYTES = 1024 * 1024

Access = Literal["", "read", "write"]
"""What a request needs: nothing, reading or writing. Who may write may read."""

ALLOWED: dict[Access, frozenset[str]] = {
    "": frozenset(),
    "read": frozenset({"read", "write"}),
    "write": frozenset({"write"}),
}

log = structlog.get_logger()


class User(msgspec.Struct, frozen=True):
    """One line of the file."""

    name: str
    password: str
    scheme: Literal["cleartext", "ha1"] = "cleartext"
    options: frozenset[str] = frozenset()

    def is_password(self, given: str) -> bool:
        """True for the right password; takes as long for a wrong one."""
        if self.scheme == "ha1":
            text = f"{self.name}:{REALM}:{given}".encode()
            given = hashlib.md5(text, usedforsecurity=False).hexdigest()
            return hmac.compare_digest(given, self.password.lower())
        return hmac.compare_digest(given.encode(), self.password.encode())


class Users(Protocol):
    """Where users are found."""

    def find(self, name: str) -> User | None:
        """A user by name."""


def parse(lines: Iterable[str]) -> tuple[dict[str, User], list[str]]:
    """Users by name, and sentences about lines that are none; a later line wins."""
    users: dict[str, User] = {}
    problems = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 2 or len(words) > 3:
            problems.append(f"line {number}: expected 'USER PASSWORD [OPTIONS]'")
            continue
        found = re.fullmatch(r"\{([^}]*)\}(.*)", words[1])
        scheme = found[1].lower() if found else "cleartext"
        if scheme not in ("cleartext", "ha1"):
            problems.append(f"line {number}: unknown password scheme '{scheme}'")
            continue
        options = frozenset(option for option in "".join(words[2:]).split(",") if option)
        users[words[0]] = User(
            name=words[0],
            password=found[2] if found else words[1],
            scheme="ha1" if scheme == "ha1" else "cleartext",
            options=options,
        )
    return users, problems


class UsersFile:
    """The users of a file; a changed file counts from the next request on.

    A file that cannot be read leaves the users as they were; without a file there are none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._users: dict[str, User] = {}

    def find(self, name: str) -> User | None:
        """A user by name."""
        self._refresh()
        return self._users.get(name)

    def _refresh(self) -> None:
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp == self._stamp:
                return
            with self._path.open(encoding="utf-8") as file:
                users, problems = parse(file.read(MAX_FILE_BYTES).splitlines())
        except FileNotFoundError:
            self._stamp, self._users = None, {}
            return
        except (OSError, UnicodeDecodeError) as error:
            log.error("users_unreadable", path=str(self._path), error=str(error))
            return
        for problem in problems:
            log.warning("users_line_ignored", path=str(self._path), problem=problem)
        self._stamp, self._users = stamp, users


def credentials(header: str | None) -> tuple[str, str] | None:
    """Name and password of a Basic ``Authorization`` header; None for none or another scheme."""
    scheme, _, encoded = (header or "").strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    name, colon, password = text.partition(":")
    return (name, password) if colon and name else None


def admitted(users: Users, header: str | None, access: Access, *, everyone_says_who: bool) -> str:
    """The user's name, ``""`` when nobody had to say; raises Unauthorized, Forbidden."""
    if not access and not everyone_says_who:
        return ""
    given = credentials(header)
    user = users.find(given[0]) if given else None
    if given is None or user is None or not user.is_password(given[1]):
        problem = Unauthorized()
        problem.headers = (("WWW-Authenticate", f'Basic realm="{REALM}"'),)
        raise problem
    if access and not ALLOWED[access] & user.options:
        raise Forbidden
    return user.name
