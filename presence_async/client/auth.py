"""Tokens: one fetch per user at a time, ahead of expiry, and after a refusal."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

import attrs

from ..errors import AccessDeniedError, InvalidArgumentError
from . import wall_clock

__all__ = ["Auth", "AuthToken", "TokenProvider", "Tokens", "checked_auth"]

logger: logging.Logger = logging.getLogger("presence_async.client")

_UNAUTHORIZED = 401
_FETCH_AHEAD_S = 30.0
_FETCH_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 1.0
_MOST_IDLE = 1000


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
        """Whether it is time to fetch the next token."""
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


class Tokens:
    """The token to send for each user.

    Args:
        auth: The token of every user, or a function that fetches a user's token.

    Attributes:
        are_used: Whether any request carries a token.
    """

    def __init__(self, auth: Auth) -> None:
        self.are_used: bool = auth is not None
        self._use(auth)
        self._set_for: dict[str, AuthToken] = {}
        self._idle: dict[str, AuthToken] = {}
        self._fetched: dict[str, AuthToken] = {}
        self._fetches: dict[str, _Fetch] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Tokens of {len(self)} users>"

    def __len__(self) -> int:
        """Return how many users it keeps something of."""
        kept = (self._set_for, self._idle, self._fetched, self._fetches)
        return len(set().union(*kept))

    def at_hand(self, user_id: str) -> AuthToken | None:
        """Return a token that needs no fetching, or ``None``."""
        if user_id in self._idle:
            self._set_for[user_id] = self._idle.pop(user_id)
        token = self._set_for.get(user_id) or self._fetched.get(user_id, self._common)
        return None if token is None or token.is_due else token

    async def fetch(self, user_id: str) -> AuthToken | None:
        """Fetch a user's token; callers at the same time share one fetch.

        Raises:
            AccessDeniedError: The provider raised, took too long or returned
                something else.

        Cancellation: ends the waiting; the fetch goes on for the next caller.
        """
        while True:
            token = self.at_hand(user_id)
            if token is not None or self._provider is None:
                return token
            fetch = self._fetches.get(user_id) or self._start_fetch(
                self._provider, user_id
            )
            await fetch.wait()
            if not fetch.is_outdated:
                return fetch.result()

    def refuse(self, user_id: str, token: AuthToken | None) -> bool:
        """Drop a token that the service refused; return True if another may be had."""
        if token is None:
            return False
        if self._provider is not None:
            for kept in (self._set_for, self._fetched):
                if kept.get(user_id) is token:
                    del kept[user_id]
            return True
        # Another token may have been set while the refused one was on its way.
        return self.at_hand(user_id) not in {None, token}

    def set(self, token: Auth, user_id: str | None) -> None:
        """Use another token or provider, for one user or for all."""
        checked_auth(token)
        if user_id is None:
            self._use(token)
        elif not isinstance(token, str):
            raise InvalidArgumentError("token", "must be a str when a user is named")
        self.refresh(user_id)
        self.are_used = True
        if user_id is not None and isinstance(token, str):
            self._set_for[user_id] = AuthToken(value=token)

    def refresh(self, user_id: str | None) -> None:
        """Drop the tokens of one user or of all, so that the next request fetches."""
        for kept in (self._set_for, self._idle, self._fetched):
            if user_id is None:
                kept.clear()
            else:
                kept.pop(user_id, None)
        for user in [*self._fetches] if user_id is None else [user_id]:
            self._outdate_fetch(user)

    def forget(self, user_id: str) -> None:
        """Release what is kept of a user for whom there is nothing left to do.

        What the provider gave can be fetched again. A token set for the user cannot,
        and is needed when a join is tried again: the newest of these are kept.
        """
        self._fetched.pop(user_id, None)
        fetch = self._fetches.get(user_id)
        if fetch is not None and not fetch.waiting:
            self._outdate_fetch(user_id)
        token = self._set_for.pop(user_id, None)
        if token is not None:
            self._idle[user_id] = token
            if len(self._idle) > _MOST_IDLE:
                del self._idle[next(iter(self._idle))]

    async def close(self) -> None:
        """Cancel every fetch and wait for their end."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            _, hanging = await asyncio.wait(self._tasks, timeout=_END_TIMEOUT_S)
            if hanging:
                logger.warning("the token provider goes on though it was cancelled")

    def _use(self, auth: Auth) -> None:
        self._common = AuthToken(value=auth) if isinstance(auth, str) else None
        self._provider = auth if callable(auth) else None

    def _start_fetch(self, provider: TokenProvider, user_id: str) -> _Fetch:
        # Noted before the task starts, which an eager task does inside create_task.
        fetch = self._fetches[user_id] = _Fetch()
        task = asyncio.get_running_loop().create_task(
            fetch.run(provider, user_id), name="presence token"
        )
        fetch.task = task
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._ended, user_id, fetch))
        return fetch

    def _ended(self, user_id: str, fetch: _Fetch, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # An outdated fetch is no longer registered, so it cannot overwrite what was
        # set after it had begun.
        if self._fetches.get(user_id) is fetch:
            del self._fetches[user_id]
            if fetch.token is not None:
                self._fetched[user_id] = fetch.token
        fetch.over.set()

    def _outdate_fetch(self, user_id: str) -> None:
        """Let those who wait for a fetch look again, and cancel it."""
        fetch = self._fetches.pop(user_id, None)
        if fetch is not None:
            fetch.outdate()


class _Fetch:
    """One call of the provider, which all who need that token wait for.

    It has a task of its own, so that a caller who gives up neither ends it for the
    others nor makes the next one start another.
    """

    def __init__(self) -> None:
        self.over: asyncio.Event = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.token: AuthToken | None = None
        self.waiting: int = 0
        self.is_outdated: bool = False
        self._cause = "it was interrupted"

    async def run(self, provider: TokenProvider, user_id: str) -> None:
        """Call the provider and note what came of it."""
        # Without a limit a provider that hangs once would lock its user out, since
        # every later caller shares this fetch.
        limit = asyncio.timeout(_FETCH_TIMEOUT_S)
        try:
            async with limit:
                token = await provider(user_id)
            if not isinstance(token, AuthToken):
                token = AuthToken(value=token)
            self.token = token
        except Exception as error:  # noqa: BLE001  # a user's function may raise anything
            self._cause = f"{type(error).__name__}: {error}"
            if isinstance(error, TimeoutError) and limit.expired():
                self._cause = f"no answer within {_FETCH_TIMEOUT_S:g} s"

    async def wait(self) -> None:
        """Wait until it is over or outdated."""
        self.waiting += 1
        try:
            await self.over.wait()
        finally:
            self.waiting -= 1

    def result(self) -> AuthToken:
        """Return the token.

        Raises:
            AccessDeniedError: There is none; a new error for each caller, who fills in
                what it was doing.
        """
        if self.token is not None:
            return self.token
        raise AccessDeniedError(
            "the token provider failed",
            status=_UNAUTHORIZED,
            message="no token",
            service="token provider",
            cause=self._cause,
        )

    def outdate(self) -> None:
        """Let those who wait look again, and cancel the call."""
        self.is_outdated = True
        self.over.set()
        task = self.task
        # A provider may set a token itself before it returns.
        if task is not None and asyncio.current_task(task.get_loop()) is not task:
            task.cancel()


def _is_aware(moment: object) -> bool:
    return isinstance(moment, datetime) and moment.utcoffset() is not None


def _checked_token(token: object) -> str:
    if not isinstance(token, str) or not token.strip():
        raise InvalidArgumentError("auth", "a token must be a str that is not blank")
    if any("\ud800" <= character <= "\udfff" for character in token):
        raise InvalidArgumentError("auth", "a token must be valid Unicode")
    return token
