"""Who holds a user, for people who look into a register. Pure."""

from __future__ import annotations

from typing import NamedTuple

from .hub import Hub, Seat
from .record import Entry, Holder, Record, seconds

__all__ = ["HeldName", "UserHolder", "UserHolders", "user_holders"]


class UserHolder(NamedTuple):
    """One worker that holds a user.

    Attributes:
        worker_id: The worker.
        label: Its host and process; empty if it is not known.
        is_alive: Whether it has given a sign of life recently.
        gone_in_s: Seconds until it counts as gone, unless it gives another.
        timeouts_s: The presence timeout for each name it holds.
    """

    worker_id: str
    label: str
    is_alive: bool
    gone_in_s: float
    timeouts_s: dict[str, int]


class HeldName(NamedTuple):
    """What a register knows about one name of a user.

    Attributes:
        name: A channel, or a channel group with a comma in front.
        beat_age_s: Seconds since the last acknowledged heartbeat was sent; ``None``:
            none is known.
        beaten_by: The worker that sent it; empty if none is known.
        timeout_s: The presence timeout it carried; 0 if none is known.
        expires_in_s: Seconds until the service times the user out unless another
            follows; ``None``: no heartbeat is known.
        claimed_by: The worker whose heartbeat may be on its way; else empty.
        lingers_s: Seconds until the name is left unless somebody holds it again;
            ``None``: it is not to be left.
        leaving_s: Seconds for which a leave may be on its way; 0: none is.
        has_state: Whether a state is known.
    """

    name: str
    beat_age_s: float | None
    beaten_by: str
    timeout_s: int
    expires_in_s: float | None
    claimed_by: str
    lingers_s: float | None
    leaving_s: float
    has_state: bool


class UserHolders(NamedTuple):
    """Who holds a user, and how the user's names stand.

    Attributes:
        user_id: The user.
        holders: The workers.
        names: The names.
    """

    user_id: str
    holders: tuple[UserHolder, ...]
    names: tuple[HeldName, ...]

    def to_dict(self) -> dict[str, object]:
        """Return it as what JSON has."""
        return {
            "user_id": self.user_id,
            "holders": [x._asdict() for x in self.holders],
            "names": [x._asdict() for x in self.names],
        }


def user_holders(
    user_id: str, record: Record | None, hub: Hub | None, now: int
) -> UserHolders:
    """Say who holds a user by a record and a hub; ``now`` is in milliseconds."""
    seats = {} if hub is None else hub.seats
    known = record or Record()
    return UserHolders(
        user_id,
        tuple(_holder(x, y, seats.get(x), now) for x, y in known.holders.items()),
        tuple(_held_name(x, y, now) for x, y in known.names.items()),
    )


def _holder(worker_id: str, holder: Holder, seat: Seat | None, now: int) -> UserHolder:
    is_alive = seat is not None and not seat.undertaker and seat.until > now
    until = holder.until if seat is None else min(holder.until, seat.until)
    gone_in = until - now if seat is None or is_alive else 0
    return UserHolder(
        worker_id,
        "" if seat is None else seat.label,
        is_alive,
        seconds(max(0, gone_in)),
        dict(holder.wishes),
    )


def _held_name(name: str, entry: Entry, now: int) -> HeldName:
    is_told = 0 < entry.beat <= now
    left = entry.beat + 1000 * entry.timeout - now
    return HeldName(
        name,
        beat_age_s=seconds(now - entry.beat) if is_told else None,
        beaten_by=entry.beater if is_told else "",
        timeout_s=entry.timeout if is_told else 0,
        expires_in_s=seconds(max(0, left)) if is_told else None,
        claimed_by=entry.claimer if entry.claimed > now else "",
        lingers_s=seconds(max(0, entry.linger - now)) if entry.linger else None,
        leaving_s=seconds(max(0, entry.leaving - now)),
        has_state=entry.version != -1,
    )
