"""For how long the edge answers the same request from a cache.

Source: 3 s are documented for here now and recorded for heartbeats (``Age: 3``).
"""

from __future__ import annotations

import asyncio

from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.here_now import HereNowOperation
from .finding import Finding, ok, unknown
from .limits import first_time, whole
from .subject import Subject
from .wire import Repeatable

__all__ = ["heartbeat_cache", "here_now_cache"]

_NOTICED_S = 0.6
_FIRST_AGE_S = 2.0


async def here_now_cache(subject: Subject) -> Finding:
    """Ask the same again and again, with a join after the first time."""
    user_id, channel = subject.named("cached"), subject.here
    operation = HereNowOperation(
        subscribe_key=subject.config.subscribe_key, channels=(channel,)
    )

    async def lists() -> bool:
        here = await subject.wire.ask(operation, params=(("doctor", user_id),))
        return user_id in (here.channels[channel].user_ids or ())

    asked_s, within_s = _now_s(), subject.limits.cache_s
    await lists()
    await subject.announce(user_id, subject.limits.longest_timeout_s)
    there_s = await first_time(
        lambda: subject.lists(user_id, channel), within_s=within_s
    )
    again_s = _now_s()
    seen_s = await first_time(lists, within_s=within_s)
    await subject.leave(user_id)
    if there_s is None or seen_s is None:
        return unknown("here now cache", f"no fresh answer within {within_s:g} s")
    is_cached = seen_s - again_s > _NOTICED_S
    return _found("here now", whole(seen_s - asked_s) if is_cached else 0)


async def heartbeat_cache(subject: Subject) -> Finding:
    """Send the same heartbeat until its answer no longer has an age."""
    user_id = subject.named("repeats")
    subject.owns_user(user_id, subject.here)
    request = await subject.wire.repeatable(
        HeartbeatOperation(
            subscribe_key=subject.config.subscribe_key,
            user_id=user_id,
            channels=(subject.here,),
            presence_timeout_s=subject.limits.longest_timeout_s,
        )
    )
    seconds = await _lifetime_s(request, subject.limits.cache_s)
    await subject.leave(user_id)
    if seconds is None:
        within_s = subject.limits.cache_s
        return unknown("heartbeat cache", f"no fresh answer within {within_s:g} s")
    return _found("heartbeat", whole(seconds))


async def _lifetime_s(request: Repeatable, within_s: float) -> float | None:
    """Return how old an answer from a cache becomes; 0: no cache answers.

    ``None``: it becomes older than the time for which it is asked.

    An age is of whole seconds, so a cache of less than two is not found.
    """
    started_s, oldest_s = _now_s(), 0

    async def is_anew() -> bool:
        nonlocal oldest_s
        age_s = await request.age_s()
        has_begun_again = age_s < oldest_s
        oldest_s = max(oldest_s, age_s)
        is_uncached = not oldest_s and _now_s() - started_s > _FIRST_AGE_S
        return has_begun_again or is_uncached

    anew_s = await first_time(is_anew, within_s=within_s)
    if not oldest_s:
        return 0
    return None if anew_s is None else anew_s - started_s


def _found(what: str, seconds: int) -> Finding:
    field = f"{what.replace(' ', '_')}_cache_s"
    name = f"{what} cache"
    if not seconds:
        return ok(name, f"the same {what} is answered anew", **{field: 0})
    text = f"the same {what} is answered from a cache for {seconds} s"
    return ok(name, text, **{field: seconds})


def _now_s() -> float:
    return asyncio.get_running_loop().time()
