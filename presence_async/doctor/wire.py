"""Wire: one request at a time, without heartbeats or leases around it.

A ``PresenceClient`` merges and paces what it is told. A measurement has to know what
was sent, when, and over which connection. What fails for a moment is sent again as a
client's calls are, by the config's ``retry``.
"""

from __future__ import annotations

import asyncio
import math
import re
import uuid
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

from ..client import wall_clock
from ..client.call import Params
from ..client.config import PresenceConfig
from ..client.observers import Observers
from ..client.pipeline import RequestPipeline
from ..client.retry import NoRetry, RetryPolicy
from ..client.tokens import Tokens
from ..client.transport import Transport
from ..errors import DeadlineError, ServiceError
from ..protocol.exchange import HttpReply, HttpRequest, Operation
from ..protocol.identity import Identity
from .bounds import Bounds

__all__ = ["ONCE", "Heard", "Repeatable", "Wire"]

ReplyT = TypeVar("ReplyT")

_SUCCESS = 200
_AGE = re.compile(r"[0-9]{1,9}")

ONCE: RetryPolicy = NoRetry()
"""For requests that are made again and again anyway."""


class Heard(NamedTuple, Generic[ReplyT]):
    """An answer, and what is known of when the service acted.

    Attributes:
        value: What the operation read.
        acted: When the service acted; no end if an attempt without a reply may still
            take effect.
        sent_at_s: When the attempt was sent that was answered.
        heard_at_s: When it was answered.
    """

    value: ReplyT
    acted: Bounds
    sent_at_s: float
    heard_at_s: float


class Wire:
    """Connections of its own to a service: ``async with Wire(config) as wire``.

    Args:
        config: Keys, user, token, limits, and when to try again.
    """

    def __init__(self, config: PresenceConfig) -> None:
        self._config = config
        self._tokens = Tokens(config.auth)
        self._transport = Transport(config, None, may_be_direct=False)
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
        retry: RetryPolicy | None = None,
        timeout_s: float | None = None,
    ) -> Heard[ReplyT]:
        """Send a request until it is answered, refused, or out of time.

        Args:
            operation: What to ask.
            params: Further query parameters; the library's own are allowed.
            retry: When to try again; ``None``: as the config says.
            timeout_s: Seconds for all attempts; ``None``: the config's
                ``call_timeout_s``.

        Raises:
            RequestError: As any call, without secrets.

        Cancellation: cuts the connection.
        """
        budget = self._pipeline.budget(timeout_s or self._config.call_timeout_s)
        call = self._pipeline.call(operation, budget=budget, retry=retry, params=params)
        answer = await self._pipeline.send(call)
        now_s = asyncio.get_running_loop().time()
        done_s = math.inf if call.is_pending else now_s
        acted = Bounds(budget.started_s, done_s)
        return Heard(answer.value, acted, answer.sent_at_s, now_s)

    async def ask(self, operation: Operation[ReplyT], **options: Any) -> ReplyT:  # noqa: ANN401  # as send
        """Return the value of the answer; as ``send``."""
        return (await self.send(operation, **options)).value

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
                return await self._transport.send(request)
        except TimeoutError:
            if not limit.expired():
                raise
        raise DeadlineError(f"no answer within {limit_s:g} s")


class Repeatable:
    """A request that is the same each time it is sent, which a cache may answer."""

    def __init__(
        self,
        send: Callable[[HttpRequest], Coroutine[Any, Any, HttpReply]],
        request: HttpRequest,
    ) -> None:
        self._send = send
        self._request = request

    async def age_s(self) -> int | None:
        """Send it once, and return the ``Age`` of the answer.

        ``None``: it has none, or one that is no number, so no cache says that it gave
        the answer.

        Raises:
            TransportError: No answer came.
            ServiceError: The answer is no success.
        """
        reply = await self._send(self._request)
        if reply.status != _SUCCESS:
            raise ServiceError(f"answered {reply.status}", status=reply.status)
        age = reply.headers.get("age", "")
        return int(age) if _AGE.fullmatch(age) else None
