"""Access control: tokens, what each may do, and the refusals. Pure.

Source: https://www.pubnub.com/docs/security/access-control/overview and
``update-expired-token`` beside it (read 2026-11) for the rights and "Token is expired";
recordings for the bodies of refused channels and groups and for "Token is revoked". A
heartbeat is not in the documentation's table but is refused in the field
(pubnub/javascript issue 431), so it takes the read right. Unverified are the answer to
another user's or an unknown token, here the one for names refused, and that a global
here now and the list of groups take a grant on ``*``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

from ..errors import InvalidArgumentError
from ..protocol.exchange import HttpReply
from ..protocol.names import PRESENCE_SUFFIX, is_presence_name
from . import checks
from .refusals import access_denied, forbidden

__all__ = ["RIGHTS", "AccessManager", "Grant", "access_table", "covers"]

Right = Literal["read", "manage"]
Kind = Literal["channels", "channel_groups"]

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
"""The right an operation takes on each name; what is not here takes none.

Publishing takes the write right, which is no part of presence and not modelled.
"""

# With no name at all these are about the whole key set; others then do nothing.
_ABOUT_EVERYTHING: Mapping[str, Kind] = {
    "here now": "channels",
    "list groups": "channel_groups",
}
_EVERYTHING = "*"
_ONE_LEVEL = ".*"


def _names(names: str | Iterable[str]) -> tuple[str, ...]:
    return checks.names("grant", names)


@attrs.frozen(kw_only=True)
class Grant:
    """What a token allows on some names.

    A pattern ``a.*`` covers one level (``a.b``, not ``a.b.c``), ``*`` every name.
    Presence names are names of their own: to read ``lobby-pnpres`` it must be granted,
    by that name, as ``a.*-pnpres`` or with ``*``.

    Attributes:
        channels: Names or patterns; one ``str`` is one name.
        channel_groups: The same for groups.
        read: Whether reading is allowed: here now, state, heartbeat, subscribe, leave.
        manage: Whether the groups may be changed and listed.
        user_id: The only user who may use the token (``authorized_uuid``); ``None``:
            anyone.
        for_s: How long it holds from when it is granted; ``None``: until revoked.
    """

    channels: tuple[str, ...] = attrs.field(default=(), converter=_names)
    channel_groups: tuple[str, ...] = attrs.field(default=(), converter=_names)
    read: bool = True
    manage: bool = False
    user_id: str | None = None
    for_s: float | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be meant."""
        checks.positive("for_s", self.for_s)
        checks.flag("read", self.read)
        checks.flag("manage", self.manage)
        if self.user_id is not None and not isinstance(self.user_id, str):
            raise InvalidArgumentError("user_id", "must be a str, or None")

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Grant:
        """Read one from JSON: the attributes by their names.

        Raises:
            InvalidArgumentError: A field is unknown or cannot be.
        """
        if not isinstance(fields, Mapping):
            raise InvalidArgumentError("grant", "must be a JSON object")
        checks.known("grant", fields, cls)
        return cls(**fields)

    def allows(self, right: Right, kind: Kind, name: str) -> bool:
        """Tell whether it gives a right on a channel or a group."""
        if not (self.read if right == "read" else self.manage):
            return False
        patterns = self.channels if kind == "channels" else self.channel_groups
        return any(covers(pattern, name) for pattern in patterns)


Grants = Grant | Iterable[Grant]


def access_table(
    access: Mapping[str, Grants] | None,
) -> dict[str, tuple[Grant, ...]] | None:
    """Bring an ``access`` option into one form.

    Raises:
        InvalidArgumentError: It is no mapping of tokens to grants.
    """
    if access is None:
        return None
    if not isinstance(access, Mapping):
        raise InvalidArgumentError("access", "must map each token to its grants")
    return {token: _grants(grants) for token, grants in access.items()}


def covers(pattern: str, name: str) -> bool:
    """Tell whether a granted name or pattern covers a name."""
    if pattern in {_EVERYTHING, name}:
        return True
    if is_presence_name(pattern) != is_presence_name(name):
        return False
    pattern = pattern.removesuffix(PRESENCE_SUFFIX)
    if not pattern.endswith(_ONE_LEVEL):
        return False
    stem, rest = pattern[:-1], name.removesuffix(PRESENCE_SUFFIX)
    level = rest.removeprefix(stem)
    return rest.startswith(stem) and bool(level) and "." not in level


class AccessManager:
    """The tokens in force.

    Args:
        access: What each token may do; ``None``: nobody needs a token, until the first
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
        """Whether anybody needs a token."""
        return self._tokens is not None or self._initial is not None

    def reset(self) -> None:
        """Go back to the tokens of the beginning; their time starts anew."""
        self._tokens = None
        self._revoked.clear()

    def grant(self, token: str, grants: Iterable[Grant], *, now_s: float) -> None:
        """Give a token rights in place of those it had, also after a revocation."""
        tokens = self._started(now_s)
        if tokens is None:
            tokens = self._tokens = {}
        tokens[token] = [(grant, _until_s(grant, now_s)) for grant in _grants(grants)]
        self._revoked.discard(token)

    def revoke(self, token: str) -> None:
        """Take a token out of force; it is then told that it is revoked."""
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
        """Return the 403 that a request gets, ``None`` when it may pass.

        Args:
            operation: Its name, such as ``"here now"``.
            channels: The channels named, ``-pnpres`` ones as such.
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
        if kind and not any(g.allows(right, kind, _EVERYTHING) for g in own):
            return forbidden((), ())
        return None

    def _is_free(self, operation: str) -> bool:
        return operation == "leave" and not self._leave_needs_read

    def _started(self, now_s: float) -> dict[str, list[tuple[Grant, float]]] | None:
        """Return the tokens; those of the beginning hold from the first request."""
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


def _grants(grants: object) -> tuple[Grant, ...]:
    if isinstance(grants, Grant):
        return (grants,)
    if isinstance(grants, Iterable):
        several = tuple(grants)
        if all(isinstance(grant, Grant) for grant in several):
            return several
    raise InvalidArgumentError("access", "a token is given a Grant or several")


def _until_s(grant: Grant, now_s: float) -> float:
    return math.inf if grant.for_s is None else now_s + grant.for_s
