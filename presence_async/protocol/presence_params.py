"""How heartbeats and subscribes say for how long and in which state a user is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import InvalidArgumentError
from .json_codec import Json, JsonError, decode_strictly, plain_state

__all__ = ["DEFAULT_PRESENCE_TIMEOUT_S", "parsed_states", "parsed_timeout_s"]

DEFAULT_PRESENCE_TIMEOUT_S = 300
"""Seconds the service assumes when the request names none."""

_LONGEST_TIMEOUT_DIGITS = 9
_STATES: msgspec.json.Decoder[dict[str, Json] | None] = msgspec.json.Decoder(
    dict[str, Any] | None
)


def parsed_timeout_s(text: str) -> int | None:
    """Read ``heartbeat=``; what is no positive number counts as absent.

    The service accepts an empty value.
    """
    if text.isascii() and text.isdecimal() and len(text) <= _LONGEST_TIMEOUT_DIGITS:
        return int(text) or None
    return None


def parsed_states(text: str | None) -> Mapping[str, Mapping[str, Json]] | None:
    """Read ``state=``, a JSON object keyed by channel or group.

    PubNub's SDKs write "nothing" in several ways, and none of them changes a state. A
    user without state at all has no parameter (most SDKs), ``{}`` (JavaScript, Ruby) or
    ``null`` (Go, with every heartbeat). A channel without state is left out of the
    object or is ``null`` in it (JavaScript, after its state was set to ``null``). A
    channel whose state is ``{}`` is not among them: that clears the state.

    Raises:
        InvalidArgumentError: It is anything else.
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
