"""The token to send for each user: given, or fetched, one fetch per user at a time."""

from __future__ import annotations

import asyncio
import functools

from ..errors import AccessDeniedError, InvalidArgumentError
from .auth import Auth, AuthToken, TokenProvider, checked_auth
from .safe_log import SafeLogger

__all__ = ["Tokens"]

logger: SafeLogger = SafeLogger("presence_async.client")

_UNAUTHORIZED = 401
_FETCH_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 1.0
_MOST_IDLE = 1000


class Tokens:
    """The token to send for each user.

    Args:
        auth: The token of every user, or a function that fetches a user's token.

    Attributes:
        are_used: True if requests may carry a token.
    """

    def __init__(self, auth: Auth) -> None:
        self.are_used: bool = auth is not None
        self._use(auth)
        self._set_for: dict[str, AuthToken] = {}
        self._idle: dict[str, AuthToken] = {}
        self._fetched: dict[str, AuthToken] = {}
        self._fetches: dict[str, _Fetch] = {}
        # Of each user, with those that were cancelled and have not ended yet.
        self._tasks: dict[str, set[asyncio.Task[None]]] = {}

    def __repr__(self) -> str:
        return f"<Tokens of {len(self)} users>"

    def __len__(self) -> int:
        """Return the number of users it keeps anything of."""
        kept = (self._set_for, self._idle, self._fetched, self._fetches, self._tasks)
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
            AccessDeniedError: The provider raised an error, took too long or returned
                something that is no token.

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
            # A token may also have been set since the fetch ended, an instant ago.
            if not fetch.is_outdated and self.at_hand(user_id) is None:
                return fetch.result()

    def refuse(self, user_id: str, token: AuthToken | None) -> bool:
        """Drop a token that the service refused; return True if there is another.

        Args:
            user_id: The user.
            token: The token that was refused; ``None`` if the request carried none.
        """
        if self._provider is None:
            # Another token may have been set while the refused one was on its way.
            return self.at_hand(user_id) is not token
        for kept in (self._set_for, self._fetched):
            if token is not None and kept.get(user_id) is token:
                del kept[user_id]
        return True

    def set(self, token: Auth, user_id: str | None) -> None:
        """Use another token or provider, for one user or for all.

        Raises:
            InvalidArgumentError: The token is invalid, or a user is named together with
                anything but a token.
        """
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
        if fetch is not None:
            # It goes on, since the user's next call must not ask the provider again.
            fetch.is_needed = fetch.waiting > 0
        token = self._set_for.pop(user_id, None)
        if token is not None:
            self._idle[user_id] = token
            if len(self._idle) > _MOST_IDLE:
                del self._idle[next(iter(self._idle))]

    async def close(self) -> None:
        """Cancel every fetch and wait for their end."""
        tasks = [task for tasks in self._tasks.values() for task in tasks]
        for task in tasks:
            task.cancel()
        if tasks:
            _, hanging = await asyncio.wait(tasks, timeout=_END_TIMEOUT_S)
            if hanging:
                logger.warning("the token provider goes on though it was cancelled")

    def _use(self, auth: Auth) -> None:
        self._common = AuthToken(value=auth) if isinstance(auth, str) else None
        self._provider = auth if callable(auth) else None

    def _start_fetch(self, provider: TokenProvider, user_id: str) -> _Fetch:
        # Noted before the task starts, which an eager task does inside create_task.
        fetch = self._fetches[user_id] = _Fetch()
        tasks = self._tasks.setdefault(user_id, set())
        task = asyncio.get_running_loop().create_task(
            fetch.run(provider, user_id, after=frozenset(tasks)), name="presence token"
        )
        fetch.task = task
        tasks.add(task)
        task.add_done_callback(functools.partial(self._ended, user_id, fetch))
        return fetch

    def _ended(self, user_id: str, fetch: _Fetch, task: asyncio.Task[None]) -> None:
        self._tasks[user_id].discard(task)
        if not self._tasks[user_id]:
            del self._tasks[user_id]
        # An outdated fetch is no longer registered, so it cannot overwrite what was
        # set after it had begun.
        if self._fetches.get(user_id) is fetch:
            del self._fetches[user_id]
            if fetch.token is not None and fetch.is_needed:
                self._fetched[user_id] = fetch.token
        fetch.over.set()

    def _outdate_fetch(self, user_id: str) -> None:
        """Let those who wait for a fetch look again, and cancel it."""
        fetch = self._fetches.pop(user_id, None)
        if fetch is not None:
            fetch.outdate()


class _Fetch:
    """One call of the provider, shared by all callers that need its token.

    It has a task of its own, so that a caller who gives up neither ends it for the
    others nor makes the next one start another.

    Attributes:
        over: Set when it has ended, or is outdated.
        task: The task that calls the provider.
        token: The token that came.
        waiting: The number of callers that wait for it.
        is_needed: False if the user was forgotten after the last caller came.
        is_outdated: True if other tokens were set since it began.
    """

    def __init__(self) -> None:
        self.over: asyncio.Event = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.token: AuthToken | None = None
        self.waiting: int = 0
        self.is_needed: bool = True
        self.is_outdated: bool = False
        self._cause = "it was interrupted"

    async def run(
        self,
        provider: TokenProvider,
        user_id: str,
        *,
        after: frozenset[asyncio.Task[None]],
    ) -> None:
        """Call the provider and record its token or its failure.

        Args:
            provider: The provider.
            user_id: The user.
            after: Cancelled calls for the same user, which get a second to end.
        """
        if after:
            await asyncio.wait(after, timeout=_END_TIMEOUT_S)
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
        self.is_needed = True
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
