"""Tokens: one fetch per user at a time, ahead of expiry, and after a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

import attrs

from ..errors import AccessDeniedError, InvalidArgumentError
from . import wall_clock

__all__ = ["Auth", "AuthToken", "TokenProvider", "Tokens", "checked_auth"]

_UNAUTHORIZED = 401
_FETCH_AHEAD_S = 30.0


@attrs.frozen(kw_only=True)
class AuthToken:
    """A token with the time it ends.

    Attributes:
        value: The token itself; hidden from ``repr``.
        expires_at: An aware datetime, or ``None`` when it does not say; a new token
            is fetched 30 s ahead.
    """

    value: str = attrs.field(repr=False)
    expires_at: datetime | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse a naive datetime, which names no point in time."""
        _checked_token(self.value)
        if self.expires_at is not None and not _is_aware(self.expires_at):
            raise InvalidArgumentError(
                "expires_at", "must be an aware datetime; write datetime.now(tz=UTC)"
            )

    @property
    def is_due(self) -> bool:
        """Whether it is time to fetch the next one."""
        if self.expires_at is None:
            return False
        return wall_clock.now_s() > self.expires_at.timestamp() - _FETCH_AHEAD_S


TokenProvider: TypeAlias = Callable[[str], Awaitable[str | AuthToken]]
Auth: TypeAlias = str | TokenProvider | None


def checked_auth(auth: object) -> None:
    """Refuse what is neither a token, nor a function, nor ``None``.

    Raises:
        InvalidArgumentError: As said; never shows the value.
    """
    if isinstance(auth, str):
        _checked_token(auth)
    elif auth is not None and not callable(auth):
        raise InvalidArgumentError(
            "auth", "must be a token (str) or an async function of the user id"
        )


class Tokens:
    """The token to send for each user.

    Attributes:
        are_used: Whether any request carries one.

    Cancellation: a cancelled fetch leaves the next caller to fetch.
    """

    def __init__(self, auth: Auth) -> None:
        self._of_user: dict[str, AuthToken] = {}
        self.are_used: bool = auth is not None
        self._use(auth)
        self._fetching: dict[str, asyncio.Lock] = {}

    def __repr__(self) -> str:
        return f"<Tokens of {len(self._of_user)} users>"

    def at_hand(self, user_id: str) -> AuthToken | None:
        """Return a token that needs no fetching, or ``None``."""
        token = self._of_user.get(user_id, self._common)
        return None if token is None or token.is_due else token

    async def fetch(self, user_id: str) -> AuthToken | None:
        """Fetch a token, or wait for whoever is fetching that user's.

        Raises:
            AccessDeniedError: The provider raised or returned something else.
        """
        provider = self._provider
        if provider is None:
            return None
        lock = self._fetching.setdefault(user_id, asyncio.Lock())
        try:
            async with lock:
                # Whoever held the lock before may have fetched it.
                token = self.at_hand(user_id)
                if token is None:
                    token = self._of_user[user_id] = await _fetched(provider, user_id)
                return token
        finally:
            self._fetching.pop(user_id, None)

    def refuse(self, user_id: str, token: AuthToken | None) -> bool:
        """Forget a token the service refused; tells whether another may be had."""
        if self._provider is None or token is None:
            return False
        if self._of_user.get(user_id) is token:
            del self._of_user[user_id]
        return True

    def set(self, token: Auth, user_id: str | None) -> None:
        """Use another token or provider, for one user or for all."""
        checked_auth(token)
        self.are_used = True
        if user_id is None:
            self._use(token)
            self._of_user.clear()
        elif isinstance(token, str):
            self._of_user[user_id] = AuthToken(value=token)
        else:
            raise InvalidArgumentError("token", "must be a str when a user is named")

    def forget(self, user_id: str | None) -> None:
        """Fetch anew at the next request."""
        if user_id is None:
            self._of_user.clear()
        else:
            self._of_user.pop(user_id, None)

    def _use(self, auth: Auth) -> None:
        self._common = AuthToken(value=auth) if isinstance(auth, str) else None
        self._provider = auth if callable(auth) else None


async def _fetched(provider: TokenProvider, user_id: str) -> AuthToken:
    try:
        token = await provider(user_id)
        return token if isinstance(token, AuthToken) else AuthToken(value=token)
    except Exception as error:  # noqa: BLE001  # a user's function may raise anything
        cause = f"{type(error).__name__}: {error}"
    raise AccessDeniedError(
        "the token provider failed",
        status=_UNAUTHORIZED,
        message="no token",
        service="token provider",
        cause=cause,
    )


def _is_aware(moment: object) -> bool:
    return isinstance(moment, datetime) and moment.utcoffset() is not None


def _checked_token(token: object) -> str:
    if not isinstance(token, str) or not token.strip():
        raise InvalidArgumentError("auth", "a token must be a str that is not blank")
    if any("\ud800" <= character <= "\udfff" for character in token):
        raise InvalidArgumentError("auth", "a token must be valid Unicode")
    return token
