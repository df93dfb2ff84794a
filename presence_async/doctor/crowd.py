"""How many users may be on a channel before events are gathered into intervals."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from ..protocol.events import IntervalEvent, JoinEvent, PresenceEvent
from .finding import Finding, ok, unknown
from .sight import Seen, Sight
from .subject import Subject, whole

__all__ = ["announce_maximum"]

_NAME = "announce maximum"
# After so many users their events are waited for; 20 is usual, 100 the largest.
_STEPS = (1, 6, 26)
_TIMEOUT_S = 200


async def announce_maximum(subject: Subject) -> Finding:
    """Let users join until a join has no event of its own; then wait for intervals."""
    sight, limits = await subject.sight(), subject.limits
    if sight.refusal is not None:
        return unknown(_NAME, f"no events: {sight.refusal.problem}")
    started_s = asyncio.get_running_loop().time()
    names = (subject.named(f"crowd-{number}") for number in range(limits.crowd + 1))
    steps = [*(step for step in _STEPS if step < limits.crowd), limits.crowd]
    try:
        is_exceeded = await _crowded(subject, sight, names, steps)
        largest = _largest_announced(sight, started_s)
        if not is_exceeded:
            return ok(
                _NAME,
                f"each of {limits.crowd} users has events of their own",
                announce_max=largest,
            )
        first = await _interval(sight, started_s, 2 * limits.interval_s)
        second = None
        if first is not None:
            await subject.announce(next(names), _TIMEOUT_S)
            second = await _interval(sight, first.at_s + 0.1, limits.interval_s)
    finally:
        await subject.leave_all()
    return _judged(largest, first, second)


async def _crowded(
    subject: Subject, sight: Sight, names: Iterator[str], steps: list[int]
) -> bool:
    """Announce users until one of them has no event; return False if all have one."""
    done, event_s = 0, subject.limits.event_s
    for step in steps:
        sent_s, user_id = 0.0, ""
        for _ in range(step - done):
            user_id = next(names)
            sent_s = await subject.announce(user_id, _TIMEOUT_S)
            await asyncio.sleep(1 / subject.limits.per_s)
        done = step
        if await sight.of_user(user_id, "join", sent_s, event_s) is None:
            return True
    return False


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
