"""How a user stands at the moment, as facts: what needs not be remembered."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from ..explain.facts import Back, Fact, Joined, Kept, Lost, Names
from ..explain.memory import Memory
from ..presence.claims import Claim
from ..presence.records import Told
from ..presence.user import UserTable
from .fact_keeper import rounded, unix_now_s
from .join_times import moment_of

__all__ = ["gone", "joined", "recovered", "standing", "still_held", "told", "unix_s"]


def unix_s(loop_s: float) -> float:
    """Return the Unix time of a loop time, by what the clocks say now."""
    now_s = asyncio.get_running_loop().time()
    return rounded(unix_now_s() - (now_s - loop_s))


def joined(claim: Claim, names: Names) -> list[Joined]:
    """Return the join of a lease that held some names, unless memory has it."""
    moment = moment_of(claim.owner)
    if not moment.joined_at or not names:
        return []
    return [
        Joined(
            at=rounded(moment.joined_at),
            user=claim.user_id,
            names=names,
            timeout_s=claim.presence_timeout_s,
            late_s=moment.late_s,
        )
    ]


def standing(user: UserTable) -> list[Fact]:
    """Return the joins of the leases that are held, and whether all is well now."""
    facts: list[Fact] = []
    for claim in user.joined:
        facts += joined(claim, claim.names)
    held = {name for claim in user.joined for name in claim.names}
    fine = [
        each
        for name, each in user.told.items()
        if name in held and each.trouble is None
    ]
    if fine:
        first = min(fine, key=lambda each: each.until_s)
        facts.append(
            Kept(
                at=unix_now_s(),
                user=user.user_id,
                names=tuple(each.name for each in fine),
                acked=unix_s(first.until_s - first.timeout_s),
                due=unix_s(user.due_s) if user.due_s < math.inf else 0.0,
                is_shared=user.listing is not None and not user.listing.is_leading,
            )
        )
    return facts


def gone(
    user: UserTable | None,
    names: Names,
    at: float,
    later_s: Callable[[str, Names, float], float],
) -> list[Lost]:
    """Return what has run out of some names; of the rest, failures will tell.

    Args:
        user: Whose names they are.
        names: The names.
        at: Unix time when it was found.
        later_s: Returns by how much longer a presence may last than until some time.
    """
    if user is None:
        return []
    ends: dict[tuple[float, int], list[str]] = {}
    for name, each in user.told.items():
        until = unix_s(each.until_s)
        if name in names and until <= at:
            ends.setdefault((until, each.timeout_s), []).append(name)
    return [
        Lost(
            at=at,
            user=user.user_id,
            names=tuple(some),
            until=until,
            acked=until - timeout_s,
            late_s=later_s(user.user_id, tuple(some), until),
        )
        for (until, timeout_s), some in ends.items()
    ]


def still_held(user: UserTable | None, names: Names) -> Names:
    """Return which of some names leases of a user hold."""
    claims = () if user is None else user.joined
    held = {name for claim in claims for name in claim.names}
    return tuple(name for name in names if name in held)


def recovered(user: UserTable | None, memory: Memory) -> list[Back]:
    """Return which lost names are kept again, though others of their lease are refused.

    Of those the health of the lease tells.
    """
    if user is None:
        return []
    latest: dict[str, Fact] = {}
    for fact in memory.of(user.user_id):
        if isinstance(fact, (Lost, Back)):
            latest |= dict.fromkeys(fact.names, fact)
    return [
        Back(at=sent, user=user.user_id, names=(name,), was="lost")
        for name, each in user.told.items()
        if isinstance(lost := latest.get(name), Lost)
        and each.trouble is None
        and (sent := unix_s(each.until_s - each.timeout_s)) > lost.until
    ]


def told(user: UserTable | None, names: Names) -> tuple[float, float, Names]:
    """Return when names were last acknowledged, until when that lasts, what is past it.

    The times are those of the first name that runs out, or of the last that has run
    out; 0: unknown.
    """
    table = {} if user is None else user.told
    known = [table[name] for name in names if name in table]
    if not known:
        return 0.0, 0.0, ()
    past = [each for each in known if unix_s(each.until_s) <= unix_now_s()]
    one = max(past, key=_end_s) if past else min(known, key=_end_s)
    until = unix_s(one.until_s)
    return until - one.timeout_s, until, tuple(each.name for each in past)


def _end_s(each: Told) -> float:
    return each.until_s
