"""How many users may be on a channel before events are gathered into intervals."""

from __future__ import annotations

import asyncio

from ..protocol.events import IntervalEvent, JoinEvent, PresenceEvent
from .finding import Finding, ok, unknown
from .limits import whole
from .sight import Seen, Sight
from .subject import Subject

__all__ = ["announce_maximum"]

_NAME = "announce maximum"
# After so many users their events are waited for; 20 is usual, 100 the largest.
_STEPS = (1, 6, 26)
_TIMEOUT_S = 200
_APART_S = 0.1


async def announce_maximum(subject: Subject) -> Finding:
    """Let users join until a join has no event of its own; then wait for intervals."""
    sight = await subject.sight()
    if sight.refusal is not None:
        return unknown(_NAME, f"no events: {sight.refusal.problem}")
    # Users of other probes whose leave is held back still count.
    await asyncio.sleep(subject.debounce_s)
    finding = await _measured(_Crowd(subject), sight)
    # Otherwise the subject leaves with them at its end.
    await subject.leave_all()
    return finding


async def _measured(crowd: _Crowd, sight: Sight) -> Finding:
    started_s = asyncio.get_running_loop().time()
    is_exceeded = await _exceeded(crowd, sight)
    largest, size = _largest_announced(sight, started_s), crowd.limits.crowd
    if not is_exceeded and largest < size:
        return unknown(_NAME, f"users time out before there are {size}")
    if not is_exceeded:
        text = f"each of {size} users has events of their own"
        return ok(_NAME, text, announce_max=largest)
    if not crowd.can_stay:
        text = f"above {largest} users joins have no events of their own"
        return ok(_NAME, text, announce_max=largest)
    first, second = await _two_intervals(crowd, sight, started_s)
    if _largest_announced(sight, started_s) > largest:
        return unknown(_NAME, f"events come more than {crowd.limits.event_s:g} s late")
    return _judged(largest, first, second)


class _Crowd:
    """Throw-away users on the place."""

    def __init__(self, subject: Subject) -> None:
        self.limits = subject.limits
        self._subject = subject
        self._users: list[str] = []

    async def grow(self, size: int) -> tuple[str, float]:
        """Announce users up to a number; return the last, and when it was sent."""
        user_id, sent_s = "", 0.0
        while len(self._users) < size:
            user_id = self._subject.named(f"crowd-{len(self._users)}")
            self._users.append(user_id)
            sent_s = await self._announce(user_id)
        return user_id, sent_s

    async def join_one(self) -> None:
        """Announce one more."""
        await self.grow(len(self._users) + 1)

    @property
    def can_stay(self) -> bool:
        """Whether the first are still there when ``stay`` announces them again."""
        joining_s = len(self._users) / self.limits.per_s
        return joining_s + self.limits.event_s < self._subject.largest_timeout_s

    async def stay(self) -> None:
        """Announce all again and again, before they time out."""
        timeout_s = min(_TIMEOUT_S, self._subject.largest_timeout_s)
        while True:
            for user_id in list(self._users):
                await self._announce(user_id)
            await asyncio.sleep(timeout_s / 3)

    async def _announce(self, user_id: str) -> float:
        sent_s = await self._subject.announce(user_id, _TIMEOUT_S)
        await asyncio.sleep(1 / self.limits.per_s)
        return sent_s


async def _exceeded(crowd: _Crowd, sight: Sight) -> bool:
    """Let the crowd grow until a join has no event; return False if all have one."""
    limits = crowd.limits
    for size in [*(step for step in _STEPS if step < limits.crowd), limits.crowd]:
        user_id, sent_s = await crowd.grow(size)
        if await sight.of_user(user_id, "join", sent_s, limits.event_s) is None:
            return True
    return False


async def _two_intervals(
    crowd: _Crowd, sight: Sight, since_s: float
) -> tuple[Seen | None, Seen | None]:
    """Return the next two interval events, with a join in between."""
    within_s, second = crowd.limits.interval_s, None
    async with asyncio.TaskGroup() as group:
        staying = group.create_task(crowd.stay(), name="doctor keeps a crowd")
        now_s = asyncio.get_running_loop().time()
        first = await _interval(sight, since_s, now_s - since_s + within_s)
        if first is not None:
            await crowd.join_one()
            second = await _interval(sight, first.at_s + _APART_S, within_s)
        staying.cancel()
    return first, second


def _largest_announced(sight: Sight, since_s: float) -> int:
    return max(
        (
            seen.event.occupancy
            for seen in sight.seen
            if seen.at_s >= since_s and isinstance(seen.event, JoinEvent)
        ),
        default=0,
    )


async def _interval(sight: Sight, since_s: float, within_s: float) -> Seen | None:
    return await sight.event(_is_interval, since_s, within_s)


def _is_interval(event: PresenceEvent) -> bool:
    return isinstance(event, IntervalEvent)


def _judged(largest: int, first: Seen | None, second: Seen | None) -> Finding:
    text = f"above {largest} users there are interval events"
    if first is None or second is None:
        missing = "but none came" if first is None else "but only one came"
        return ok(_NAME, f"{text}, {missing}", announce_max=largest)
    interval_s = whole(second.at_s - first.at_s)
    has_deltas = any(map(_has_deltas, (first.event, second.event)))
    who = "with" if has_deltas else "without"
    return ok(
        _NAME,
        f"{text} every {interval_s} s, {who} the names of who came and went",
        announce_max=largest,
        interval_s=interval_s,
        presence_deltas=has_deltas,
    )


def _has_deltas(event: PresenceEvent) -> bool:
    return isinstance(event, IntervalEvent) and bool(
        event.joined or event.left or event.timed_out or event.here_now_refresh
    )
