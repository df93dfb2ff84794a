"""SubscribeRequests: the two requests of an event stream, handshake and poll."""

from __future__ import annotations

from typing import NamedTuple

from ...errors import AccessDeniedError
from ...protocol.messages import Message
from ...protocol.names import PRESENCE_SUFFIX
from ...protocol.subscribe import SubscribeOperation
from ..aio import Gate
from ..call import Params
from ..config import PresenceConfig
from ..pipeline import Budget, RequestPipeline
from ..retry import NoRetry, RetryPolicy
from .progress import Cursor
from .subscription import Listed

__all__ = ["Reply", "SubscribeRequests"]

LONGEST_CHECK_S = 8.0
"""With the longest pause, 5 s: the end of an outage is noticed within 15 s."""

_NO_LIMIT = 1_000_000


class Reply(NamedTuple):
    """The answer to a handshake or a poll.

    Attributes:
        cursor: Where the next poll goes on.
        messages: What was published.
        sent_at_s: Loop time when the request was sent.
    """

    cursor: Cursor
    messages: tuple[Message, ...]
    sent_at_s: float


class SubscribeRequests:
    """Sends handshakes and polls, past gates of their own.

    A poll is held for minutes, so polls wait for nothing and nothing for them, unless
    the session's connector is limited.

    Args:
        config: The limits.
        pipeline: Sends the requests.
    """

    def __init__(self, config: PresenceConfig, pipeline: RequestPipeline) -> None:
        self._config = config
        self._pipeline = pipeline
        self._handshakes = pipeline.event_gate(config.max_connections)
        self._polls = pipeline.event_gate(_NO_LIMIT)

    async def handshake(
        self,
        listed: Listed,
        params: Params,
        budget: Budget,
        retry: RetryPolicy | None,
    ) -> Reply:
        """Ask where to begin, which the service answers at once.

        Args:
            listed: Channels and groups.
            params: Sent beside the config's query parameters.
            budget: Covers all attempts.
            retry: The retry policy; ``None``: the config's.

        Raises:
            RequestError: As any call.

        Cancellation: ends at once.
        """
        return await self._ask(
            listed,
            params,
            budget=budget,
            gate=self._handshakes,
            attempt_timeout_s=self._config.attempt_timeout_s,
            retry=retry,
        )

    async def check(self, listed: Listed, params: Params) -> Reply:
        """Ask whether the service answers, by a handshake of one short attempt.

        Raises:
            RequestError: The service cannot be reached, or refuses.

        Cancellation: ends at once.
        """
        timeout_s = min(LONGEST_CHECK_S, self._config.attempt_timeout_s)
        return await self._ask(
            listed,
            params,
            budget=self._pipeline.budget(2 * timeout_s),
            gate=self._handshakes,
            attempt_timeout_s=timeout_s,
            retry=NoRetry(),
        )

    async def poll(self, listed: Listed, params: Params, cursor: Cursor) -> Reply:
        """Wait for what is published after a cursor, in one attempt.

        Raises:
            RequestError: As any call; also after a silence of ``poll_timeout_s``.

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
        call = self._pipeline.call(
            operation,
            budget=budget,
            retry=retry,
            gate=gate,
            attempt_timeout_s=attempt_timeout_s,
            params=params,
            # A poll that breaks may mean another service behind the same name, so the
            # loop checks before it polls again.
            repeats_stale=cursor is None,
            is_background=True,
        )
        try:
            answer = await self._pipeline.send(call)
        except AccessDeniedError as error:
            error.channels = _without_suffix(error.channels)
            error.channel_groups = _without_suffix(error.channel_groups)
            raise
        delivery = answer.value
        return Reply(
            cursor=Cursor(delivery.timetoken, delivery.region),
            messages=delivery.messages,
            sent_at_s=answer.sent_at_s,
        )


def _without_suffix(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple([name.removesuffix(PRESENCE_SUFFIX) for name in names])
