"""Signal: send a small message to a channel.

Source: https://www.pubnub.com/docs/sdks/rest-api/send-signal-to-channel (read 2026-11)
for the 64 bytes, which were 30 in 2019; PubNub's SDKs for ``e``, which is 1 in a
subscribe reply; and recorded replies: the same as those of a publish, and 400 with
``[0,"Signal size too large","15663104658224536"]``.
"""

from __future__ import annotations

from typing import ClassVar, Final, Self

from ..errors import InvalidArgumentError
from .encoding import decode_name
from .exchange import HttpRequest, route_fields
from .publish import PublishOperation

__all__ = ["SignalOperation"]

_MOST_BYTES: Final = 64


class SignalOperation(PublishOperation, frozen=True, kw_only=True):
    """Send a signal: a message of at most 64 bytes as JSON, which nothing stores."""

    name: ClassVar[str] = "signal"
    route: ClassVar[str] = (
        r"/signal/(?P<publish>[^/]+)/(?P<key>[^/]+)/0"
        r"/(?P<channel>[^/]+)/[^/]+/(?P<message>[^/]+)"
    )
    prefix: ClassVar[str] = "/signal"
    kind: ClassVar[int | None] = 1

    @classmethod
    def from_request(cls, request: HttpRequest) -> Self:
        text = decode_name(route_fields(cls.route, request)["message"])
        if len(text.encode()) > _MOST_BYTES:
            raise InvalidArgumentError("message", "Signal size too large")
        return super().from_request(request)
