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
    "either",
    "positive",
    "positive_count",
    "positive_finite",
]

_SHOWN_CHARACTERS = 60

MIN_PRESENCE_TIMEOUT_S = 3
MAX_PRESENCE_TIMEOUT_S = 10**9
MAX_PAGE_SIZE = 1000
MAX_OFFSET = 2**63 - 1


def positive(_: object, field: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is not a number above 0; ``math.inf`` passes."""
    checked_timeout_s(value, field.name)


def positive_finite(_: object, field: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is not a finite number above 0."""
    if checked_timeout_s(value, field.name) == math.inf:
        raise InvalidArgumentError(field.name, "must be finite; write seconds")


def either(_: object, field: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is neither ``True`` nor ``False``."""
    if not isinstance(value, bool):
        raise InvalidArgumentError(
            field.name, f"must be True or False, not {shown(value)}"
        )


def at_least_one(_: object, field: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is not a whole number from 1, or ``math.inf``."""
    if value != math.inf:
        positive_count(_, field, value)


def positive_count(_: object, field: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is not an ``int`` from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidArgumentError(
            field.name, f"must be a whole number from 1, not {shown(value)}"
        )


def checked_timeout_s(value: object, argument: str = "timeout_s") -> float:
    """Return a time limit in seconds; ``math.inf`` is no limit.

    Raises:
        InvalidArgumentError: Not a number, 0, negative or nan.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not value > 0:  # type: ignore[operator]  # checked before
        raise InvalidArgumentError(
            argument, f"must be a number of seconds above 0, not {shown(value)}"
        )
    try:
        return float(value)  # type: ignore[arg-type]  # checked before
    except OverflowError:
        pass
    raise InvalidArgumentError(argument, "is too large; write math.inf for no limit")


def shown(value: object) -> str:
    """Return a value as an error shows it: on one line, and not endless."""
    try:
        text = ascii(value)
    except ValueError:
        # An int of too many digits.
        return f"a huge {type(value).__name__}"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def checked_page_size(value: object, argument: str) -> int:
    """Return a number of occupants per page, 1 to 1,000.

    Raises:
        InvalidArgumentError: Not an ``int``, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArgumentError(argument, f"must be an int, not {shown(value)}")
    if not 1 <= value <= MAX_PAGE_SIZE:
        raise InvalidArgumentError(
            argument,
            f"must be 1 to {MAX_PAGE_SIZE}, not {shown(value)};"
            " occupants() reads all pages",
        )
    return value


def checked_offset(value: object) -> int:
    """Return how many occupants to skip, 0 or more.

    Raises:
        InvalidArgumentError: Not an ``int``, or negative.
    """
    is_int = isinstance(value, int) and not isinstance(value, bool)
    if not is_int or not 0 <= value <= MAX_OFFSET:  # type: ignore[operator]  # an int
        raise InvalidArgumentError(
            "offset",
            f"must be an int from 0, not {shown(value)}; write 0 for the start",
        )
    return value  # type: ignore[return-value]  # an int


def checked_buffer_size(value: object) -> int:
    """Return how many events a stream keeps, 1 or more.

    Raises:
        InvalidArgumentError: Anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidArgumentError(
            "buffer_size", f"must be a whole number from 1, not {shown(value)}"
        )
    return value


def checked_linger_s(value: object) -> float:
    """Return a wait in seconds, 0 or more and finite.

    Raises:
        InvalidArgumentError: Anything else.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_number and value == 0:
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
            argument,
            f"must be an int of seconds, not {shown(value)}; the wire has no more",
        )
    if not MIN_PRESENCE_TIMEOUT_S <= value <= MAX_PRESENCE_TIMEOUT_S:
        raise InvalidArgumentError(
            argument,
            f"must be {MIN_PRESENCE_TIMEOUT_S} s or more (and no more than"
            f" {MAX_PRESENCE_TIMEOUT_S}), not {shown(value)}; 300 is usual",
        )
    return value
