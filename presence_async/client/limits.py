"""Check that requests, names and states are not too large to be sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

from ..errors import InvalidArgumentError
from ..protocol.encoding import decode_name
from ..protocol.exchange import HttpRequest, Operation
from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.json_codec import Json
from ..protocol.names import MAX_DOCUMENTED_LENGTH
from ..protocol.user_state import SetStateOperation
from .safe_log import SafeLogger

__all__ = ["Checker", "LongNames", "Params", "check_fits", "check_size"]

logger: SafeLogger = SafeLogger("presence_async.client")

Params = tuple[tuple[str, str], ...]

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

_MOST_KNOWN: Final = 1000
# Escaping only makes a name longer, so no long one is missed.
_LONG: Final = re.compile(rf"[^/,&=]{{{MAX_DOCUMENTED_LENGTH + 1},}}")
_NAMES_IN_QUERY: Final = re.compile(r"(?:^|&)(?:channel-group|add|remove)=([^&]*)")

_SMALL_CHARACTERS = 1024
"""Each takes 12 bytes at most, so a request with so many is far from the limit."""


class Checker(Protocol):
    """The part of the pipeline that knows what every request carries."""

    @property
    def subscribe_key(self) -> str:
        """The key set of every operation."""
        ...

    def check(self, operation: Operation[Any], params: Params = ()) -> None:
        """Refuse an operation that no request can carry."""
        ...


def check_size(request: HttpRequest, name: str) -> None:
    """Refuse a request that the service would answer with 414.

    Args:
        request: As it would be sent.
        name: The name of its operation.

    Raises:
        InvalidArgumentError: It would be larger than 32 KiB; names the largest
            argument.
    """
    size = len(request.path) + len(request.query) + _HEADER_ALLOWANCE_BYTES
    if size > MAX_REQUEST_BYTES:
        raise InvalidArgumentError(
            _largest_argument(request),
            f"{name} would take {size} bytes, but the service accepts only"
            f" {MAX_REQUEST_BYTES}; send less of it at a time",
        )


def _largest_argument(request: HttpRequest) -> str:
    """Return the argument that takes most of a request, as callers name it."""
    name, _, value = max(request.query.split("&"), key=len).partition("=")
    steps = request.path.split("/")
    longest = max(steps, key=len)
    if len(value) >= len(longest):
        return _QUERY_ARGUMENTS.get(name, "query_params")
    return _PATH_ARGUMENTS.get(steps[steps.index(longest) - 1], "channels")


def check_fits(
    pipeline: Checker,
    *,
    user_id: str,
    names: tuple[str, ...],
    state: Mapping[str, Json] | None,
    params: Params,
) -> None:
    """Refuse a name or state that is too large for one request.

    Names are spread over as many requests as they need, but one name with its state
    has to fit into a heartbeat and into a change of state.

    Args:
        pipeline: Knows what every request carries.
        user_id: The user to announce.
        names: Channels and channel groups.
        state: The state to announce for each of them.
        params: Query parameters beside the config's.

    Raises:
        InvalidArgumentError: The longest name alone would need more than 32 KiB.
    """
    longest = max(names, key=len)
    if state is None and not params and len(longest) + len(user_id) < _SMALL_CHARACTERS:
        return
    beat = HeartbeatOperation(
        subscribe_key=pipeline.subscribe_key,
        user_id=user_id,
        channels=(longest,),
        state=None if state is None else {longest: state},
    )
    pipeline.check(beat, params)
    if state is not None:
        change = SetStateOperation(
            subscribe_key=pipeline.subscribe_key,
            user_id=user_id,
            channels=(longest,),
            state=state,
            acting_user_id=user_id,
        )
        pipeline.check(change, params)


class LongNames:
    """Logs each name of more than 92 characters the first time it is sent.

    Source: https://www.pubnub.com/docs/general/channels/overview (read 2026-11) has 92
    UTF-8 characters; whether the service refuses longer names is not known.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()

    def note(self, request: HttpRequest, user_id: str) -> None:
        """Look for long names in a request, and at its user."""
        longest = max(len(request.path) + len(request.query), len(user_id))
        if longest <= MAX_DOCUMENTED_LENGTH:
            return
        is_short = len(user_id) <= MAX_DOCUMENTED_LENGTH
        if is_short and _LONG.search(request.target) is None:
            return
        texts = [request.path, *_NAMES_IN_QUERY.findall(request.query)]
        names = [decode_name(part) for text in texts for part in _LONG.findall(text)]
        for name in [*names, user_id]:
            is_long = len(name) > MAX_DOCUMENTED_LENGTH
            if is_long and name not in self._known and len(self._known) < _MOST_KNOWN:
                self._known.add(name)
                logger.warning(
                    "%a… has %d characters; PubNub documents names of up to %d",
                    name[:40],
                    len(name),
                    MAX_DOCUMENTED_LENGTH,
                )
