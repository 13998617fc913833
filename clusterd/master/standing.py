"""How a candidate stands to the mastership: a table of states and events. Pure.

Decided here: what a candidate does when it hears something, and the moment at which a master must
have stopped although nobody told it anything. All times are of the candidate's own clock, measured
from before the store was asked: of clocks only the rate must be right, within ``Timing.margin_s``.

Invariant (``check``): who may write or answer holds a term, and its time is not over; who holds no
term serves nothing.
"""

from __future__ import annotations

import enum

import msgspec


class Standing(enum.StrEnum):
    """Where a candidate stands."""

    ASIDE = "standby"
    """Somebody else is master, or nobody; serves nothing but says who is."""
    CLAIMING = "claiming"
    """Has asked the store for the mastership and has no answer yet."""
    RISING = "taking over"
    """It is ours: reads the store, goes on with the jobs under way. Writes, answers nobody yet."""
    MASTER = "master"
    """Writes and answers."""
    FALLING = "letting go"
    """Neither writes nor answers; what it had begun is being put down."""
    LEAVING = "ending"
    """As FALLING, and will not try again."""
    ENDED = "ended"


class Heard(enum.StrEnum):
    """What can happen to a candidate."""

    VACANT = "nobody is master"
    WON = "the claim was granted"
    LOST = "the claim was not granted, or not answered"
    RISEN = "everything is read"
    FAILED = "taking over failed"
    RENEWED = "the store renewed the term"
    OVER = "the term's time is over, the store refuses it, or a newer master was seen"
    ASKED = "an operator asks it to step down"
    DOWN = "everything is put down"
    END = "the daemon ends"


class Act(enum.StrEnum):
    """What is to be done, in this order."""

    CLAIM = "ask the store for the mastership"
    RISE = "read everything and go on with the jobs"
    SERVE = "open the door"
    DROP = "stop writing and answering, at once"
    PUT_DOWN = "let go of nodes, jobs and address; say DOWN when done"
    RELEASE = "give the term back, so that nobody has to wait for its end"
    FINISH = "the daemon may end"


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How long a term lasts and how early a master stops."""

    term_s: float = 6.0
    """The store's lease. A shorter one is noticed sooner, and lost sooner by a slow store."""
    margin_s: float = 0.6
    """So much before the end of the lease a master that could not renew has stopped."""
    renew_s: float = 1.5
    """Between two renewals."""
    look_s: float = 2.0
    """How often one looks who is master; it is also told when that changes."""
    calm_s: float = 5.0
    """Who stepped down or failed does not claim again for so long: others come first."""

    @classmethod
    def of(cls, term_s: float) -> Timing:
        """What suits a lease of this length: a tenth of it is margin, a quarter passes before it
        is renewed."""
        return cls(term_s=term_s, margin_s=term_s / 10, renew_s=term_s / 4)

    @property
    def lasts_s(self) -> float:
        """From before asking the store, until a master must have stopped."""
        return self.term_s - self.margin_s


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a candidate stands, and for how long it may do so."""

    standing: Standing = Standing.ASIDE
    until: float = 0.0
    """While it holds a term: when it must have stopped."""
    calm_until: float = 0.0
    """No claim before."""


class Row(msgspec.Struct, frozen=True):
    """One cell of the table."""

    to: Standing
    acts: tuple[Act, ...] = ()


S, H, A = Standing, Heard, Act
_FALL = (A.DROP, A.PUT_DOWN)
_GIVE_BACK = Row(S.ASIDE, (A.RELEASE,))

TABLE: dict[Standing, dict[Heard, Row]] = {
    S.ASIDE: {
        H.VACANT: Row(S.CLAIMING, (A.CLAIM,)),
        H.WON: _GIVE_BACK,
        H.END: Row(S.ENDED, (A.FINISH,)),
    },
    S.CLAIMING: {
        H.WON: Row(S.RISING, (A.RISE,)),
        H.LOST: Row(S.ASIDE),
        H.END: Row(S.ENDED, (A.FINISH,)),
    },
    S.RISING: {
        H.RISEN: Row(S.MASTER, (A.SERVE,)),
        H.FAILED: Row(S.FALLING, _FALL),
        H.RENEWED: Row(S.RISING),
        H.OVER: Row(S.FALLING, _FALL),
        H.ASKED: Row(S.FALLING, _FALL),
        H.END: Row(S.LEAVING, _FALL),
    },
    S.MASTER: {
        H.FAILED: Row(S.FALLING, _FALL),
        H.RENEWED: Row(S.MASTER),
        H.OVER: Row(S.FALLING, _FALL),
        H.ASKED: Row(S.FALLING, _FALL),
        H.END: Row(S.LEAVING, _FALL),
    },
    S.FALLING: {
        H.DOWN: _GIVE_BACK,
        H.END: Row(S.LEAVING),
    },
    S.LEAVING: {
        H.DOWN: Row(S.ENDED, (A.RELEASE, A.FINISH)),
    },
    S.ENDED: {
        H.WON: Row(S.ENDED, (A.RELEASE,)),
    },
}
"""Standing -> event -> what follows. A cell that is not there changes nothing: the event came late
(an answer to a claim that was given up, a renewal after the end) or twice."""

HOLDS = frozenset({S.RISING, S.MASTER})
"""Standings with a term that counts."""


def turn(place: Place, heard: Heard, now: float, timing: Timing) -> tuple[Place, tuple[Act, ...]]:
    """What becomes of a candidate that hears something at ``now``, and what it has to do.

    With WON and RENEWED ``now`` is the moment before the store was asked.
    """
    row = TABLE[place.standing].get(heard)
    if row is None or (heard is H.VACANT and now < place.calm_until):
        return place, ()
    until, calm_until = place.until, place.calm_until
    if heard in (H.WON, H.RENEWED) and row.to in HOLDS:
        until = max(until, now + timing.lasts_s) if heard is H.RENEWED else now + timing.lasts_s
    elif row.to not in HOLDS:
        until = 0.0
    if row.to is S.FALLING:
        calm_until = now + timing.calm_s
    return Place(standing=row.to, until=until, calm_until=calm_until), row.acts


def may_act(place: Place, now: float) -> bool:
    """True while a master may write."""
    return place.standing in HOLDS and now < place.until


def may_answer(place: Place, now: float) -> bool:
    """True while a master may answer."""
    return place.standing is S.MASTER and now < place.until


def check(place: Place, now: float) -> None:
    """Raises AssertionError where the invariant does not hold."""
    if may_answer(place, now):
        assert may_act(place, now), f"{place} answers and may not write"
    if may_act(place, now):
        assert place.standing in HOLDS, f"{place} acts without a term"
        assert now < place.until, f"{place} acts at {now}, after its time"
    if place.standing not in HOLDS:
        assert place.until == 0.0, f"{place} holds a time without a term"
