"""How heartbeats and subscribes say for how long and in which state a user is there."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import InvalidArgumentError
from .json_codec import Json, JsonError, decode_object, plain_state

__all__ = ["DEFAULT_PRESENCE_TIMEOUT_S", "heard_states", "heard_timeout_s"]

DEFAULT_PRESENCE_TIMEOUT_S = 300
"""Seconds the service assumes when the request names none."""

_LONGEST_TIMEOUT_DIGITS = 9


def heard_timeout_s(text: str) -> int | None:
    """Read ``heartbeat=``; what is no positive number counts as absent.

    The service accepts an empty value.
    """
    if text.isascii() and text.isdecimal() and len(text) <= _LONGEST_TIMEOUT_DIGITS:
        return int(text) or None
    return None


def heard_states(text: str | None) -> Mapping[str, Mapping[str, Json]] | None:
    """Read ``state=``, a JSON object keyed by channel or group.

    Raises:
        InvalidArgumentError: It is anything else.
    """
    if text is None:
        return None
    try:
        states = decode_object(text.encode())
    except JsonError:
        pass
    else:
        return {name: plain_state(state, "state") for name, state in states.items()}
    raise InvalidArgumentError("state", "must be a JSON object keyed by channel")
