"""How large a request may be, and which argument made it too large."""

from __future__ import annotations

from typing import Final

from ...errors import InvalidArgumentError
from ...protocol.exchange import HttpRequest

__all__ = ["check_size"]

MAX_REQUEST_BYTES: Final = 32 * 1024
"""The service answers 414 above this, headers included."""

_HEADER_ALLOWANCE_BYTES: Final = 512
_PATH_ARGUMENTS: Final = {"uuid": "user_id", "channel-group": "group"}
_QUERY_ARGUMENTS: Final = {
    "add": "channels",
    "auth": "auth",
    "channel-group": "channel_groups",
    "remove": "channels",
    "state": "state",
    "uuid": "user_id",
}


def check_size(request: HttpRequest, name: str) -> None:
    """Refuse a request that the service would answer with 414.

    Args:
        request: As it would be sent.
        name: What it does.

    Raises:
        InvalidArgumentError: It would pass 32 KiB; names the largest argument.
    """
    size = len(request.path) + len(request.query) + _HEADER_ALLOWANCE_BYTES
    if size > MAX_REQUEST_BYTES:
        raise InvalidArgumentError(
            _largest_argument(request),
            f"{name} would take {size} bytes, and the service takes"
            f" {MAX_REQUEST_BYTES}; write less of it at a time",
        )


def _largest_argument(request: HttpRequest) -> str:
    """Say what takes most of a request, as callers name it."""
    name, _, value = max(request.query.split("&"), key=len).partition("=")
    steps = request.path.split("/")
    longest = max(steps, key=len)
    if len(value) >= len(longest):
        return _QUERY_ARGUMENTS.get(name, "query_params")
    return _PATH_ARGUMENTS.get(steps[steps.index(longest) - 1], "channels")
