"""Check the values that callers give; each error names the argument and the rule.

A check returns the value, in the type it promises. ``validator`` makes it one of attrs.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from .errors import InvalidArgumentError

__all__ = [
    "Field",
    "at_least_one",
    "checked_buffer_size",
    "checked_hand_over_s",
    "checked_linger_s",
    "checked_offset",
    "checked_page_size",
    "checked_presence_timeout_s",
    "checked_timeout_s",
    "either",
    "flag",
    "has_control_characters",
    "known_fields",
    "name_tuple",
    "number",
    "positive",
    "positive_count",
    "positive_finite",
    "shown",
    "validator",
    "whole_number",
]

_SHOWN_CHARACTERS = 60
_CONTROL_CATEGORIES = frozenset({"Cc", "Zl", "Zp"})

MIN_PRESENCE_TIMEOUT_S = 3
MAX_PRESENCE_TIMEOUT_S = 10**9
MAX_PAGE_SIZE = 1000
MAX_OFFSET = 2**63 - 1

if TYPE_CHECKING:
    Field: TypeAlias = attrs.Attribute[Any]
else:
    Field = attrs.Attribute  # takes no parameter at run time

Validator: TypeAlias = Callable[[object, Field, object], None]


# Of any argument.


def number(
    value: object,
    argument: str,
    *,
    above: float | None = None,
    least: float = -math.inf,
    most: float = math.inf,
    may_be_infinite: bool = False,
) -> float:
    """Return a number in a range as a ``float``.

    Raises:
        InvalidArgumentError: It is not an ``int`` or ``float``, is nan, out of range,
            infinite where that is not allowed, or too large for a ``float``.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # Comparisons with nan are false.
    if not is_number or not (
        least <= value <= most and (above is None or value > above)  # type: ignore[operator]  # a number
    ):
        raise InvalidArgumentError(
            argument,
            f"must be a number{_range(above, least, most)}, not {shown(value)}",
        )
    try:
        result = float(value)  # type: ignore[arg-type]  # a number
    except OverflowError:
        result = None
    if result is None:
        raise InvalidArgumentError(argument, "is too large for a float")
    if math.isinf(result) and not may_be_infinite:
        raise InvalidArgumentError(argument, "must be finite")
    return result


def whole_number(
    value: object, argument: str, *, least: float = -math.inf, most: float = math.inf
) -> int:
    """Return an ``int`` in a range.

    Raises:
        InvalidArgumentError: It is not an ``int``, or out of range.
    """
    is_int = isinstance(value, int) and not isinstance(value, bool)
    if not is_int or not least <= value <= most:  # type: ignore[operator]  # an int
        raise InvalidArgumentError(
            argument,
            f"must be a whole number{_range(None, least, most)} (an int), not"
            f" {shown(value)}",
        )
    return value  # type: ignore[return-value]  # an int


def flag(value: object, argument: str) -> bool:
    """Return ``True`` or ``False``.

    Raises:
        InvalidArgumentError: It is anything else.
    """
    if isinstance(value, bool):
        return value
    raise InvalidArgumentError(argument, f"must be True or False, not {shown(value)}")


def name_tuple(value: object, argument: str) -> tuple[str, ...]:
    """Return one name, or the names of an iterable, as a tuple.

    Raises:
        InvalidArgumentError: It is neither, or a name is not a ``str``.
    """
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Iterable):
        several = tuple(value)
        if all(isinstance(name, str) for name in several):
            return several
    raise InvalidArgumentError(argument, "must be a str or an iterable of str")


def known_fields(
    fields: Mapping[str, object], kind: type[attrs.AttrsInstance], argument: str
) -> None:
    """Check that an attrs class has every field that is given.

    Raises:
        InvalidArgumentError: A field is unknown.
    """
    possible = [field.name for field in attrs.fields(kind)]
    for name in fields:
        if name not in possible:
            raise InvalidArgumentError(
                argument,
                f"knows no field {shown(name)}; use {', '.join(possible)}",
            )


def has_control_characters(text: str) -> bool:
    """Return True if a text holds control characters or line ends of any kind."""
    return any(unicodedata.category(c) in _CONTROL_CATEGORIES for c in text)


def shown(value: object) -> str:
    """Return a value as an error shows it: on one line and of limited length."""
    try:
        text = ascii(value)
    except ValueError:
        # Python refuses to write an int of many thousand digits.
        return f"a huge {type(value).__name__}"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _range(above: float | None, least: float, most: float) -> str:
    if above is not None:
        return f" above {above}" + (f" and up to {most}" if most < math.inf else "")
    if most < math.inf:
        return f" from {least} to {most}"
    return f" from {least} on" if least > -math.inf else ""


# Of certain arguments.


def checked_timeout_s(value: object, argument: str = "timeout_s") -> float:
    """Return a time limit in seconds, above 0; ``math.inf`` is no limit."""
    return number(value, argument, above=0, may_be_infinite=True)


def checked_page_size(value: object, argument: str) -> int:
    """Return a number of occupants per page, 1 to 1,000."""
    size = whole_number(value, argument)
    if not 1 <= size <= MAX_PAGE_SIZE:
        raise InvalidArgumentError(
            argument,
            f"must be 1 to {MAX_PAGE_SIZE}, not {shown(value)};"
            " occupants() reads all pages",
        )
    return size


def checked_offset(value: object) -> int:
    """Return a number of occupants to skip, 0 or more."""
    return whole_number(value, "offset", least=0, most=MAX_OFFSET)


def checked_buffer_size(value: object) -> int:
    """Return a number of events that a stream keeps, 1 or more."""
    return whole_number(value, "buffer_size", least=1)


def checked_linger_s(value: object) -> float:
    """Return a wait in seconds, 0 or more and finite."""
    return number(value, "linger_s", least=0)


def checked_hand_over_s(value: object) -> float:
    """Return for how long users are handed over: seconds, 0 or more and finite."""
    return number(value, "hand_over_s", least=0, most=MAX_PRESENCE_TIMEOUT_S)


def checked_presence_timeout_s(
    value: object, argument: str = "presence_timeout_s"
) -> int:
    """Return a presence timeout: whole seconds, 3 or more."""
    seconds = whole_number(value, argument)
    if not MIN_PRESENCE_TIMEOUT_S <= seconds <= MAX_PRESENCE_TIMEOUT_S:
        raise InvalidArgumentError(
            argument,
            f"must be {MIN_PRESENCE_TIMEOUT_S} s or more (and no more than"
            f" {MAX_PRESENCE_TIMEOUT_S}), not {shown(value)}; 300 is usual",
        )
    return seconds


# Validators of attrs fields.


def validator(check: Callable[..., object], **limits: Any) -> Validator:  # noqa: ANN401  # the check's own
    """Return a validator of attrs that calls a check with limits."""

    def validate(_: object, field: Field, value: object) -> None:
        check(value, field.name, **limits)

    return validate


either: Validator = validator(flag)
positive: Validator = validator(checked_timeout_s)
positive_finite: Validator = validator(number, above=0)
positive_count: Validator = validator(whole_number, least=1)


def at_least_one(_: object, field: Field, value: object) -> None:
    """Check that a field is a whole number from 1 on, or ``math.inf``."""
    if value != math.inf:
        whole_number(value, field.name, least=1)
