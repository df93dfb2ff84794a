"""What happened to a user: one small value for each kind of fact.

A fact is the same in memory and as a line of a file. Healthy heartbeats are no facts:
there is one each minute of each user, and what is calm follows from the rest.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

__all__ = [
    "Asked",
    "Back",
    "Fact",
    "Failed",
    "GaveUp",
    "HandedOver",
    "Joined",
    "Kept",
    "Left",
    "Lost",
    "Names",
    "NewToken",
    "RanOut",
    "Released",
    "Seen",
    "StillHeld",
    "Turn",
    "What",
]

_AT_ONCE_S: Final = 2.0

Names: TypeAlias = tuple[str, ...]
"""Channels, and channel groups with a comma in front, which no name contains."""


class What:
    """What was tried when it failed."""

    HEARTBEAT = "heartbeat"
    JOIN = "join"
    LEAVE = "leave"
    LAST_HEARTBEAT = "last heartbeat"


class Fact(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    omit_defaults=True,
    tag_field="is",
    tag=str.lower,
):
    """Something that happened.

    Attributes:
        at: When, as Unix time.
        user: To whom; empty: it concerns every user.
        run: Which run of a client tells it; empty: the one that is asked.
    """

    at: float
    user: str = ""
    run: str = ""


class Joined(Fact, frozen=True, kw_only=True):
    """The first heartbeat of a lease was acknowledged.

    Attributes:
        names: What it holds by that.
        timeout_s: Its presence timeout.
        is_more: Whether they were added to a lease.
        late_s: Seconds that the answer took, so it may have been earlier; 0: about one.
    """

    names: Names
    timeout_s: int
    is_more: bool = False
    late_s: float = 0.0


class Failed(Fact, frozen=True, kw_only=True):
    """Requests failed, with nothing else in between.

    Attributes:
        what: What was tried, one of ``What``.
        names: What it was about.
        why: The failure of the latest one.
        status: The status that the service answered with; 0: it did not.
        is_refused: Whether it is final until something is changed.
        times: How many.
        last: When the latest one failed.
        acked: When the last acknowledged heartbeat before was sent; 0: unknown.
        until: When the presence runs out by that; 0: unknown.
        gone: What had run out by the time of the first one.
        late_s: Seconds by which it may last longer: so late that answer was.
        sent: When the first one was sent on which the service may have acted.
        acted_by: By when it has acted on all of them, if it ever does; 0: on none.
        timeout_s: The longest presence timeout of those; 0: none is a heartbeat.
    """

    what: str
    names: Names
    why: str
    status: int = 0
    is_refused: bool = False
    times: int = 1
    last: float = 0.0
    acked: float = 0.0
    until: float = 0.0
    gone: Names = ()
    late_s: float = 0.0
    sent: float = 0.0
    acted_by: float = 0.0
    timeout_s: int = 0


class Lost(Fact, frozen=True, kw_only=True):
    """The presence ran out: no heartbeat was acknowledged in time.

    Attributes:
        names: What ran out.
        until: When.
        acked: When the last acknowledged heartbeat was sent; 0: unknown.
        late_s: As in ``Failed``.
    """

    names: Names
    until: float
    acked: float = 0.0
    late_s: float = 0.0


class Back(Fact, frozen=True, kw_only=True):
    """Heartbeats are acknowledged again.

    Attributes:
        names: What is kept.
        was: The health before: ``at_risk``, ``lost`` or ``refused``.
        late_s: Seconds that the answer took, so it may have been earlier; 0: about one.
    """

    names: Names
    was: str
    late_s: float = 0.0

    def is_answer_to(self, other: Fact) -> bool:
        """Return True if it followed at once what somebody else had done."""
        is_theirs = isinstance(other, Seen) and other.is_undoing
        return is_theirs and self.at - other.at <= _AT_ONCE_S


class Released(Fact, frozen=True, kw_only=True):
    """A lease ended.

    Attributes:
        names: What it held last.
        why: ``left``: by itself; ``names``: all its names were left; ``closed``: with
            its client.
        linger_s: Seconds that its leave waits.
        still: Which of the names other leases of the client hold.
        until: When the presence runs out if nothing follows; 0: unknown.
        late_s: As in ``Failed``.
    """

    names: Names
    why: str
    linger_s: float = 0
    still: Names = ()
    until: float = 0.0
    late_s: float = 0.0


class Left(Fact, frozen=True, kw_only=True):
    """The service acknowledged a leave.

    Attributes:
        names: What was left.
        why: ``closed``: the client was closed; ``lingered``: the time to come back was
            over; ``others``: for another process that is gone; ``undone``: a join was
            taken back; empty: it was asked for.
        late_s: Seconds that the answer took, so it may have been earlier; 0: about one.
    """

    names: Names
    why: str = ""
    late_s: float = 0.0


class StillHeld(Fact, frozen=True, kw_only=True):
    """No leave was sent, since another process still holds the names."""

    names: Names


class HandedOver(Fact, frozen=True, kw_only=True):
    """The client closed with a last heartbeat, or by leaving the user to others.

    Attributes:
        names: What is left to the next process.
        timeout_s: The presence timeout of the last heartbeat; 0: none was sent.
        late_s: As in ``Joined``.
    """

    names: Names
    timeout_s: int = 0
    late_s: float = 0.0


class GaveUp(Fact, frozen=True, kw_only=True):
    """A join or a leave is not tried any more.

    Attributes:
        what: What was tried, one of ``What``.
        names: What it was about.
        why: What the last attempt failed with.
        sent, acted_by, timeout_s: Of that one, as in ``Failed``.
    """

    what: str
    names: Names
    why: str
    sent: float = 0.0
    acted_by: float = 0.0
    timeout_s: int = 0


class NewToken(Fact, frozen=True, kw_only=True):
    """Another token was set, or the present one dropped; whatever was refused retries.

    Attributes:
        is_refresh: Whether the next request asks the token function.
    """

    is_refresh: bool = False


class Seen(Fact, frozen=True, kw_only=True):
    """A stream of the client received an event that the client had not caused.

    Attributes:
        action: ``join``, ``leave`` or ``timeout``.
        name: The channel.
        is_held: Whether a lease of this client held it.
    """

    action: str
    name: str
    is_held: bool = False

    @property
    def is_undoing(self) -> bool:
        """Whether it ended what a lease held."""
        return self.is_held and self.action != "join"


class Turn(Fact, frozen=True, kw_only=True):
    """Heartbeats are sent by this client from now on, or by another."""

    is_ours: bool


class Kept(Fact, frozen=True, kw_only=True):
    """How it stands now; concluded when somebody asks, never kept.

    Attributes:
        names: What is kept.
        acked: When the last acknowledged heartbeat was sent.
        due: When the next one is due; 0: unknown.
        is_shared: Whether another process sends them.
    """

    names: Names
    acked: float
    due: float = 0.0
    is_shared: bool = False


class RanOut(Fact, frozen=True, kw_only=True):
    """The presence ran out after something that no heartbeat followed; concluded.

    Attributes:
        names: What ran out.
        is_about: Whether that may have been earlier.
    """

    names: Names
    is_about: bool = False


class Asked(Fact, frozen=True, kw_only=True):
    """Requests about the user arrived at the service: what an emulator tells.

    Attributes:
        what: ``heartbeat`` or ``leave``.
        names: What they named.
        status: How they were answered; 0: they were not.
        times: How many.
        last: When the latest one came.
    """

    what: str
    names: Names
    status: int
    times: int = 1
    last: float = 0.0
