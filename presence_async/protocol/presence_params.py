"""Query parameters of presence requests, as the service reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import InvalidArgumentError
from .json_codec import Json, JsonError, decode_strictly, plain_state

__all__ = [
    "DEFAULT_PRESENCE_TIMEOUT_S",
    "parsed_number",
    "parsed_states",
    "parsed_timeout_s",
]

DEFAULT_PRESENCE_TIMEOUT_S = 300
"""Presence timeout of requests that name none, in seconds."""

_LONGEST_TIMEOUT_DIGITS = 9
_LONGEST_NUMBER_DIGITS = 19
_STATES: msgspec.json.Decoder[dict[str, Json] | None] = msgspec.json.Decoder(
    dict[str, Any] | None
)


def parsed_timeout_s(text: str) -> int | None:
    """Return the seconds in ``heartbeat=``, or ``None`` for anything but a number.

    The service accepts an empty value, as recorded.
    """
    if text.isascii() and text.isdecimal() and len(text) <= _LONGEST_TIMEOUT_DIGITS:
        return int(text) or None
    return None


def parsed_states(text: str | None) -> Mapping[str, Mapping[str, Json]] | None:
    """Return the states in ``state=``, a JSON object keyed by channel or group.

    PubNub's SDKs write "nothing" in several ways, and none of them changes a state. A
    user without state at all has no parameter (most SDKs), ``{}`` (JavaScript, Ruby) or
    ``null`` (Go, with every heartbeat). A channel without state is left out of the
    object or is ``null`` in it (JavaScript, after its state was set to ``null``). A
    channel whose state is ``{}`` is not among them: that clears the state.

    Raises:
        InvalidArgumentError: The text is anything else.
    """
    if not text:
        return None
    try:
        states = decode_strictly(text.encode(), _STATES)
    except JsonError:
        raise InvalidArgumentError(
            "state", "must be a JSON object keyed by channel"
        ) from None
    if states is None:
        return None
    return {
        name: plain_state(state, "state")
        for name, state in states.items()
        if state is not None
    }


def parsed_number(params: Mapping[str, str], name: str) -> int | None:
    """Return a whole number from 0 on, or ``None`` if the value is missing or empty.

    Raises:
        InvalidArgumentError: The value is anything else.
    """
    text = params.get(name)
    if not text:
        return None
    is_number = text.isascii() and text.isdecimal()
    if not is_number or len(text) > _LONGEST_NUMBER_DIGITS:
        raise InvalidArgumentError(name, f"must be a whole number, not {text[:40]!r}")
    return int(text)
