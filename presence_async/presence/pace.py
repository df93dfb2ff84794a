"""When the next heartbeat of a user is due, and how long it may take.

A presence counts from when its last acknowledged heartbeat was *sent*, since the
service may have acted at any time after.
"""

from __future__ import annotations

import math
import random

__all__ = [
    "attempt_limit_s",
    "default_interval_s",
    "first_attempt_s",
    "hold_s",
    "next_beat_s",
    "order_attempt_s",
    "phase",
    "retry_gap_s",
    "slot_s",
]

_SHORTEST_SLOT_S = 0.01
_FEWEST_SLOTS = 1000

_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
_LOST_PACE_S = 5.0
_LONGEST_GAP_S = 4.5
_SHORTEST_ATTEMPT_S = 1.0
_SHORTEST_GAP_S = 0.1
_LONGEST_HOLD_S = 14.5
_ROOM_FOR_A_SECOND_S = 2.0


def default_interval_s(presence_timeout_s: int) -> float:
    """Return half the timeout less a second, as PubNub's SDKs and docs have it."""
    return presence_timeout_s / 2 - 1


def phase(number: int) -> float:
    """Return the share of its first interval that the n-th user waits, 0 to 1.

    Multiples of the golden ratio spread any run of users evenly, whenever they joined,
    so that no second is busier than another.
    """
    return (number * _GOLDEN_RATIO) % 1.0


def slot_s(interval_s: float, users: int, company: int) -> float:
    """Return how close the places of users are that are sent heartbeats together.

    A wake-up costs as much as a heartbeat, so it should serve several. A thousandth of
    the interval is given away for that, unless so few users are kept that they would
    be alone all the same, and less if more than ``company`` would meet. Times are
    multiples of the slot, which divides the interval, so nobody drifts; halves keep
    the slots of a growing crowd inside each other.

    Args:
        interval_s: Seconds between two heartbeats of a user.
        users: How many are kept.
        company: How many heartbeats may be under way together.
    """
    most = max(1, math.ceil(interval_s / _SHORTEST_SLOT_S))
    slots = _FEWEST_SLOTS
    if users < slots:
        return interval_s / most
    while users > slots * company:
        slots *= 2
    return interval_s / min(slots, most)


def next_beat_s(place_s: float, interval_s: float, now_s: float) -> float:
    """Return the next time at a user's own place in the interval: no drift.

    Whatever came in between, such as an outage after which everybody is sent a
    heartbeat at once, users stay as spread out as they were.

    Args:
        place_s: Any time at that place, earlier or later.
        interval_s: Seconds between two heartbeats.
        now_s: Loop time. If it is at that place, the next one is a whole interval away.
    """
    return now_s + interval_s - (now_s - place_s) % interval_s


def retry_gap_s(remaining_s: float, rng: random.Random) -> float:
    """Return the wait after a failed heartbeat.

    While presence lasts, at most an eighth of what is left, so that several attempts
    fit in; never over 4.5 s, so that with the longest attempt of 10 s recovery is
    noticed within 15 s.
    """
    longest_s = (
        min(remaining_s / 8, _LONGEST_GAP_S) if remaining_s > 0 else _LONGEST_GAP_S
    )
    return max(_SHORTEST_GAP_S, longest_s * rng.uniform(0.5, 1.0))


def first_attempt_s(remaining_s: float, attempt_timeout_s: float) -> float:
    """Return how long a heartbeat on time may be on the wire.

    One that is never answered must leave room for a second one before the presence
    runs out.
    """
    spare_s = remaining_s - _ROOM_FOR_A_SECOND_S
    if remaining_s <= 0 or spare_s >= attempt_timeout_s:
        return attempt_timeout_s
    longest_s = max(remaining_s / 2, spare_s)
    return min(longest_s, attempt_timeout_s)


def order_attempt_s(remaining_s: float, attempt_timeout_s: float) -> float:
    """Return how long any other request of a user may be on the wire.

    A heartbeat that waits for it must still fit in before the presence runs out.
    """
    shortest_s = min(_SHORTEST_ATTEMPT_S, attempt_timeout_s / 2)
    return max(first_attempt_s(remaining_s, attempt_timeout_s), shortest_s)


def attempt_limit_s(remaining_s: float, attempt_timeout_s: float) -> float:
    """Return how long one heartbeat may be on the wire while at risk or lost."""
    if remaining_s <= 0:
        return min(_LOST_PACE_S, attempt_timeout_s)
    shortest_s = min(_SHORTEST_ATTEMPT_S, attempt_timeout_s / 2)
    return min(max(remaining_s / 4, shortest_s), attempt_timeout_s)


def hold_s(retry_after_s: float, remaining_s: float, attempt_timeout_s: float) -> float:
    """Return how much of a ``Retry-After`` is obeyed.

    Less than 15 s, within which presence has to be back after an outage; and half of
    what is left to a presence that the outage has not outlasted yet (one shorter than
    the timeout less interval and ``attempt_timeout_s`` must go unnoticed).
    """
    longest_s = _LONGEST_HOLD_S
    if remaining_s > attempt_timeout_s:
        longest_s = min(longest_s, remaining_s / 2)
    return min(retry_after_s, longest_s)
