"""For how long the edge answers the same request from a cache.

Source: 3 s are documented for here now and recorded for heartbeats (``Age: 3``). Until
2021 each recorded answer has an age, 0 if no cache gave it; in 2025 none has.
"""

from __future__ import annotations

import asyncio

from ..errors import RequestError
from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.here_now import HereNowOperation
from .bounds import Bounds, UnclearError
from .finding import Finding, ok
from .limits import ASK_EVERY_S
from .subject import Subject
from .wire import Repeatable

__all__ = ["heartbeat_cache", "here_now_cache"]

_OLD_S = 2.0


async def here_now_cache(subject: Subject) -> Finding:
    """Ask the same again and again, with a join after the first time."""
    channel, word = subject.here, subject.another("word")
    operation = HereNowOperation(
        subscribe_key=subject.config.subscribe_key, channels=(channel,)
    )

    async def listed() -> tuple[Bounds, tuple[str, ...]]:
        heard = await subject.wire.send(operation, params=(("doctor", word),))
        return heard.acted, heard.value.channels[channel].user_ids or ()

    stored, _ = await listed()
    user_id, _ = await subject.newcomer("cached", subject.limits.longest_timeout_s)
    while not await subject.lists(user_id, channel):
        _check_time(stored, subject)
    old_s = stored.least_s
    while user_id not in (seen := await listed())[1]:
        old_s = seen[0].least_s
        _check_time(stored, subject)
        await asyncio.sleep(ASK_EVERY_S)
    await subject.leave_quietly(user_id, channel)
    return _found("here now", Bounds(old_s, seen[0].most_s) - stored)


async def heartbeat_cache(subject: Subject) -> Finding:
    """Send the same heartbeat until a cache no longer answers it."""
    user_id = subject.another("repeats")
    subject.owns_user(user_id, subject.here)
    request = await subject.wire.repeatable(
        HeartbeatOperation(
            subscribe_key=subject.config.subscribe_key,
            user_id=user_id,
            channels=(subject.here,),
            presence_timeout_s=subject.limits.longest_timeout_s,
        )
    )
    seconds = await _lifetime_s(request, subject)
    await subject.leave_quietly(user_id, subject.here)
    return _found("heartbeat", seconds)


async def _lifetime_s(request: Repeatable, subject: Subject) -> Bounds:
    """Return for how long a cache keeps an answer.

    Raises:
        UnclearError: It keeps it for too long, or ages do not tell.
    """
    stored, first = await _aged(request)
    if first:
        raise UnclearError("a cache answered what was never asked before")
    cached, before = stored, 0
    while True:
        await asyncio.sleep(ASK_EVERY_S)
        now, age_s = await _aged(request)
        if age_s is None or age_s < before:
            return Bounds(cached.least_s, now.most_s) - stored
        # Where even the first answer has an age, only one above 0 tells of a cache.
        if first is not None and not age_s and now.least_s - stored.most_s > _OLD_S:
            raise UnclearError(f"a cache of less than {_OLD_S:g} s would not show")
        cached, before = now, age_s
        _check_time(stored, subject)


async def _aged(request: Repeatable) -> tuple[Bounds, int | None]:
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    try:
        age_s = await request.age_s()
    except RequestError as error:
        # The cache may have kept what was not heard.
        raise UnclearError(error.problem) from None
    return Bounds(started_s, loop.time()), age_s


def _check_time(stored: Bounds, subject: Subject) -> None:
    within_s = subject.limits.cache_s
    if asyncio.get_running_loop().time() - stored.least_s > within_s:
        raise UnclearError(f"no fresh answer within {within_s:g} s")


def _found(what: str, lifetime: Bounds) -> Finding:
    field, seconds = f"{what.replace(' ', '_')}_cache_s", lifetime.whole_s()
    text = f"the same {what} is answered anew"
    if seconds:
        text = f"the same {what} is answered from a cache for {seconds} s"
    return ok(f"{what} cache", text, **{field: seconds})
