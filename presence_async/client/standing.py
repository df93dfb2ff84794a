"""How a user stands at the moment, as facts: what needs not be remembered."""

from __future__ import annotations

import asyncio
import math

from ..explain.facts import Fact, Joined, Kept, Names
from ..presence.claims import Claim
from ..presence.user import UserTable
from .fact_keeper import rounded, unix_now_s

__all__ = ["joined", "standing", "unix_s"]


def unix_s(loop_s: float) -> float:
    """Return the Unix time of a loop time, by what the clocks say now."""
    now_s = asyncio.get_running_loop().time()
    return rounded(unix_now_s() - (now_s - loop_s))


def joined(claim: Claim, names: Names) -> list[Joined]:
    """Return the join of a lease that held some names, unless memory has it."""
    at = claim.owner._moment.joined_at  # noqa: SLF001  # it is there for this
    if not at or not names:
        return []
    timeout_s = claim.presence_timeout_s
    return [Joined(at=at, user=claim.user_id, names=names, timeout_s=timeout_s)]


def standing(user: UserTable) -> list[Fact]:
    """Return the joins of the leases that are held, and whether all is well now."""
    facts: list[Fact] = []
    for claim in user.joined:
        facts += joined(claim, claim.names)
    held = {name for claim in user.joined for name in claim.names}
    told = [each for name, each in user.told.items() if name in held]
    fine = [each for each in told if each.trouble is None]
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
