"""When the service shows who came, who left and who timed out."""

from __future__ import annotations

import asyncio

from .finding import Finding, ok, unknown, warning
from .sight import Sight
from .subject import Subject, whole
from .wire import Wire

__all__ = ["delays", "disconnect", "implicit_heartbeats", "longest", "shortest"]

_SHORTEST_S = 3
_EXACT_S = 1.5
_SUBSCRIBED_S = 6
_AGAIN_S = 4.0
_HELD_S = 0.3
_DISCONNECT_S = 4.0


async def delays(subject: Subject) -> Finding:
    """Measure how long a join and a leave take to be seen, and so the debounce."""
    sight, user_id = await subject.sight(), subject.named("passer-by")
    limits = subject.limits
    joined_s = await subject.announce(user_id, limits.longest_timeout_s)
    join_seen_s = await sight.of_user(user_id, "join", joined_s, limits.event_s)
    left_s = await subject.leave(user_id)
    if join_seen_s is None:
        return _no_join(sight, limits.event_s)
    join_s = join_seen_s - joined_s
    leave_seen_s = await sight.of_user(user_id, "leave", left_s, limits.leave_s)
    if leave_seen_s is None:
        return warning(
            "delays",
            f"a join is seen after {join_s:.1f} s, a leave not within"
            f" {limits.leave_s:g} s",
            "see whether Presence Management leaves out leave events",
            join_seen_s=round(join_s, 3),
        )
    leave_s = leave_seen_s - left_s
    debounce_s = whole(max(0.0, leave_s - join_s))
    subject.debounce_s = debounce_s
    text = f"a join is seen after {join_s:.1f} s, a leave after {leave_s:.1f} s"
    return ok(
        "delays",
        text + (f" (debounce {debounce_s} s)" if debounce_s else ""),
        join_seen_s=round(join_s, 3),
        leave_seen_s=round(leave_s, 3),
        debounce_s=debounce_s,
    )


def _no_join(sight: Sight, within_s: float) -> Finding:
    if sight.refusal is not None:
        return unknown("delays", f"no events: {sight.refusal.problem}")
    return unknown(
        "delays", f"no join event within {within_s:g} s; see announce maximum"
    )


async def shortest(subject: Subject) -> Finding:
    """Ask for a presence timeout of 3 s, and see when the user is gone."""
    asked_s, limit_s = _SHORTEST_S, subject.limits.longest_timeout_s
    held_s = await _held_s(subject, asked_s, limit_s)
    if held_s is None:
        return unknown("shortest timeout", f"{asked_s} s have become over {limit_s} s")
    late_s = held_s - asked_s
    if late_s < _EXACT_S:
        return ok(
            "shortest timeout",
            f"{asked_s} s are accepted, and over {max(0.0, late_s):.1f} s late",
            min_presence_timeout_s=0,
            timeout_late_s=round(late_s, 3),
        )
    least_s = whole(held_s)
    return ok(
        "shortest timeout",
        f"{asked_s} s are raised to {least_s} s",
        min_presence_timeout_s=least_s,
    )


async def longest(subject: Subject) -> Finding:
    """Ask for the longest timeout that is waited for, and see whether it holds."""
    asked_s = subject.limits.longest_timeout_s
    held_s = await _held_s(subject, asked_s, asked_s)
    if held_s is None or held_s > asked_s - _EXACT_S:
        return ok(
            "longest timeout", f"{asked_s} s are accepted", max_presence_timeout_s=None
        )
    most_s = whole(held_s)
    return ok(
        "longest timeout",
        f"{asked_s} s are lowered to {most_s} s",
        max_presence_timeout_s=most_s,
    )


async def _held_s(subject: Subject, asked_s: int, limit_s: float) -> float | None:
    """Return how long a user stays who is announced once; ``None``: over the limit."""
    sight, user_id = await subject.sight(), subject.named(f"asks-{asked_s}")
    sent_s = await subject.announce(user_id, asked_s)
    within_s = limit_s + subject.debounce_s + 2 * _EXACT_S
    gone_s = await sight.gone(user_id, sent_s + _SHORTEST_S / 2, within_s)
    if gone_s is None:
        await subject.leave(user_id)
        return None
    return gone_s - sent_s - subject.debounce_s


async def implicit_heartbeats(subject: Subject) -> Finding:
    """Subscribe with two users, with one of them again; see who times out first."""
    sight, name = await subject.sight(), "implicit heartbeats"
    once, twice = subject.named("subscribes-once"), subject.named("subscribes-twice")
    limit_s = subject.limits.longest_timeout_s
    started_s = asyncio.get_running_loop().time()
    async with Wire(subject.config) as wire:
        for user_id in (once, twice):
            await subject.subscribe(user_id, _SUBSCRIBED_S, wire)
        await asyncio.sleep(_AGAIN_S)
        await subject.subscribe(twice, _SUBSCRIBED_S, wire)
        once_s = await sight.gone(once, started_s + 1, limit_s)
        if once_s is None:
            return unknown(name, f"no timeout within {limit_s} s")
        twice_s = await sight.gone(twice, started_s + 1, once_s - started_s + _AGAIN_S)
    is_kept = twice_s is None or twice_s - once_s > _AGAIN_S / 2
    words = "keeps" if is_kept else "does not keep"
    return ok(
        name, f"subscribing again {words} a user present", implicit_heartbeats=is_kept
    )


async def disconnect(subject: Subject) -> Finding:
    """Subscribe, wait for events, cut the connection, and see whether it leaves."""
    sight, user_id = await subject.sight(), subject.named("hangs-up")
    longest_s = subject.limits.longest_timeout_s
    async with Wire(subject.config) as wire:
        cursor = await subject.subscribe(user_id, longest_s, wire)
        poll = asyncio.create_task(
            subject.subscribe(user_id, longest_s, wire, cursor), name="doctor polls"
        )
        try:
            await asyncio.sleep(_HELD_S)
        finally:
            poll.cancel()
            await asyncio.gather(poll, return_exceptions=True)
    cut_s = asyncio.get_running_loop().time()
    within_s = _DISCONNECT_S + subject.debounce_s
    is_gone = await sight.gone(user_id, cut_s, within_s) is not None
    words = "leaves at once" if is_gone else "stays until the timeout"
    return ok(
        "disconnect",
        f"a user whose connection ends {words}",
        leave_on_disconnect=is_gone,
    )
