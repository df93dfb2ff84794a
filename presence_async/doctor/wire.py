"""Wire: one request at a time, without retries, heartbeats or leases around it.

A ``PresenceClient`` repeats, merges and paces what it is told. A measurement has to
know what was sent, when, and over which connection.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from ..client import wall_clock
from ..client.call import Answer, Params
from ..client.config import PresenceConfig
from ..client.observers import Observers
from ..client.pipeline import RequestPipeline
from ..client.retry import NoRetry
from ..client.tokens import Tokens
from ..client.transport import Transport
from ..errors import DeadlineError, ReplyFormatError, ServiceError
from ..protocol.exchange import HttpReply, HttpRequest, Operation
from ..protocol.identity import Identity
from ..protocol.json_codec import JsonError, decode
from ..protocol.timetoken import TIMETOKENS_PER_S

__all__ = ["Repeatable", "Wire"]

ReplyT = TypeVar("ReplyT")

_PASSING = frozenset({429, *range(500, 600)})
_AGE = re.compile(r"[0-9]{1,9}")
_TIME = HttpRequest(path="/time/0")
_TIME_REPLY = msgspec.json.Decoder(list[int])


class Wire:
    """Connections of its own to a service: ``async with Wire(config) as wire``.

    Args:
        config: Keys, user, token and limits.

    Attributes:
        slowest_s: The longest that an answer has taken; whoever asks may set it to 0.
    """

    def __init__(self, config: PresenceConfig) -> None:
        self.slowest_s: float = 0.0
        self._config = config
        self._tokens = Tokens(config.auth)
        self._transport = Transport(config, None)
        self._identity = Identity(
            subscribe_key=config.subscribe_key,
            user_id=config.user_id,
            publish_key=config.publish_key,
            secret_key=config.secret_key,
            query_params=tuple(config.query_params.items()),
        )
        self._pipeline = RequestPipeline(
            config, self._identity, self._transport, self._tokens, Observers()
        )

    async def __aenter__(self) -> Self:
        self._pipeline.open()
        await self._transport.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pipeline.close()
        try:
            await self._tokens.close()
        finally:
            await self._transport.close()

    async def send(
        self,
        operation: Operation[ReplyT],
        *,
        params: Params = (),
        timeout_s: float | None = None,
    ) -> Answer[ReplyT]:
        """Send one request and return its answer, and when it was sent.

        Args:
            operation: What to ask.
            params: Further query parameters; the library's own are allowed.
            timeout_s: Seconds for the request; ``None``: the config's
                ``attempt_timeout_s``.

        Raises:
            RequestError: As any call, without secrets.

        Cancellation: cuts the connection.
        """
        limit_s = timeout_s or self._config.attempt_timeout_s
        call = self._pipeline.call(
            operation,
            budget=self._pipeline.budget(limit_s),
            retry=NoRetry(),
            attempt_timeout_s=limit_s,
            params=params,
        )
        with self._timed():
            return await self._pipeline.send(call)

    async def ask(self, operation: Operation[ReplyT], **options: Any) -> ReplyT:  # noqa: ANN401  # as send
        """Send one request and return the value of its answer; as ``send``."""
        return (await self.send(operation, **options)).value

    async def service_time_s(self) -> float:
        """Return the service's Unix time in seconds, from ``/time/0``.

        Raises:
            ServiceError: 429 or a 5xx.
        RequestError: No answer, or one of another kind.
        """
        reply = await self._reply(_TIME)
        words = f"/time/0 was answered {reply.status}, without a time"
        if reply.status in _PASSING:
            raise ServiceError(words, status=reply.status, operation="time")
        with suppress(JsonError, ValueError, OverflowError):
            ticks, *_ = decode(reply.body, _TIME_REPLY)
            return ticks / TIMETOKENS_PER_S
        raise ReplyFormatError(words, operation="time")

    async def repeatable(self, operation: Operation[Any]) -> Repeatable:
        """Return an operation as a request that can be sent again to the letter."""
        user_id = operation.acting_user_id or self._config.user_id
        token = await self._tokens.fetch(user_id) if self._tokens.are_used else None
        request = self._identity.stamp(
            operation.to_request(),
            user_id=user_id,
            token=None if token is None else token.value,
            request_id=str(uuid.uuid4()),
            timestamp_s=int(wall_clock.now_s()),
        )
        return Repeatable(self._reply, request)

    async def _reply(self, request: HttpRequest) -> HttpReply:
        limit_s = self._config.attempt_timeout_s
        limit = asyncio.timeout(limit_s)
        try:
            async with limit:
                with self._timed():
                    return await self._transport.send(request)
        except TimeoutError:
            if not limit.expired():
                raise
        raise DeadlineError(f"no answer within {limit_s:g} s", operation="time")

    @contextmanager
    def _timed(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        yield
        self.slowest_s = max(self.slowest_s, loop.time() - started_s)


class Repeatable:
    """A request that is the same each time it is sent, which a cache may answer."""

    def __init__(
        self,
        send: Callable[[HttpRequest], Coroutine[Any, Any, HttpReply]],
        request: HttpRequest,
    ) -> None:
        self._send = send
        self._request = request

    async def age_s(self) -> int:
        """Send it, and return the ``Age`` of the answer: 0 if no cache gave it.

        An ``Age`` that is no number counts as 0, too.

        Raises:
            TransportError: No answer came.
        """
        reply = await self._send(self._request)
        age = reply.headers.get("age", "")
        return int(age) if _AGE.fullmatch(age) else 0
