"""The service's clock, which it tells everybody, without keys or tokens."""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

import msgspec

from ..errors import InvalidArgumentError, ReplyFormatError, ServiceError
from ..protocol.envelope import whole_seconds
from ..protocol.exchange import HttpReply, HttpRequest
from ..protocol.json_codec import JsonError, decode
from ..protocol.timetoken import TIMETOKENS_PER_S

__all__ = ["ServiceTimeOperation"]

_PATH = "/time/0"
_REPLY = msgspec.json.Decoder(list[int])
_PASSING = frozenset({429, *range(500, 600)})


class ServiceTimeOperation(msgspec.Struct, frozen=True, kw_only=True):
    """Ask what time it is; the answer is the Unix time in seconds.

    Attributes:
        subscribe_key: The key set, which is not sent.
    """

    name: ClassVar[str] = "time"
    route: ClassVar[str] = _PATH
    acting_user_id: ClassVar[str | None] = None

    subscribe_key: str

    def to_request(self) -> HttpRequest:
        """Return the request, the same for every key set."""
        return HttpRequest(path=_PATH)

    @classmethod
    def from_request(cls, request: HttpRequest) -> ServiceTimeOperation:
        """Refuse, since a request says nothing of a key set."""
        raise InvalidArgumentError("path", f"{request.path} names no key set")

    def to_reply(self, value: float) -> HttpReply:
        """Return the reply that tells a time."""
        return HttpReply(
            status=200, body=msgspec.json.encode([int(value * TIMETOKENS_PER_S)])
        )

    def from_reply(self, reply: HttpReply) -> float:
        """Return the time that a reply tells."""
        words = f"{_PATH} was answered {reply.status}, without a time"
        if reply.status in _PASSING:
            wait_s = whole_seconds(reply.headers.get("retry-after"))
            raise ServiceError(words, status=reply.status, retry_after_s=wait_s)
        with suppress(JsonError, ValueError, OverflowError):
            ticks, *_ = decode(reply.body, _REPLY)
            return ticks / TIMETOKENS_PER_S
        raise ReplyFormatError(words)
