"""What went wrong, and what somebody at the command line can do about it: one line."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import NamedTuple

from ..errors import (
    AccessDeniedError,
    ConnectError,
    DeadlineError,
    RequestError,
    ServiceError,
)

__all__ = ["problem_of"]


class _Refusal(NamedTuple):
    """A refusal of the service: its status, and words of its message if need be."""

    status: int
    words: str
    remedy: str


_NEW_TOKEN = "Get a new token and put it into PUBNUB_AUTH."  # noqa: S105  # no secret
# The first that fits. The messages are recorded, but for those about expiry, whose
# words PubNub does not document.
_REFUSALS = (
    _Refusal(
        400,
        "subscribe key",
        "Check --subscribe-key or PUBNUB_SUBSCRIBE_KEY: copy it again from the PubNub"
        " Admin Portal.",
    ),
    _Refusal(
        400,
        "timestamp",
        "This key set wants signed requests: set PUBNUB_SECRET_KEY, and this machine's"
        " clock if it is wrong.",
    ),
    _Refusal(402, "", "Turn on Presence for this key set in the PubNub Admin Portal."),
    _Refusal(
        403,
        "signature",
        "Check PUBNUB_SECRET_KEY and PUBNUB_PUBLISH_KEY, which have to belong to the"
        " subscribe key, and this machine's clock.",
    ),
    _Refusal(403, "expired", _NEW_TOKEN),
    _Refusal(403, "revoked", _NEW_TOKEN),
    _Refusal(404, "", "This is not PubNub's answer: check --origin or PUBNUB_ORIGIN."),
)
_UNREACHABLE = (
    "Check the network, whether a firewall wants a proxy (--proxy), and --origin or"
    " PUBNUB_ORIGIN if one is set"
)


def problem_of(
    error: BaseException | None, remedies: Mapping[int, str] | None = None
) -> str:
    """Return one line about an error that ends with a remedy, if there is one.

    Args:
        error: What went wrong.
        remedies: What to do about a status of the service, if a command knows better.
    """
    match error:
        case None:
            return ""
        case ServiceError(status=status) if remedies and status in remedies:
            return (
                f"{str(error).removesuffix(error.advice).rstrip()} {remedies[status]}"
            )
        case RequestError() if remedy := _remedy(error):
            # Advice is for programmers: it names arguments where there are options.
            return f"{str(error).removesuffix(error.advice).rstrip()} {remedy}"
        case OSError(errno=errno.EADDRINUSE):
            return "another program listens on this port; choose another --port, or 0"
        case OSError(strerror=str(words)) if not isinstance(error, RequestError):
            return f"{error.filename}: {words}" if error.filename else words
        case _:
            return str(error)


def _remedy(error: RequestError) -> str:
    match error:
        case ServiceError():
            message = error.message.lower()
            for refusal in _REFUSALS:
                if error.status == refusal.status and refusal.words in message:
                    return refusal.remedy
            return _access_remedy(error) if isinstance(error, AccessDeniedError) else ""
        case DeadlineError():
            return f"{_UNREACHABLE}, or allow more time with --timeout."
        case ConnectError(cause=str(cause)) if _lacks_tls(cause.lower()):
            return "The port does not speak TLS: write http://HOST:PORT."
        case ConnectError():
            return f"{_UNREACHABLE}."
        case _:
            return ""


def _lacks_tls(cause: str) -> bool:
    return "ssl" in cause and "certificate" not in cause


def _access_remedy(error: AccessDeniedError) -> str:
    from ..client.config import environment_value  # noqa: PLC0415  # as app says
    from ..protocol.names import PRESENCE_SUFFIX  # noqa: PLC0415
    from ..protocol.subscribe import SubscribeOperation  # noqa: PLC0415

    names = [*error.channels, *(f"group {group}" for group in error.channel_groups)]
    what, right = "this", ""
    if names and error.operation == SubscribeOperation.name:
        what = f"the events of {', '.join(names)}"
        right = f"the right to read {', '.join(n + PRESENCE_SUFFIX for n in names)}"
    elif names:
        what = f"access to {', '.join(names)}"
    if environment_value("PUBNUB_AUTH") is None:
        needs = f", with {right}" if right else ""
        return f"Put a token that allows {what} into PUBNUB_AUTH{needs}."
    needs = f"it needs {right}" if right else "get one that does"
    return f"The token in PUBNUB_AUTH does not allow {what}: {needs}."
