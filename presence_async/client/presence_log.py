"""What is logged of presence: one reader of the engine's changes.

A user's own trouble is a line of its own. What concerns everybody, such as an outage,
is one line with counts; the users' own lines then go to DEBUG.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..presence.changes import (
    Change,
    HealthChanged,
    LeaveGivenUp,
    OutageBegan,
    OutageEnded,
    OutageGoesOn,
    RegisterBack,
    RegisterLost,
)
from ..presence.claims import LeaseHealth
from ..presence.closing import Departure
from .safe_log import SafeLogger

__all__ = [
    "log_blocked",
    "log_change",
    "log_failed_leave",
    "log_gone",
    "log_handing_over",
    "log_slept",
    "log_unlisted",
]

logger: SafeLogger = SafeLogger("presence_async.client")

_LEVELS = {
    LeaseHealth.FRESH: logging.INFO,
    LeaseHealth.AT_RISK: logging.WARNING,
    LeaseHealth.LOST: logging.ERROR,
    LeaseHealth.REFUSED: logging.ERROR,
    LeaseHealth.RELEASED: logging.DEBUG,
}
_MOST_NAMED = 5


def log_change(change: Change) -> None:
    """Write the line of one change."""
    match change:
        case HealthChanged():
            _log_health(change)
        case LeaveGivenUp(user_id, error, is_known, is_shared, _):
            level = logging.INFO if is_known else logging.WARNING
            level = logging.DEBUG if is_shared else level
            extra = {"user": user_id}
            logger.log(
                level, "%s will time out instead: %s", user_id, error, extra=extra
            )
        case OutageBegan(users, at_risk, lost):
            logger.warning(
                "the service cannot be reached; one of %d users at a time tries:"
                " %d leases at risk, %d lost",
                users,
                at_risk,
                lost,
            )
        case OutageGoesOn(users, at_risk, lost, since_s):
            logger.warning(
                "the service has been out of reach for %.0f s: of %d users, %d leases"
                " at risk, %d lost",
                since_s,
                users,
                at_risk,
                lost,
            )
        case OutageEnded(users, lost, since_s):
            logger.warning(
                "the service can be reached again after %.0f s; sending a heartbeat"
                " for each of %d users, %d leases were lost",
                since_s,
                users,
                lost,
            )
        case RegisterLost(error):
            logger.warning(
                "the register is away; heartbeats go on without it, leaves wait: %s",
                error,
            )
        case RegisterBack(users, away_s):
            logger.warning(
                "the register is back after %.0f s; it is told of %d users again",
                away_s,
                users,
            )
        case _:
            pass


def _log_health(change: HealthChanged) -> None:
    is_quiet = change.previous is None or change.is_shared
    level = logging.DEBUG if is_quiet else _LEVELS[change.health]
    if logger.isEnabledFor(level):
        # The repr as it is now, should a handler write the line later.
        shown = repr(change.claim.owner)
        logger.log(level, "%s: %s", shown, change.reason, extra=_fields(change))


def _fields(change: HealthChanged) -> dict[str, object]:
    """Return what a structured logger keeps of a change, for its ``extra``.

    Names of channels hold no comma, so that one string keeps several.
    """
    return {
        "user": change.claim.user_id,
        "channel": ",".join(change.claim.channels),
        "channel_group": ",".join(change.claim.channel_groups),
        "health": str(change.health),
        "previous_health": change.previous and str(change.previous),
        "remaining_s": change.remaining_s,
    }


def log_blocked(blocked_s: float, users: Sequence[str], lost: int) -> None:
    """Write what a blocked event loop cost, once an episode.

    Args:
        blocked_s: For how long it was blocked at least: it is looked at each 5 s.
        users: Whose heartbeats are late.
        lost: How many of their presences have run out.
    """
    cost = []
    if users:
        who = ", ".join(users[:_MOST_NAMED])
        more = ", …" if len(users) > _MOST_NAMED else ""
        late = "1 heartbeat is" if len(users) == 1 else f"{len(users)} heartbeats are"
        cost.append(f"{late} late ({who}{more})")
    if lost:
        out = "1 presence has" if lost == 1 else f"{lost} presences have"
        cost.append(f"{out} run out")
    told = f": {', '.join(cost)}" if cost else ""
    logger.warning("the event loop was blocked for at least %.1f s%s", blocked_s, told)


def log_slept(slept_s: float) -> None:
    """Write that the machine slept."""
    logger.warning(
        "the machine slept for %.0f s; sending a heartbeat for every user", slept_s
    )


def log_failed_leave(user_id: str, error: Exception, *, is_shared: bool) -> None:
    """Write that the leave at the end of a block failed, which nobody awaits.

    Args:
        user_id: Who was not left.
        error: Why.
        is_shared: Whether it is due to an outage, which has lines of its own.
    """
    level = logging.DEBUG if is_shared else logging.WARNING
    extra = {"user": user_id}
    logger.log(level, "%s may stay present: %s", user_id, error, extra=extra)


def log_gone(user_ids: Sequence[str]) -> None:
    """Write which users who are held are gone, once for what is heard together."""
    who = ", ".join(user_ids[:_MOST_NAMED])
    more = ", …" if len(user_ids) > _MOST_NAMED else ""
    logger.warning(
        "somebody else has left users who are held here, or they were timed out (%s%s);"
        " a heartbeat for each follows",
        who,
        more,
    )


def log_handing_over(departures: Sequence[Departure]) -> None:
    """Write how many users a closing client has handed over, and how many not."""
    orders = [d.order for d in departures if d.order is not None and d.is_handed_over]
    failed = [order for order in orders if order.error is not None]
    done = len(orders) - len(failed)
    if failed:
        logger.warning(
            "handed over %d users, and failed to for %d, such as %s: %s",
            done,
            len(failed),
            failed[0].user_id,
            failed[0].error,
        )
    elif done:
        logger.info("handed over %d users", done)


def log_unlisted(user_id: str, channel: str) -> None:
    """Write that the service lists nobody where it has acknowledged a user."""
    logger.warning(
        "%s is acknowledged but not listed on channel %r: the keyset may track only"
        " selected channels; add a rule for it in Presence Management (Admin Portal)."
        " Here now finds nobody there. If another client has left this user, the next"
        " heartbeat brings the user back",
        user_id,
        channel,
    )
