"""Checks of numbers that callers give, as attrs validators and plain functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..errors import InvalidArgumentError

if TYPE_CHECKING:
    import attrs

__all__ = [
    "at_least_one",
    "checked_timeout_s",
    "positive",
    "positive_count",
    "positive_finite",
]

MIN_PRESENCE_TIMEOUT_S = 3
MAX_PAGE_SIZE = 1000


def positive(_: object, field: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is not a number above 0; ``math.inf`` passes."""
    checked_timeout_s(value, field.name)


def positive_finite(_: object, field: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is not a finite number above 0."""
    if checked_timeout_s(value, field.name) == math.inf:
        raise InvalidArgumentError(field.name, "must be finite; write seconds")


def at_least_one(_: object, field: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is not a whole number from 1, or ``math.inf``."""
    if value != math.inf:
        positive_count(_, field, value)


def positive_count(_: object, field: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is not an ``int`` from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidArgumentError(
            field.name, f"must be a whole number from 1, not {value!r}"
        )


def checked_timeout_s(value: object, argument: str = "timeout_s") -> float:
    """Return a time limit in seconds; ``math.inf`` is no limit.

    Raises:
        InvalidArgumentError: Not a number, 0, negative or nan.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not value > 0:  # type: ignore[operator]  # checked before
        raise InvalidArgumentError(
            argument, f"must be a number of seconds above 0, not {value!r}"
        )
    return float(value)  # type: ignore[arg-type]  # checked before


def checked_page_size(value: object, argument: str) -> int:
    """Return a number of occupants per page, 1 to 1,000.

    Raises:
        InvalidArgumentError: Not an ``int``, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArgumentError(argument, f"must be an int, not {value!r}")
    if not 1 <= value <= MAX_PAGE_SIZE:
        raise InvalidArgumentError(
            argument,
            f"must be 1 to {MAX_PAGE_SIZE}, not {value}; occupants() reads all pages",
        )
    return value


def checked_offset(value: object) -> int:
    """Return how many occupants to skip, 0 or more.

    Raises:
        InvalidArgumentError: Not an ``int``, or negative.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidArgumentError(
            "offset", f"must be an int from 0, not {value!r}; write 0 for the start"
        )
    return value


def checked_buffer_size(value: object) -> int:
    """Return how many events a stream keeps, 1 or more.

    Raises:
        InvalidArgumentError: Anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidArgumentError(
            "buffer_size", f"must be a whole number from 1, not {value!r}"
        )
    return value


def checked_linger_s(value: object) -> float:
    """Return a wait in seconds, 0 or more and finite.

    Raises:
        InvalidArgumentError: Anything else.
    """
    if value == 0 and not isinstance(value, bool):
        return 0.0
    seconds = checked_timeout_s(value, "linger_s")
    if seconds == math.inf:
        raise InvalidArgumentError("linger_s", "must be finite; write seconds")
    return seconds


def checked_presence_timeout_s(
    value: object, argument: str = "presence_timeout_s"
) -> int:
    """Return a presence timeout: whole seconds, 3 or more.

    Raises:
        InvalidArgumentError: Not an ``int``, or below 3.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArgumentError(
            argument, f"must be an int of seconds, not {value!r}; the wire has no more"
        )
    if value < MIN_PRESENCE_TIMEOUT_S:
        raise InvalidArgumentError(
            argument, f"must be {MIN_PRESENCE_TIMEOUT_S} s or more, not {value}"
        )
    return value
