"""Subscriber: the two requests of an event stream, handshake and poll."""

from __future__ import annotations

import math
from typing import NamedTuple

from ...errors import AccessDeniedError
from ...protocol.messages import Message
from ...protocol.names import PRESENCE_SUFFIX
from ...protocol.subscribe import SubscribeOperation
from ..aio import Gate
from ..config import PresenceConfig
from ..pipeline import Budget, RequestPipeline
from ..retry import NoRetry, RetryPolicy

__all__ = ["Cursor", "Params", "Reply", "Subscriber"]

Params = tuple[tuple[str, str], ...]
Listed = tuple[tuple[str, ...], tuple[str, ...]]

_NO_LIMIT = 1_000_000


class Cursor(NamedTuple):
    """Where a poll goes on: timetoken and region."""

    timetoken: int
    region: int


class Reply(NamedTuple):
    """What came back.

    Attributes:
        cursor: Where the next poll goes on.
        messages: What was published.
        sent_at_s: Loop time when it was asked for.
    """

    cursor: Cursor
    messages: tuple[Message, ...]
    sent_at_s: float


class Subscriber:
    """Sends handshakes and polls, past gates of their own.

    A poll is held for minutes, so polls wait for nothing and nothing for them.

    Args:
        config: Limits.
        pipeline: Sends.
    """

    def __init__(self, config: PresenceConfig, pipeline: RequestPipeline) -> None:
        self._config = config
        self._pipeline = pipeline
        self._handshakes = Gate(config.max_connections)
        self._polls = Gate(_NO_LIMIT)

    async def handshake(
        self,
        listed: Listed,
        params: Params,
        *,
        budget: Budget | None = None,
        longest_attempt_s: float = math.inf,
    ) -> Reply:
        """Ask where to begin, which the service answers at once.

        Args:
            listed: Channels and groups.
            params: Sent beside the config's query parameters.
            budget: Covers all attempts; ``None``: one attempt.
            longest_attempt_s: For each attempt, if the config allows more.

        Raises:
            RequestError: As any call.

        Cancellation: ends at once.
        """
        timeout_s = min(longest_attempt_s, self._config.attempt_timeout_s)
        return await self._ask(
            listed,
            params,
            budget=budget or self._pipeline.budget(2 * timeout_s),
            gate=self._handshakes,
            attempt_timeout_s=timeout_s,
            retry=None if budget else NoRetry(),
        )

    async def poll(self, listed: Listed, params: Params, cursor: Cursor) -> Reply:
        """Wait for what is published after a cursor; one attempt.

        Raises:
            RequestError: As any call; silence longer than ``poll_timeout_s``, too.

        Cancellation: ends at once; the same poll can be repeated.
        """
        return await self._ask(
            listed,
            params,
            cursor=cursor,
            budget=self._pipeline.budget(2 * self._config.poll_timeout_s),
            gate=self._polls,
            attempt_timeout_s=self._config.poll_timeout_s,
            retry=NoRetry(),
        )

    async def _ask(
        self,
        listed: Listed,
        params: Params,
        *,
        budget: Budget,
        gate: Gate,
        attempt_timeout_s: float,
        retry: RetryPolicy | None,
        cursor: Cursor | None = None,
    ) -> Reply:
        channels, groups = listed
        operation = SubscribeOperation(
            subscribe_key=self._config.subscribe_key,
            user_id=self._config.user_id,
            channels=channels,
            channel_groups=groups,
            timetoken=cursor.timetoken if cursor else 0,
            region=cursor.region if cursor else None,
        )
        try:
            answer = await self._pipeline.send(
                operation,
                budget=budget,
                retry=retry,
                gate=gate,
                attempt_timeout_s=attempt_timeout_s,
                params=params,
                # A poll that breaks may mean another service behind the same name.
                repeats_stale=cursor is None,
            )
        except AccessDeniedError as error:
            error.channels = _plain(error.channels)
            error.channel_groups = _plain(error.channel_groups)
            raise
        delivery = answer.value
        return Reply(
            cursor=Cursor(delivery.timetoken, delivery.region),
            messages=delivery.messages,
            sent_at_s=answer.sent_at_s,
        )


def _plain(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names as callers know them."""
    return tuple([name.removesuffix(PRESENCE_SUFFIX) for name in names])
