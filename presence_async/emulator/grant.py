"""What a token allows, and on which names. Pure.

Source: https://www.pubnub.com/docs/security/access-control/overview (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

from ..checks import flag, known_fields, name_tuple, number, validator
from ..errors import InvalidArgumentError
from ..protocol.names import PRESENCE_SUFFIX, is_presence_name

__all__ = [
    "EVERYTHING",
    "Grant",
    "Kind",
    "Right",
    "access_table",
    "covers",
    "grant_tuple",
]

Right = Literal["read", "manage"]
Kind = Literal["channels", "channel_groups"]

EVERYTHING = "*"
"""The pattern that covers every name."""

_ONE_LEVEL = ".*"
_flag = validator(flag)


def _names(names: str | Iterable[str]) -> tuple[str, ...]:
    return name_tuple(names, "grant")


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
        for_s: Seconds from the grant until it expires; ``None``: it never does.
    """

    channels: tuple[str, ...] = attrs.field(default=(), converter=_names)
    channel_groups: tuple[str, ...] = attrs.field(default=(), converter=_names)
    read: bool = attrs.field(default=True, validator=_flag)
    manage: bool = attrs.field(default=False, validator=_flag)
    user_id: str | None = None
    for_s: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(validator(number, above=0))
    )

    def __attrs_post_init__(self) -> None:
        """Reject a user ID that is not text."""
        if self.user_id is not None and not isinstance(self.user_id, str):
            raise InvalidArgumentError("user_id", "must be a str, or None")

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Grant:
        """Return the grant that JSON describes: the attributes by their names.

        Raises:
            InvalidArgumentError: A field is unknown or invalid.
        """
        if not isinstance(fields, Mapping):
            raise InvalidArgumentError("grant", "must be a JSON object")
        known_fields(fields, cls, "grant")
        return cls(**fields)

    def allows(self, right: Right, kind: Kind, name: str) -> bool:
        """Return True if it gives a right on a channel or a group."""
        if not (self.read if right == "read" else self.manage):
            return False
        patterns = self.channels if kind == "channels" else self.channel_groups
        return any(covers(pattern, name) for pattern in patterns)


def access_table(
    access: Mapping[str, Grant | Iterable[Grant]] | None,
) -> dict[str, tuple[Grant, ...]] | None:
    """Return the ``access`` option with a tuple of grants for each token.

    Raises:
        InvalidArgumentError: It does not map tokens to grants.
    """
    if access is None:
        return None
    if not isinstance(access, Mapping):
        raise InvalidArgumentError("access", "must map each token to its grants")
    return {token: grant_tuple(grants) for token, grants in access.items()}


def grant_tuple(grants: object) -> tuple[Grant, ...]:
    """Return one grant, or the grants of an iterable, as a tuple.

    Raises:
        InvalidArgumentError: It is neither.
    """
    if isinstance(grants, Grant):
        return (grants,)
    if isinstance(grants, Iterable):
        several = tuple(grants)
        if all(isinstance(grant, Grant) for grant in several):
            return several
    raise InvalidArgumentError("access", "a token needs a Grant or several")


def covers(pattern: str, name: str) -> bool:
    """Return True if a granted name or pattern covers a name."""
    if pattern in {EVERYTHING, name}:
        return True
    if is_presence_name(pattern) != is_presence_name(name):
        return False
    pattern = pattern.removesuffix(PRESENCE_SUFFIX)
    if not pattern.endswith(_ONE_LEVEL):
        return False
    stem, rest = pattern[:-1], name.removesuffix(PRESENCE_SUFFIX)
    level = rest.removeprefix(stem)
    return rest.startswith(stem) and bool(level) and "." not in level
