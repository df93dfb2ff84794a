"""Sight: what can be seen of a channel, by its events and by asking who is there."""

from __future__ import annotations

import asyncio
import itertools
import math
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from ..client.aio import TaskOwner
from ..client.client import PresenceClient
from ..client.config import PresenceConfig
from ..client.event_stream import EventStream
from ..errors import RequestError, ServiceError
from ..protocol.events import IntervalEvent, JoinEvent, PresenceEvent, UserEvent
from ..protocol.here_now import HereNowOperation
from .bounds import Bounds
from .limits import ASK_EVERY_S
from .wire import ONCE, Wire

__all__ = ["Seen", "Sight"]

FoundT = TypeVar("FoundT")

_LOOK_S = 2.0
_ENDS = frozenset({"leave", "timeout"})


class Seen(NamedTuple):
    """An event, and the loop time of its arrival."""

    at_s: float
    event: PresenceEvent


class _Look(NamedTuple):
    """Who was there at some time between question and answer."""

    asked_s: float
    answered_s: float
    user_ids: frozenset[str]


class Sight:
    """Watches a channel: ``async with Sight(config, wire, channel) as sight``.

    It reads the events, and asks who is there while somebody waits for a user to be
    gone: one of the two is enough, since a busy channel has no events of single users,
    and a token may allow only one of them.

    Args:
        config: Keys, user and token.
        wire: Asks who is there.
        channel: The channel.

    Attributes:
        refusal: Why there are no events; ``None``: there are.
        seen: The events so far.
    """

    def __init__(self, config: PresenceConfig, wire: Wire, channel: str) -> None:
        self._config = config
        self._wire = wire
        self._channel = channel
        self._stack = AsyncExitStack()
        self._tasks = TaskOwner()
        self._changed = asyncio.Event()
        self._waiting = 0
        self._look = _Look(-math.inf, -math.inf, frozenset())
        # When the last question was put whose answer listed a user.
        self._listed_s: dict[str, float] = {}
        self._known: set[str] = set()
        self._numbers = itertools.count()
        self._run = secrets.token_hex(4)
        self.refusal: RequestError | None = None
        self.seen: list[Seen] = []

    async def __aenter__(self) -> Self:
        client = PresenceClient(self._config)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(client)
            stack.push_async_callback(self._tasks.finish)
            stack.callback(self._tasks.abort)
            stream = client.events(self._channel)
            try:
                await stack.enter_async_context(stream)
            except ServiceError as error:
                if error.is_transient:
                    raise
                self.refusal = error
            else:
                self._tasks.start(self._read(stream), name="doctor reads events")
            self._tasks.start(self._ask(), name="doctor asks who is there")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    # Waiting.

    async def event(
        self, is_it: Callable[[PresenceEvent], bool], since_s: float, within_s: float
    ) -> Seen | None:
        """Return the first event of a kind; ``None`` if none comes in time.

        Args:
            is_it: Whether it is the one.
            since_s: The loop time from which on it may have arrived.
            within_s: Seconds from then on.

        Cancellation: ends the waiting.
        """

        def found() -> Seen | None:
            later = (seen for seen in self.seen if seen.at_s >= since_s)
            return next((seen for seen in later if is_it(seen.event)), None)

        return await self._until(found, since_s + within_s)

    async def of_user(
        self, user_id: str, action: str, since_s: float, within_s: float
    ) -> float | None:
        """Return when an event of a user arrived; ``None``: not in time."""

        def is_it(event: PresenceEvent) -> bool:
            is_theirs = isinstance(event, UserEvent) and event.user_id == user_id
            return is_theirs and event.action == action

        seen = await self.event(is_it, since_s, within_s)
        return None if seen is None else seen.at_s

    async def there(self, user_id: str, within_s: float) -> bool:
        """Wait until a user is seen to be there; return False if that takes too long.

        Cancellation: ends the waiting.
        """

        def found() -> bool | None:
            return True if user_id in self._known else None

        return await self._asking(found, _now_s() + within_s) is not None

    async def gone(
        self, user_id: str, since_s: float, within_s: float
    ) -> Bounds | None:
        """Return when a user who was seen was no longer there; ``None``: not in time.

        Args:
            user_id: The user.
            since_s: The loop time from which on it may have happened.
            within_s: Seconds from then on.

        Cancellation: ends the waiting.
        """

        def found() -> Bounds | None:
            latest_s = self._gone_by_s(user_id, since_s)
            if latest_s is None:
                return None
            listed_s = max(since_s, self._listed_s.get(user_id, since_s))
            return Bounds(min(listed_s, latest_s), latest_s)

        return await self._asking(found, since_s + within_s)

    def _gone_by_s(self, user_id: str, since_s: float) -> float | None:
        for at_s, event in self.seen:
            is_theirs = isinstance(event, UserEvent) and event.user_id == user_id
            if at_s >= since_s and is_theirs and event.action in _ENDS:
                return at_s
        # Who has just come may not be listed yet.
        is_absent = user_id in self._known and user_id not in self._look.user_ids
        is_since = self._look.asked_s > since_s
        return self._look.answered_s if is_absent and is_since else None

    async def is_there(self, user_id: str, at_s: float, within_s: float) -> bool:
        """Return True once an answer to a later question lists a user.

        Args:
            user_id: The user.
            at_s: The loop time from which on it is asked.
            within_s: Seconds after which it is given up, with False.

        Cancellation: ends the waiting.
        """

        def found() -> bool | None:
            if self._look.asked_s <= at_s:
                return None
            return user_id in self._look.user_ids

        return await self._asking(found, _now_s() + within_s) or False

    async def _asking(
        self, found: Callable[[], FoundT | None], deadline_s: float
    ) -> FoundT | None:
        """Wait, and ask meanwhile who is there."""
        self._waiting += 1
        self._wake()
        try:
            return await self._until(found, deadline_s)
        finally:
            self._waiting -= 1

    async def _until(
        self, found: Callable[[], FoundT | None], deadline_s: float
    ) -> FoundT | None:
        limit = asyncio.timeout_at(deadline_s)
        try:
            async with limit:
                while (result := found()) is None:
                    await self._changed.wait()
        except TimeoutError:
            if not limit.expired():
                raise
            return found()
        return result

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # Looking.

    async def _read(self, stream: EventStream) -> None:
        async for event in stream:
            if isinstance(event, (UserEvent, IntervalEvent)):
                self.seen.append(Seen(_now_s(), event))
                if isinstance(event, JoinEvent):
                    self._known.add(event.user_id)
                self._wake()

    async def _ask(self) -> None:
        while True:
            while not self._waiting:
                await self._changed.wait()
            next_s = _now_s() + ASK_EVERY_S
            with suppress(RequestError):
                await self._ask_once()
            await asyncio.sleep(next_s - _now_s())

    async def _ask_once(self) -> None:
        # A parameter of its own, so that no cache can answer.
        number = f"{self._run}-{next(self._numbers)}"
        operation = HereNowOperation(
            subscribe_key=self._config.subscribe_key, channels=(self._channel,)
        )
        answer = await self._wire.send(
            operation, params=(("doctor", number),), retry=ONCE, timeout_s=_LOOK_S
        )
        user_ids = frozenset(answer.value.channels[self._channel].user_ids or ())
        self._look = _Look(answer.sent_at_s, answer.heard_at_s, user_ids)
        self._known |= user_ids
        self._listed_s.update(dict.fromkeys(user_ids, answer.sent_at_s))
        self._wake()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
