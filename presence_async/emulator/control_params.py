"""What requests to the control path say, in their queries and bodies. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ..errors import InvalidArgumentError
from .control_guard import ControlRequest
from .faults import short_value

__all__ = [
    "KEY",
    "MAX_BODY_BYTES",
    "Params",
    "fields",
    "given",
    "needed",
    "number_of",
    "unfit",
    "value_of",
    "whole_of",
]

Params = Mapping[str, str]

KEY: Final = "subscribe_key"
"""The parameter that chooses the key set."""

MAX_BODY_BYTES = 1024 * 1024
"""The largest body of a control request."""

_JSON: Final = "application/json"


def _is_json(request: ControlRequest) -> bool:
    content_type = request.headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower() == _JSON


def unfit(request: ControlRequest) -> tuple[int, str] | None:
    """Return status and reason if a body cannot be what is asked for."""
    if request.method == "POST" and not _is_json(request):
        return 415, f"send Content-Type: {_JSON}"
    if request.body is None:
        return 400, "the body did not come whole and in time"
    if len(request.body) > MAX_BODY_BYTES:
        return 413, f"the body is larger than {MAX_BODY_BYTES} bytes"
    return None


def value_of(body: bytes | None) -> object:
    """Return the JSON value of a body, ``None`` for an empty one.

    Raises:
        InvalidArgumentError: It is not JSON.
    """
    if body is None or not body.strip():
        return None
    try:
        value: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise InvalidArgumentError("body", "must be JSON") from None
    return value


def given(request: ControlRequest) -> Params:
    """Return the parameters of a query.

    Raises:
        InvalidArgumentError: One is empty, as a script writes it whose variable is not
            set. Taken for one that is left out, it would mean everything.
    """
    params = request.http.params()
    for name, value in params.items():
        if not value:
            raise InvalidArgumentError(
                name, "is empty; give it a value, or leave it out"
            )
    return params


def fields(params: Params, body: object) -> dict[str, Any]:
    """Return the fields of query and body together; those of the body win.

    Raises:
        InvalidArgumentError: The body is neither empty nor an object.
    """
    said = {n: short_value(v) for n, v in params.items() if n != KEY}
    if isinstance(body, Mapping):
        return {**said, **body}
    if body is None:
        return said
    raise InvalidArgumentError("body", "must be a JSON object")


def needed(params: Params, name: str) -> str:
    """Return a parameter.

    Raises:
        InvalidArgumentError: It is missing.
    """
    if name not in params:
        raise InvalidArgumentError(name, "is missing from the query")
    return params[name]


def number_of(params: Params, name: str) -> float:
    """Return a number of seconds.

    Raises:
        InvalidArgumentError: It is missing, or not a number.
    """
    value = short_value(needed(params, name))
    if not isinstance(value, (int, float)):
        raise InvalidArgumentError(name, "must be a number of seconds")
    return value


def whole_of(params: Params, name: str) -> int:
    """Return a whole number from 0 on.

    Raises:
        InvalidArgumentError: It is missing, or not such a number.
    """
    value = short_value(needed(params, name))
    if not isinstance(value, int) or value < 0:
        raise InvalidArgumentError(name, "must be a whole number from 0 on")
    return value
