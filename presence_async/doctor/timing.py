"""When the service shows who came, who left and who timed out."""

from __future__ import annotations

import asyncio

from .finding import Finding, ok, unknown, warning
from .limits import whole
from .sight import Sight
from .subject import Subject
from .wire import Wire

__all__ = ["delays", "disconnect", "implicit_heartbeats", "timeouts"]

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
    is_seen = join_seen_s is not None or await sight.there(user_id, limits.event_s)
    if join_seen_s is None:
        # Meanwhile the user may be about to time out.
        await subject.announce(user_id, limits.longest_timeout_s)
    left_s = await subject.leave(user_id)
    if not is_seen:
        return unknown("delays", f"nobody is seen within {2 * limits.event_s:g} s")
    if join_seen_s is None:
        gone_s = await sight.gone(user_id, left_s, limits.leave_s)
        return _without_join_event(subject, sight, gone_s and gone_s - left_s)
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
    subject.debounce_s = whole(max(0.0, leave_s - join_s))
    held = f", which is held back for {subject.debounce_s} s"
    return ok(
        "delays",
        f"a join is seen after {join_s:.1f} s, a leave after {leave_s:.1f} s"
        f"{held if subject.debounce_s else ''}",
        join_seen_s=round(join_s, 3),
        leave_seen_s=round(leave_s, 3),
        debounce_s=subject.debounce_s,
    )


def _without_join_event(
    subject: Subject, sight: Sight, gone_s: float | None
) -> Finding:
    """Return the finding where only here now tells when a user is gone."""
    why = "the announce maximum may be 0"
    if sight.refusal is not None:
        why = sight.refusal.problem
    text = f"no join event within {subject.limits.event_s:g} s: {why}"
    if gone_s is None:
        return unknown("delays", text)
    subject.debounce_s = whole(gone_s)
    return unknown("delays", text, debounce_s=subject.debounce_s)


async def timeouts(subject: Subject) -> Finding:
    """Ask for the shortest and the longest timeout, and see when the users are gone."""
    least_s, most_s = _SHORTEST_S, subject.limits.longest_timeout_s
    async with asyncio.TaskGroup() as group:
        short, long = [
            group.create_task(_held_s(subject, asked_s), name=f"doctor waits {asked_s}")
            for asked_s in (least_s, most_s)
        ]
    short_s, long_s = short.result(), long.result()
    if short_s is None:
        return unknown("timeouts", f"{least_s} s have become over {most_s} s")
    late_s = 0.0 if long_s is None else max(0.0, long_s - most_s)
    raised_s = short_s - late_s
    is_accepted = raised_s - least_s < _EXACT_S
    if is_accepted:
        late_s, raised_s = short_s - least_s, 0.0
    is_lowered = long_s is not None and long_s < most_s - _EXACT_S
    lowered_s = whole(long_s) if is_lowered and long_s is not None else None
    if lowered_s is not None:
        subject.largest_timeout_s = lowered_s
    return ok(
        "timeouts",
        f"{least_s} s are {_given(raised_s or None)}, {most_s} s are"
        f" {_given(lowered_s)}; up to {max(0.0, late_s):.1f} s late",
        min_presence_timeout_s=whole(raised_s),
        max_presence_timeout_s=lowered_s,
        timeout_late_s=round(late_s, 3),
    )


def _given(seconds: float | None) -> str:
    return "accepted" if seconds is None else f"made {whole(seconds)} s"


async def _held_s(subject: Subject, asked_s: int) -> float | None:
    """Return how long a user stays who is announced once; ``None``: over the limit."""
    sight, user_id = await subject.sight(), subject.named(f"asks-{asked_s}")
    sent_s = await subject.announce(user_id, asked_s)
    within_s = subject.limits.longest_timeout_s + subject.debounce_s + 2 * _EXACT_S
    gone_s = await sight.gone(user_id, sent_s + _SHORTEST_S / 2, within_s)
    await subject.leave(user_id)
    return None if gone_s is None else gone_s - sent_s


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
        if once_s - started_s < _AGAIN_S + _EXACT_S / 2:
            return unknown(name, f"users time out within {once_s - started_s:.1f} s")
        twice_s = await sight.gone(twice, started_s + 1, once_s - started_s + _AGAIN_S)
    is_kept = twice_s is None or twice_s - once_s > _AGAIN_S / 2
    words = "keeps" if is_kept else "does not keep"
    return ok(
        name, f"subscribing again {words} a user present", implicit_heartbeats=is_kept
    )


async def disconnect(subject: Subject) -> Finding:
    """Subscribe, wait for events, cut the connection, and see whether it leaves."""
    sight, user_id = await subject.sight(), subject.named("hangs-up")
    other = subject.named("hangs-on")
    longest_s = subject.limits.longest_timeout_s
    async with Wire(subject.config) as wire:
        cursor = await subject.subscribe(user_id, longest_s, wire)
        await subject.announce(other, longest_s)
        poll = asyncio.create_task(
            subject.subscribe(user_id, longest_s, wire, cursor), name="doctor polls"
        )
        try:
            await sight.there(user_id, subject.limits.event_s)
            await asyncio.sleep(_HELD_S)
        finally:
            poll.cancel()
            await asyncio.gather(poll, return_exceptions=True)
    cut_s = asyncio.get_running_loop().time()
    within_s = _DISCONNECT_S + subject.debounce_s
    gone_s = await sight.gone(user_id, cut_s, within_s)
    is_gone = gone_s is not None
    if gone_s is not None and await sight.gone(other, cut_s, gone_s - cut_s + 1):
        return unknown("disconnect", "users time out too soon to tell")
    await subject.leave_quietly(other, subject.here)
    words = "leaves at once" if is_gone else "stays until the timeout"
    return ok(
        "disconnect",
        f"a user whose connection ends {words}",
        leave_on_disconnect=is_gone,
    )
