"""When the service shows who came, who left, and whose connection ended."""

from __future__ import annotations

import asyncio
import math

from .bounds import Bounds, UnclearError
from .finding import Finding, ok, unknown, warning
from .sight import Sight
from .subject import Subject
from .wire import Wire

__all__ = ["delays", "disconnect", "implicit_heartbeats"]

_SUBSCRIBED_S = 6
_AGAIN_S = 4.0
_HELD_S = 0.5
_DISCONNECT_S = 4.0


async def delays(subject: Subject) -> Finding:
    """Measure how long a join and a leave take to be seen, and so the debounce."""
    sight, limits = await subject.sight(), subject.limits
    user_id, joined = await subject.newcomer("passes-by", limits.longest_timeout_s)
    join_s = await sight.of_user(user_id, "join", joined.least_s, limits.event_s)
    if join_s is None and not await sight.there(user_id, limits.event_s):
        raise UnclearError(f"nobody is seen within {2 * limits.event_s:g} s")
    # Who comes second may have no join event. And whoever came first may time out soon.
    stayer, _ = await subject.newcomer("stays", limits.longest_timeout_s)
    await subject.announce(user_id, limits.longest_timeout_s)
    left = await subject.leave(user_id)
    gone = await sight.gone(user_id, left.least_s, limits.leave_s)
    if gone is None:
        raise UnclearError(f"a leave is not seen within {limits.leave_s:g} s")
    leave_s = None
    if join_s is not None:
        leave_s = await _leave_event_s(subject, sight, user_id, left, gone)
    if not await sight.is_there(stayer, gone.most_s, limits.event_s):
        raise UnclearError("users time out before a leave is seen")
    await subject.leave_quietly(stayer, subject.here)
    subject.debounce_s = (gone - left).whole_s()
    return _seen(
        subject,
        sight,
        None if join_s is None else join_s - joined.least_s,
        None if leave_s is None else leave_s - left.least_s,
    )


async def _leave_event_s(
    subject: Subject, sight: Sight, user_id: str, left: Bounds, gone: Bounds
) -> float | None:
    """Return when the event of a leave arrived; ``None``: there is none.

    Raises:
        UnclearError: Nor is there an event after it.
    """
    limits = subject.limits
    within_s = gone.most_s - left.least_s + limits.event_s
    leave_s = await sight.of_user(user_id, "leave", left.least_s, within_s)
    if leave_s is not None:
        return leave_s
    later_id, came = await subject.newcomer("comes-later", limits.longest_timeout_s)
    later_s = await sight.of_user(later_id, "join", came.least_s, limits.event_s)
    await subject.leave_quietly(later_id, subject.here)
    if later_s is None:
        raise UnclearError(f"events come more than {limits.event_s:g} s late")
    # Events come in order.
    return await sight.of_user(user_id, "leave", left.least_s, 0)


def _seen(
    subject: Subject, sight: Sight, join_s: float | None, leave_s: float | None
) -> Finding:
    """Return the finding about events that came after some seconds, or not at all."""
    limits, debounce_s = subject.limits, subject.debounce_s
    if join_s is None:
        why = "the announce maximum may be 0"
        if sight.refusal is not None:
            why = sight.refusal.problem
        text = f"no join event within {limits.event_s:g} s: {why}"
        return unknown("delays", text, debounce_s=debounce_s)
    text = f"a join is seen after {join_s:.1f} s, a leave"
    if leave_s is None:
        return warning(
            "delays",
            f"{text} has no event within {limits.event_s:g} s",
            "see whether Presence Management leaves out leave events",
            join_seen_s=round(join_s, 3),
            debounce_s=debounce_s,
        )
    held = f", which is held back for {debounce_s} s" if debounce_s else ""
    return ok(
        "delays",
        f"{text} after {leave_s:.1f} s{held}",
        join_seen_s=round(join_s, 3),
        leave_seen_s=round(leave_s, 3),
        debounce_s=debounce_s,
    )


async def implicit_heartbeats(subject: Subject) -> Finding:
    """Subscribe with two users, with one of them again; see who times out first."""
    sight, limit_s = await subject.sight(), subject.limits.longest_timeout_s
    once, twice = [subject.another(f"subscribes-{n}") for n in ("once", "twice")]
    async with Wire(subject.config) as wire:
        first, second = [
            (await subject.subscribe(user_id, _SUBSCRIBED_S, wire)).acted
            for user_id in (once, twice)
        ]
        await asyncio.sleep(_AGAIN_S)
        again = (await subject.subscribe(twice, _SUBSCRIBED_S, wire)).acted
        if math.inf in {first.most_s, second.most_s, again.most_s}:
            # Its connection has ended, and that may have been a leave.
            raise UnclearError("a subscribe had to be sent again")
        once_gone = await sight.gone(once, first.least_s, limit_s)
        if once_gone is None:
            raise UnclearError(f"no timeout within {limit_s} s")
        if once_gone.least_s < again.most_s:
            raise UnclearError("users time out too soon to tell")
        lasts = once_gone - first
        within_s = lasts.most_s + _AGAIN_S
        twice_gone = await sight.gone(twice, again.most_s, within_s)
    is_kept = _is_kept(twice_gone, second, again, lasts)
    words = "keeps" if is_kept else "does not keep"
    return ok(
        "implicit heartbeats",
        f"subscribing again {words} a user present",
        implicit_heartbeats=is_kept,
    )


def _is_kept(gone: Bounds | None, first: Bounds, again: Bounds, lasts: Bounds) -> bool:
    """Return whether it is the second subscribe after which a user timed out.

    Raises:
        UnclearError: It may be either.
    """
    if gone is not None:
        by_first = (gone - first).overlaps(lasts)
        by_second = (gone - again).overlaps(lasts)
        if by_first != by_second:
            return by_second
    raise UnclearError("it cannot be told after which subscribe a user timed out")


async def disconnect(subject: Subject) -> Finding:
    """Subscribe, wait for events, cut the connection, and see whether it leaves."""
    if subject.debounce_s is None:
        raise UnclearError("for how long a leave is held back is not known")
    sight, longest_s = await subject.sight(), subject.limits.longest_timeout_s
    user_id, other = subject.another("hangs-up"), subject.another("hangs-on")
    async with Wire(subject.config) as wire:
        heard = await subject.subscribe(user_id, longest_s, wire)
        await subject.announce(other, longest_s)
        poll = asyncio.create_task(
            subject.subscribe(user_id, longest_s, wire, heard.value),
            name="doctor polls",
        )
        try:
            is_seen = await sight.there(user_id, subject.limits.event_s)
            await asyncio.sleep(_HELD_S + heard.acted.width_s)
        finally:
            poll.cancel()
            await asyncio.gather(poll, return_exceptions=True)
    cut_s = asyncio.get_running_loop().time()
    if not is_seen:
        raise UnclearError("the user is not seen")
    within_s = _DISCONNECT_S + subject.debounce_s
    gone = await sight.gone(user_id, cut_s, within_s)
    now_s = asyncio.get_running_loop().time()
    judges = other if gone is not None else user_id
    if not await sight.is_there(judges, now_s, subject.limits.event_s):
        raise UnclearError("users time out too soon to tell")
    for one in (user_id, other):
        await subject.leave_quietly(one, subject.here)
    words = "stays until the timeout" if gone is None else "leaves at once"
    return ok(
        "disconnect",
        f"a user whose connection ends {words}",
        leave_on_disconnect=gone is not None,
    )
