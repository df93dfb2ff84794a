"""What may happen to a request on its way: the kinds of trouble, one table."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import NamedTuple

import attrs

from presence_async.errors import (
    AccessDeniedError,
    ConnectError,
    ConnectionLostError,
    PresenceError,
    RateLimitedError,
    RejectedRequestError,
    ReplyFormatError,
    UnavailableError,
)
from presence_async.presence.wire import Send

__all__ = ["NEVER", "OUTAGES", "TROUBLES", "Fate", "Meeting", "Trouble", "calm"]

NEVER = math.inf


class Fate(NamedTuple):
    """How one request fares.

    Attributes:
        applied_after_s: When the service applies it, seconds after it was sent.
        answered_after_s: When the outcome is known; ``NEVER`` if the client gives up.
        error: What the client runs into; ``None`` if it is acknowledged.
        has_effect: Whether the client must believe that it may have been applied.
        is_in_doubt: Whether the client must believe that it may still be applied.
        comes_late: Whether the service applies a copy of it after the outcome.
        is_cached: Whether the answer comes out of a cache.
        needs_token_s: Seconds until a token is at hand; ``NEVER`` if none is.
        is_about_service: Whether the outcome says anything about the service.
    """

    applied_after_s: float = NEVER
    answered_after_s: float = NEVER
    error: PresenceError | None = None
    has_effect: bool = True
    is_in_doubt: bool = False
    comes_late: bool = False
    is_cached: bool = False
    needs_token_s: float = 0.0
    is_about_service: bool = True


@attrs.frozen(kw_only=True)
class Trouble:
    """Something that goes wrong for a while.

    Attributes:
        kind: A key of ``TROUBLES``.
        until_s: When it ends.
        probability: The share of requests it happens to.
        users: Whose requests; everybody's if empty.
        names: Of a refusal: the names that are refused.
        retry_after_s: What the service asks for with a 429 or 503.
    """

    kind: str
    until_s: float
    probability: float = 1.0
    users: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    retry_after_s: float | None = None

    def meets(self, send: Send, rng: random.Random) -> bool:
        """Return True if it happens to a request."""
        if self.users and send.user_id not in self.users:
            return False
        operation = send.operation
        if self.names and not (
            set(self.names) & {*operation.channels, *operation.channel_groups}
        ):
            return False
        return self.probability >= 1 or rng.random() < self.probability


def calm(rng: random.Random) -> Fate:
    """Return the fate of a request that nothing happens to."""
    applied_after_s = 0.01 + 0.04 * rng.random()
    return Fate(applied_after_s, applied_after_s + 0.01 + 0.04 * rng.random())


class Meeting(NamedTuple):
    """A request that meets a trouble."""

    send: Send
    trouble: Trouble
    rng: random.Random


def _slow(m: Meeting) -> Fate:
    applied_after_s = m.rng.uniform(0, m.send.attempt_s)
    longest_s = max(applied_after_s, 10.0)
    return Fate(applied_after_s, m.rng.uniform(applied_after_s, longest_s))


def _cut(*, applied_after_s: float = NEVER, comes_late: bool = False) -> Fate:
    lost = ConnectionLostError("cut")
    return Fate(applied_after_s, 0.05, lost, is_in_doubt=True, comes_late=comes_late)


def _not_connected(m: Meeting) -> Fate:
    after_s = m.rng.choice((0.01, 5.0))
    return Fate(NEVER, after_s, ConnectError("no route"), has_effect=False)


def _unavailable(m: Meeting) -> Fate:
    asked_s = m.trouble.retry_after_s
    error = UnavailableError("503", status=503, retry_after_s=asked_s)
    return Fate(m.rng.choice((NEVER, 0.02)), 0.04, error)


def _limited(m: Meeting) -> Fate:
    asked_s = m.trouble.retry_after_s
    error = RateLimitedError("429", status=429, retry_after_s=asked_s)
    return Fate(NEVER, 0.04, error, has_effect=False)


def _redirected(_: Meeting) -> Fate:
    return Fate(NEVER, 0.04, RejectedRequestError("302", status=302), has_effect=False)


def refused(
    send: Send, *, channels: tuple[str, ...] = (), groups: tuple[str, ...] = ()
) -> Fate:
    """Return a refusal that names some of the names of a request."""
    error = AccessDeniedError("403", status=403)
    error.channels = tuple(c for c in send.operation.channels if c in channels)
    error.channel_groups = tuple(
        g for g in send.operation.channel_groups if g in groups
    )
    return Fate(NEVER, 0.04, error, has_effect=False)


def _no_token(_: Meeting) -> Fate:
    error = AccessDeniedError("the token provider failed", status=401)
    return Fate(NEVER, 0.0, error, has_effect=False, is_about_service=False)


def _no_token_now(_: Meeting) -> Fate:
    error = UnavailableError("the token provider failed", status=500)
    return Fate(NEVER, 0.0, error, has_effect=False, is_about_service=False)


def _token_hangs(m: Meeting) -> Fate:
    return calm(m.rng)._replace(needs_token_s=m.rng.choice((2.0, 12.0, NEVER)))


TROUBLES: Mapping[str, Callable[[Meeting], Fate]] = {
    "hang": lambda _: Fate(),
    "lost reply": lambda _: Fate(0.02),
    "late": lambda _: Fate(comes_late=True),
    "slow": _slow,
    "cut": lambda _: _cut(),
    "cut after": lambda _: _cut(applied_after_s=0.02),
    "cut late": lambda _: _cut(comes_late=True),
    "not connected": _not_connected,
    "unavailable": _unavailable,
    "limited": _limited,
    "redirected": _redirected,
    "html": lambda _: Fate(NEVER, 0.04, ReplyFormatError("html")),
    "refused": lambda m: refused(
        m.send, channels=m.trouble.names, groups=m.trouble.names
    ),
    "refused without names": lambda m: refused(m.send),
    "no token": _no_token,
    "no token now": _no_token_now,
    "token hangs": _token_hangs,
    "cached": lambda m: calm(m.rng)._replace(is_cached=True),
    "repeated": lambda m: calm(m.rng)._replace(is_in_doubt=True, comes_late=True),
}
"""Each kind of trouble, and how a request fares in it."""

OUTAGES = (
    "hang",
    "lost reply",
    "late",
    "cut",
    "cut after",
    "not connected",
    "unavailable",
    "limited",
    "redirected",
    "html",
)
"""The kinds that are about the service, and that a short presence must survive."""
