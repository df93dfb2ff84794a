"""The rules of a register for who goes: ``release``, ``depart``, ``departed``. Pure.

This is the reference: the memory and SQLite registers run it, ``leaving_scripts`` says
the same in Lua, and a test holds them against each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from .record import NEVER, Due, Entry, Record, ms, seconds
from .values import Again, Release, Released

__all__ = ["depart", "departed", "release"]


def _due(at: float) -> Due:
    return None if at == math.inf else int(at)


def release(
    record: Record,
    worker_id: str,
    given: Release,
    *,
    attempt_s: float,
    not_before: int,
    now: int,
) -> tuple[Released, Due]:
    """Let a worker hold names no longer, and say who has to be left.

    Args:
        record: The user.
        worker_id: The worker.
        given: What it holds no longer.
        attempt_s: How long a leave may take.
        not_before: Nobody departs before that.
        now: The time.
    """
    is_known = worker_id in record.holders
    freed = _unwant(record, worker_id, given)
    at = max(now + ms(min(given.linger_s, 1e9)), not_before)
    doubted = at if is_known else max(at, now + ms(given.doubt_s))
    leave, again = [], []
    for name in freed:
        record.withdraw(record.names.get(name), worker_id)
        if record.others(name, "", now):
            again += _stay(record, name, 0 if given.linger_s == math.inf else at, now)
        elif given.linger_s == math.inf:
            record.names.pop(name, None)
        elif _goes(record, name, worker_id, at, doubted, ms(attempt_s), now):
            leave.append(name)
    due = _next_look(record, ms(attempt_s), now)
    if again:
        # Until then it is said; if not, whoever looks then says it.
        due = min(due or now + ms(attempt_s), now + ms(attempt_s))
    record.keep_for(0 if due is None else max(due - now, 0), now)
    return Released(tuple(leave), tuple(again)), due


def _unwant(record: Record, worker_id: str, given: Release) -> list[str]:
    """Take names from a holder; return those of which it has to be seen to."""
    mine = record.holders.get(worker_id)
    if mine is None:
        return list(given.names)
    names = given.names or tuple(mine.wishes)
    held = [name for name in names if mine.wishes.pop(name, 0)]
    if not mine.wishes:
        del record.holders[worker_id]
    return held if given.linger_s else list(names)


def _stay(record: Record, name: str, linger: int, now: int) -> list[Again]:
    """Let a name stay that others hold; return it if something else was said."""
    entry = record.names.get(name)
    if entry is None:
        return []
    if linger > now:
        # The others may all go before this one's time is over.
        entry.linger = max(entry.linger, linger)
    is_behind = entry.beat != NEVER and record.is_behind(name, entry, now)
    return [record.again(name, entry, now)] if is_behind else []


def _goes(  # noqa: PLR0917  # by name they would be twice as long
    record: Record,
    name: str,
    worker_id: str,
    at: int,
    doubted: int,
    attempt: int,
    now: int,
) -> bool:
    """Let a name go that nobody holds; return whether it is to be left now."""
    entry = record.names.setdefault(name, Entry())
    # What lingers for somebody else is known here, and goes on to.
    ends = max(at, entry.linger) if entry.linger else doubted
    if ends > now:
        entry.linger = ends
        return False
    if not record.may_leave(entry, worker_id, seconds(attempt), now):
        return False
    entry.linger = now
    entry.leaving, entry.leaver = now + attempt, worker_id
    return True


def _next_look(record: Record, attempt: int, now: int) -> Due:
    """Return when the first of all names that linger may depart."""
    looks = [
        max(entry.linger, min(entry.leaving, now + attempt))
        for name, entry in record.names.items()
        if entry.linger != NEVER and not record.others(name, "", now)
    ]
    return min(looks, default=None)


def depart(
    record: Record, worker_id: str, attempt_s: float, now: int, *, is_last: bool
) -> tuple[Released, Due]:
    """Take the names whose time is up: nobody holds them, nobody leaves them.

    Names that are held, and of which the service was told something else than is
    wanted, are to be announced.
    """
    leave, again, due = [], [], math.inf
    for name, entry in list(record.names.items()):
        is_held = bool(record.others(name, "", now))
        if is_held and entry.beat != NEVER and record.is_behind(name, entry, now):
            again.append(record.again(name, entry, now))
            due = min(due, now + ms(attempt_s))
        if entry.linger == NEVER:
            continue
        if is_held:
            entry.linger = entry.linger if entry.linger > now else NEVER
        elif entry.linger > now and not is_last:
            due = min(due, entry.linger)
        elif not record.may_leave(entry, "", attempt_s, now):
            due = min(due, entry.leaving)
        else:
            entry.leaving, entry.leaver = now + ms(attempt_s), worker_id
            due = min(due, entry.leaving)
            leave.append(name)
    return Released(tuple(leave), tuple(again)), _due(due)


def departed(
    record: Record, names: Iterable[str], now: int
) -> tuple[tuple[Again, ...], Due]:
    """Note an acknowledged leave; return names that are held all the same.

    Channels may be members of a group: where groups are involved, leaving one name
    may have ended any other. Names that nobody was allowed to leave stay: the leave
    was sent when the register was away.
    """
    left = set(names)
    groups = any(name[0] == "," for name in (*left, *record.names))
    again = []
    for name, entry in list(record.names.items()):
        if record.others(name, "", now):
            if name in left:
                entry.forget_leave()
            if name in left or groups:
                entry.forget_heartbeat()
                again.append(record.again(name, entry, now))
        elif name in left and entry.leaving != NEVER:
            del record.names[name]
    lingering = [
        entry.linger
        for name, entry in record.names.items()
        if entry.linger != NEVER and not record.others(name, "", now)
    ]
    return tuple(again), min(lingering, default=None)
