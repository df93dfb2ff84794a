"""What a client authenticates with: a token, or a function that fetches tokens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

import attrs

from ..checks import has_control_characters
from ..errors import InvalidArgumentError
from . import wall_clock

__all__ = ["Auth", "AuthToken", "TokenProvider", "checked_auth"]

_FETCH_AHEAD_S = 30.0


@attrs.frozen(kw_only=True)
class AuthToken:
    """A token and the time when it expires.

    Attributes:
        value: The token itself; hidden from ``repr``.
        expires_at: An aware datetime, or ``None`` if it is not known; a new token is
            fetched 30 s earlier.
    """

    value: str = attrs.field(repr=False)
    expires_at: datetime | None = None

    def __attrs_post_init__(self) -> None:
        """Reject a blank token, and a naive datetime, which names no point in time."""
        _checked_token(self.value)
        if self.expires_at is not None and not _is_aware(self.expires_at):
            raise InvalidArgumentError(
                "expires_at", "must be an aware datetime; write datetime.now(tz=UTC)"
            )

    @property
    def is_due(self) -> bool:
        """Return True if it is time to fetch the next token."""
        if self.expires_at is None:
            return False
        return wall_clock.now_s() > self.expires_at.timestamp() - _FETCH_AHEAD_S


TokenProvider: TypeAlias = Callable[[str], Awaitable[str | AuthToken]]
Auth: TypeAlias = str | TokenProvider | None


def checked_auth(auth: object) -> None:
    """Check that a value is a token, a function or ``None``.

    Raises:
        InvalidArgumentError: It is something else; the error never shows the value.
    """
    if isinstance(auth, str):
        _checked_token(auth)
    elif auth is not None and not callable(auth):
        raise InvalidArgumentError(
            "auth", "must be a token (str) or an async function of the user id"
        )


def _is_aware(moment: object) -> bool:
    return isinstance(moment, datetime) and moment.utcoffset() is not None


def _checked_token(token: object) -> str:
    if not isinstance(token, str) or not token.strip():
        raise InvalidArgumentError("auth", "a token must be a str that is not blank")
    if any("\ud800" <= character <= "\udfff" for character in token):
        raise InvalidArgumentError("auth", "a token must be valid Unicode")
    if has_control_characters(token):
        raise InvalidArgumentError(
            "auth",
            "a token must hold no line ends or other control characters;"
            " write token.strip() if it comes from a file",
        )
    return token
