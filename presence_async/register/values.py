"""What is said to a register, and what it answers: plain values. Pure.

A *name* is a channel, or a channel group with a comma in front. Times are spans in
seconds, never points in time: only the register's own clock is the same for everybody.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple, TypeAlias

__all__ = [
    "ALIVE_S",
    "CALM",
    "NOTHING_OWED",
    "UNKNOWN",
    "WITHDRAWN",
    "Again",
    "Attendance",
    "Beaten",
    "Claimed",
    "Claiming",
    "Departing",
    "Departures",
    "Holding",
    "Leaving",
    "Name",
    "Release",
    "Released",
    "Standing",
    "Wish",
    "Worker",
]

Name: TypeAlias = str

ALIVE_S: Final = 15.0
"""Seconds after its last sign of life until a worker counts as dead."""

WITHDRAWN = ""
"""In place of a state: the one this worker set counts no longer."""


class Worker(NamedTuple):
    """One client, as the other clients of the register know it.

    Attributes:
        subscribe_key: Whose users it keeps; nothing is shared with other keys.
        worker_id: Its own, never used again.
        life: Grows when others may have taken it for dead, or the register has lost
            its memory. What an earlier life said and what comes too late is ignored.
        label: Host and process, for people.
    """

    subscribe_key: str
    worker_id: str
    life: int = 1
    label: str = ""


# hold


class Wish(NamedTuple):
    """What a worker wants of one name.

    Attributes:
        name: The name.
        timeout_s: The presence timeout.
        state: The state as JSON, ``WITHDRAWN``, or ``None``: nothing new about it.
        state_age_s: How long ago that state was set; the newest one counts. 0: just
            now, and it was never said before.
        is_told: Whether the service has been told of that state.
    """

    name: Name
    timeout_s: int
    state: str | None = None
    state_age_s: float = 0.0
    is_told: bool = False


class Holding(NamedTuple):
    """A user, and names on which a worker wants that user present from now on."""

    user_id: str
    wishes: tuple[Wish, ...]


class Standing(NamedTuple):
    """How a name stands in the register.

    Attributes:
        name: The name.
        age_s: Seconds since the last acknowledged heartbeat was sent, by whomever;
            ``math.inf``: none is known.
        said_timeout_s: The timeout that heartbeat carried; 0 if none is known.
        others_timeout_s: The shortest timeout that other workers want; 0: none does.
        leaving_s: Seconds during which a leave may still be on its way to the service.
        version: Of the state that counts; -1 if there is none.
        state: That state as JSON, if another worker set it.
    """

    name: Name
    age_s: float = math.inf
    said_timeout_s: int = 0
    others_timeout_s: int = 0
    leaving_s: float = 0.0
    version: int = -1
    state: str | None = None


# claim


class Claiming(NamedTuple):
    """A user whom a worker would send a heartbeat now, for all names it holds.

    Attributes:
        user_id: The user.
        interval_s: Seconds between two heartbeats, as this worker has it.
    """

    user_id: str
    interval_s: float


class Claimed(NamedTuple):
    """Whose turn it is to send heartbeats for a user.

    Attributes:
        is_known: Whether the register knows the worker as a holder. If not, it has to
            hold the user again.
        is_due: Whether it is this worker's turn, for all names it holds. The turn is
            over when an attempt would be.
        names: How the names stand; empty if nobody else has any part in them.
        next_s: If it is not: seconds until the first of them is due.
    """

    is_known: bool = True
    is_due: bool = True
    names: tuple[Standing, ...] = ()
    next_s: float = math.inf


CALM = Claimed()
UNKNOWN = Claimed(is_known=False, is_due=False)


# beaten


class Beaten(NamedTuple):
    """A heartbeat that the service has acknowledged.

    Attributes:
        user_id: The user.
        names: The names it announced.
        timeout_s: The timeout it carried.
        age_s: How long ago it was sent.
        versions: The version of the state it carried for each name, -1 for none; empty
            if it carried none.
    """

    user_id: str
    names: tuple[Name, ...]
    timeout_s: int
    age_s: float
    versions: tuple[int, ...] = ()


# release


class Release(NamedTuple):
    """Names on which a worker wants a user present no longer.

    Attributes:
        user_id: The user.
        names: The names.
        linger_s: Seconds in which somebody may come back before they are left;
            ``math.inf``: nobody is to send a leave.
        doubt_s: If the worker held the names and the register does not know of it:
            seconds in which other holders, of whom it may not know either, will have
            come forward. 0: it did not hold them.
    """

    user_id: str
    names: tuple[Name, ...]
    linger_s: float = 0.0
    doubt_s: float = 0.0


class Again(NamedTuple):
    """A name to send one more heartbeat for, on behalf of those who hold it.

    Attributes:
        name: The name.
        timeout_s: The shortest timeout they want.
        version: Of the state that counts; -1 if there is none.
        state: That state as JSON.
    """

    name: Name
    timeout_s: int
    version: int = -1
    state: str | None = None


class Released(NamedTuple):
    """What the worker has to say after a release.

    Attributes:
        leave: Names it must leave now: nobody holds them, and for the time of an
            attempt nobody else will leave them.
        again: Names that others hold and for which something else was said last.
    """

    leave: tuple[Name, ...] = ()
    again: tuple[Again, ...] = ()


NOTHING_OWED = Released()


# depart


class Attendance(NamedTuple):
    """A worker's sign of life, about once a second.

    Attributes:
        attempt_s: How long a leave may take.
        had_epoch: The register's ``epoch`` as this worker knew it; empty: none yet.
        is_closing: Whether it takes no users any more.
        is_last: Whether it looks after departures that are not due yet as well, since
            no other worker is left to do so.
    """

    attempt_s: float
    had_epoch: str = ""
    is_closing: bool = False
    is_last: bool = False


class Leaving(NamedTuple):
    """Names of a user that a worker must leave now."""

    user_id: str
    names: tuple[Name, ...]


class Departures(NamedTuple):
    """What a worker learns when it attends.

    Attributes:
        epoch: Changes when the register has lost its memory, or may have.
        is_new: Whether the register did not know the worker as alive.
        workers: How many workers are open, this one included unless it is closing.
        lingering: How many users wait for their departure.
        leaves: Departures that are this worker's to send.
        again: Users held by others for whom a heartbeat is owed.
        has_more: Whether there is more to do at once.
    """

    epoch: str
    is_new: bool = False
    workers: int = 1
    lingering: int = 0
    leaves: tuple[Leaving, ...] = ()
    again: tuple[tuple[str, tuple[Again, ...]], ...] = ()
    has_more: bool = False


# departed


class Departing(NamedTuple):
    """A leave that the service has acknowledged."""

    user_id: str
    names: tuple[Name, ...]
