"""Which channels are tracked: elsewhere all is acknowledged and nobody is present.

Source: PubNub's documentation (read 2026-11) has "selected channels only" as the mode
of new keysets. An untracked channel answers as an empty one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ..errors import AccessDeniedError
from .bounds import UnclearError
from .finding import Finding, ok, problem, unknown, warning
from .limits import first_time
from .subject import Subject

__all__ = ["tracking"]

_TIMEOUT_S = 60
_SLOW_S = 1.0
_RULES = "Presence Management in the Admin Portal"

# Of each channel whether it is tracked; ``None``: the token may not ask.
_Tracked = Mapping[str, bool | None]


async def tracking(subject: Subject) -> Finding:
    """Announce a throw-away user on channels, and look whether the user is there."""
    candidates = [c for c in (subject.room, subject.sibling, subject.channel) if c]
    # No task group: in Python 3.11 one that fails leaves this task half cancelled, and
    # this probe may run again in it.
    found = await asyncio.gather(
        *[_is_tracked(subject, channel) for channel in candidates],
        return_exceptions=True,
    )
    tracked: dict[str, bool | None] = {}
    for channel, end in zip(candidates, found, strict=True):
        if isinstance(end, BaseException):
            raise end
        tracked[channel] = end
    subject.place = next((c for c in candidates if tracked[c]), None)
    finding = _judged(subject, tracked)
    if subject.place == subject.channel and await _others(subject):
        # Many users may come and go there, which nobody else should have to see.
        subject.place = None
    return finding


async def _is_tracked(subject: Subject, channel: str) -> bool | None:
    user_id = subject.named("newcomer")
    try:
        if channel == subject.channel and await _others(subject):
            return True
        await subject.announce(user_id, _TIMEOUT_S, channel)
        return await _shows(subject, user_id, channel)
    except AccessDeniedError:
        return None
    finally:
        await subject.leave_quietly(user_id, channel)


async def _shows(subject: Subject, user_id: str, channel: str) -> bool:
    """Return whether a user who was announced is there.

    Raises:
        RequestError: The service did not answer.
        UnclearError: It answered so slowly that the user may have timed out.
    """
    loop = asyncio.get_running_loop()
    slowest_s = 0.0

    async def lists() -> bool:
        nonlocal slowest_s
        asked_s = loop.time()
        is_there = await subject.lists(user_id, channel)
        slowest_s = max(slowest_s, loop.time() - asked_s)
        return is_there

    if await first_time(lists, within_s=subject.limits.event_s) is not None:
        return True
    if slowest_s > _SLOW_S:
        raise UnclearError(f"an answer took {slowest_s:.1f} s")
    return False


async def _others(subject: Subject) -> bool:
    """Return True if somebody else is on the channel asked about."""
    if subject.channel is None:
        return False
    return any(
        not subject.is_own(user_id)
        for user_id in await subject.user_ids(subject.channel)
    )


def _judged(subject: Subject, tracked: _Tracked) -> Finding:
    asked = subject.target
    measured = _measured(subject, tracked)
    if tracked[asked] is None:
        return unknown("tracking", f"the token may not join {asked}")
    if tracked[asked]:
        if tracked[subject.room]:
            return ok("tracking", "every channel is tracked", **measured)
        others = "others are not" if tracked[subject.room] is False else ""
        text = f"{asked} is tracked; {others}".removesuffix("; ")
        return ok("tracking", text, **measured)
    if subject.channel is None:
        return warning(
            "tracking",
            f"presence is not tracked on a channel named at random ({asked})",
            "name one of your channels: presence-async doctor CHANNEL",
            **measured,
        )
    return problem(
        "tracking",
        f"presence is not tracked on {asked}: heartbeats are acknowledged and nobody"
        " is present",
        f"add a rule that matches {asked} in {_RULES}",
        **measured,
    )


def _measured(subject: Subject, tracked: _Tracked) -> dict[str, Any]:
    """Return ``tracked_channels``, if it can be told."""
    if None in tracked.values():
        return {}
    if tracked[subject.room]:
        return {"tracked_channels": None} if all(tracked.values()) else {}
    patterns = {subject.sibling: subject.siblings, subject.channel: subject.channel}
    found = [patterns[channel] for channel, is_so in tracked.items() if is_so]
    return {"tracked_channels": found[:1]}
