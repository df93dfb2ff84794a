"""Access control: the tokens in force and the refusals. Pure.

Source: https://www.pubnub.com/docs/security/access-control/overview and
``update-expired-token`` beside it (read 2026-11) for the rights and "Token is expired";
recordings for the bodies of refused channels and groups and for "Token is revoked". A
heartbeat is missing from the documentation's table but is refused in the field
(pubnub/javascript issue 431), so it takes the read right. Two things are unverified:
the answer to an unknown token or another user's, here the refusal of the names; and
that a global here now and the list of groups take a grant on ``*``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from ..protocol.exchange import HttpReply
from .grant import EVERYTHING, Grant, Kind, Right, grant_tuple
from .refusals import access_denied, forbidden

__all__ = ["RIGHTS", "AccessManager"]

RIGHTS: Mapping[str, Right] = {
    "here now": "read",
    "get state": "read",
    "set state": "read",
    "heartbeat": "read",
    "leave": "read",
    "subscribe": "read",
    "add channels": "manage",
    "remove channels": "manage",
    "list channels": "manage",
    "delete group": "manage",
    "list groups": "manage",
}
"""The right that an operation takes on each name; operations not listed take none.

Publishing and signals take the write right, which is not part of presence and not
modelled.
"""

# Without any name these ask about the whole key set; others then do nothing.
_ABOUT_EVERYTHING: Mapping[str, Kind] = {
    "here now": "channels",
    "list groups": "channel_groups",
}


class AccessManager:
    """The tokens in force.

    Args:
        access: The grants of each token; ``None``: nobody needs a token until the first
            is granted.
        leave_needs_read: Whether a leave takes the read right.
    """

    def __init__(
        self,
        access: Mapping[str, tuple[Grant, ...]] | None,
        *,
        leave_needs_read: bool = True,
    ) -> None:
        self._initial = access
        self._leave_needs_read = leave_needs_read
        self._tokens: dict[str, list[tuple[Grant, float]]] | None = None
        self._revoked: set[str] = set()

    @property
    def is_on(self) -> bool:
        """Whether requests need a token."""
        return self._tokens is not None or self._initial is not None

    def reset(self) -> None:
        """Return to the initial tokens; their time starts again."""
        self._tokens = None
        self._revoked.clear()

    def grant(self, token: str, grants: Iterable[Grant], *, now_s: float) -> None:
        """Replace the rights of a token, which ends a revocation too."""
        tokens = self._started(now_s)
        if tokens is None:
            tokens = self._tokens = {}
        tokens[token] = [
            (grant, _until_s(grant, now_s)) for grant in grant_tuple(grants)
        ]
        self._revoked.discard(token)

    def revoke(self, token: str) -> None:
        """Refuse a token from now on, as revoked."""
        self._revoked.add(token)

    def refusal(
        self,
        operation: str,
        channels: tuple[str, ...],
        channel_groups: tuple[str, ...],
        *,
        token: str | None,
        user_id: str | None,
        now_s: float,
    ) -> HttpReply | None:
        """Return the 403 for a request, or ``None`` if it is allowed.

        Args:
            operation: The operation's name, such as ``"here now"``.
            channels: The channels named, ``-pnpres`` names included.
            channel_groups: The groups named.
            token: The ``auth`` parameter.
            user_id: The ``uuid`` parameter.
            now_s: The time, on the clock of ``grant``.
        """
        right = RIGHTS.get(operation)
        tokens = self._started(now_s)
        if tokens is None or right is None or self._is_free(operation):
            return None
        if token in self._revoked:
            return access_denied(403, "Token is revoked")
        kept = tokens.get(token or "", [])
        grants = [grant for grant, until_s in kept if now_s < until_s]
        if kept and not grants:
            return access_denied(403, "Token is expired")
        own = [grant for grant in grants if grant.user_id in {None, user_id}]
        if channels or channel_groups:
            return _refused(own, right, channels, channel_groups)
        kind = _ABOUT_EVERYTHING.get(operation)
        if kind and not any(g.allows(right, kind, EVERYTHING) for g in own):
            return forbidden((), ())
        return None

    def _is_free(self, operation: str) -> bool:
        return operation == "leave" and not self._leave_needs_read

    def _started(self, now_s: float) -> dict[str, list[tuple[Grant, float]]] | None:
        """Return the tokens; the time of initial ones starts with the first request."""
        if self._tokens is None and self._initial is not None:
            self._tokens = {
                token: [(grant, _until_s(grant, now_s)) for grant in grants]
                for token, grants in self._initial.items()
            }
        return self._tokens


def _refused(
    grants: list[Grant],
    right: Right,
    channels: tuple[str, ...],
    channel_groups: tuple[str, ...],
) -> HttpReply | None:
    def without(kind: Kind, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple([
            name
            for name in names
            if not any(grant.allows(right, kind, name) for grant in grants)
        ])

    refused = without("channels", channels), without("channel_groups", channel_groups)
    return forbidden(*refused) if any(refused) else None


def _until_s(grant: Grant, now_s: float) -> float:
    return math.inf if grant.for_s is None else now_s + grant.for_s
