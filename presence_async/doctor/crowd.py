"""How many users may be on a channel before events are gathered into intervals."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress

from ..errors import RequestError
from ..protocol.events import IntervalEvent, JoinEvent, PresenceEvent
from ..protocol.timetoken import TIMETOKENS_PER_S
from .bounds import Bounds, UnclearError
from .finding import Finding, ok, unknown
from .limits import first_time
from .sight import Sight
from .subject import Subject

__all__ = ["announce_maximum", "judged"]

_NAME = "announce maximum"
# After so many users their events are waited for; 20 is usual, 100 the largest.
_STEPS = (1, 6, 26)
_TIMEOUT_S = 200
_APART_S = 0.1
_INTERVALS = 2
# By so much may intervals differ. Recordings tell their times in whole seconds only.
_UNEVEN_S = 0.25


async def announce_maximum(subject: Subject) -> Finding:
    """Let users join until a join has no event of its own; then wait for intervals."""
    sight = await subject.sight()
    if sight.refusal is not None:
        return unknown(_NAME, f"no events: {sight.refusal.problem}")
    await _emptied(subject)
    try:
        finding = await _measured(_Crowd(subject), sight)
    except UnclearError:
        await subject.leave_all()
        raise
    # Otherwise the subject leaves with them at its end.
    await subject.leave_all()
    return finding


async def _emptied(subject: Subject) -> None:
    """Wait until users of other probes are gone, since they would count.

    Raises:
        UnclearError: They stay.
    """

    async def is_empty() -> bool:
        return not await subject.user_ids(subject.here)

    await subject.leave_all()
    within_s = subject.limits.leave_s + subject.limits.event_s
    if await first_time(is_empty, within_s=within_s) is None:
        raise UnclearError(f"users who have left are still there after {within_s:g} s")


async def _measured(crowd: _Crowd, sight: Sight) -> Finding:
    started_s = asyncio.get_running_loop().time()
    if not await _exceeded(crowd, sight):
        largest, size = _largest_announced(sight, started_s), crowd.limits.crowd
        if largest < size:
            return unknown(_NAME, f"users time out before there are {size}")
        text = f"each of {size} users has events of their own"
        return ok(_NAME, text, announce_max=largest)
    intervals = await _intervals(crowd, sight, started_s) if crowd.can_stay else []
    if not intervals and not await crowd.has_event_of_leaving(sight):
        raise UnclearError("no event came after the joins without events")
    # Events come in order, so none of a join is still to come.
    largest = _largest_announced(sight, started_s)
    if largest >= crowd.size:
        late = f"events come more than {crowd.limits.event_s:g} s late"
        return unknown(_NAME, f"not measured: {late}")
    return judged(largest, intervals, can_stay=crowd.can_stay)


class _Crowd:
    """Throw-away users on the place."""

    def __init__(self, subject: Subject) -> None:
        self.limits = subject.limits
        self._subject = subject
        self._users: list[str] = []

    @property
    def size(self) -> int:
        """How many were announced."""
        return len(self._users)

    async def grow(self, size: int) -> tuple[str, float]:
        """Announce users up to a number; return the last, and from when on."""
        user_id, sent_s = "", 0.0
        while len(self._users) < size:
            user_id = self._subject.another("crowd")
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
                with suppress(RequestError, UnclearError):
                    await self._announce(user_id)
            await asyncio.sleep(timeout_s / 3)

    async def has_event_of_leaving(self, sight: Sight) -> bool:
        """Let all leave; return whether an event came, as it does once few are left."""
        since_s, limits = asyncio.get_running_loop().time(), self.limits
        await self._subject.leave_all()
        within_s = self.size / limits.per_s + limits.leave_s + limits.event_s
        return await sight.event(lambda _: True, since_s, within_s) is not None

    async def _announce(self, user_id: str) -> float:
        acted = await self._subject.announce(user_id, _TIMEOUT_S)
        if self.limits.event_s < acted.width_s < math.inf:
            raise UnclearError(f"a heartbeat took {acted.width_s:.1f} s")
        await asyncio.sleep(1 / self.limits.per_s)
        return acted.least_s


async def _exceeded(crowd: _Crowd, sight: Sight) -> bool:
    """Let the crowd grow until a join has no event; return False if all have one."""
    limits = crowd.limits
    for size in [*(step for step in _STEPS if step < limits.crowd), limits.crowd]:
        user_id, sent_s = await crowd.grow(size)
        if await sight.of_user(user_id, "join", sent_s, limits.event_s) is None:
            return True
    return False


async def _intervals(
    crowd: _Crowd, sight: Sight, since_s: float
) -> list[IntervalEvent]:
    """Return the next two interval events, or fewer, with a join in between."""
    found: list[IntervalEvent] = []

    def is_next(event: PresenceEvent) -> bool:
        is_interval = isinstance(event, IntervalEvent)
        return is_interval and all(_apart_s(one, event) > _APART_S for one in found)

    within_s = crowd.limits.interval_s
    staying = asyncio.create_task(crowd.stay(), name="doctor keeps a crowd")
    try:
        while len(found) < _INTERVALS:
            until_s = asyncio.get_running_loop().time() + within_s
            seen = await sight.event(is_next, since_s, until_s - since_s)
            if seen is None or not isinstance(seen.event, IntervalEvent):
                break
            found.append(seen.event)
            if len(found) < _INTERVALS:
                await crowd.join_one()
    finally:
        staying.cancel()
        await asyncio.gather(staying, return_exceptions=True)
    return found


def _apart_s(one: PresenceEvent, later: PresenceEvent) -> float:
    """Return the seconds between events by the service's clock."""
    return (later.timetoken - one.timetoken) / TIMETOKENS_PER_S


def _largest_announced(sight: Sight, since_s: float) -> int:
    return max(
        (
            seen.event.occupancy
            for seen in sight.seen
            if seen.at_s >= since_s and isinstance(seen.event, JoinEvent)
        ),
        default=0,
    )


def judged(
    largest: int, intervals: Sequence[IntervalEvent], *, can_stay: bool
) -> Finding:
    """Return the finding, from how many had events and what came after. Pure."""
    measured: dict[str, object] = {"announce_max": largest}
    if not can_stay:
        text = "joins have no events of their own; users time out before intervals"
        return ok(_NAME, f"above {largest} users {text}", **measured)
    text = f"above {largest} users there are interval events"
    if len(intervals) < _INTERVALS:
        missing = "only one came" if intervals else "none came"
        text = f"{text}, but {missing}; not measured: how often"
        return ok(_NAME, text, **measured)
    try:
        seconds = _apart_s(*intervals)
        about = Bounds(seconds - _UNEVEN_S, seconds + _UNEVEN_S)
        measured["interval_s"] = about.whole_s()
        often = f"every {measured['interval_s']} s"
    except UnclearError as error:
        often = f"not measured: how often ({error})"
    has_deltas = any(map(_has_deltas, intervals))
    measured["presence_deltas"] = has_deltas
    who = "with" if has_deltas else "without"
    text = f"{text} {often}, {who} the names of who came and went"
    return ok(_NAME, text, **measured)


def _has_deltas(event: IntervalEvent) -> bool:
    return bool(event.joined or event.left or event.timed_out or event.here_now_refresh)
