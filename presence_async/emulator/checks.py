"""The ranges of what users set: each check names the argument and the rule. Pure."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping

import attrs

from ..errors import InvalidArgumentError

__all__ = ["finite", "flag", "known", "names", "positive", "seconds", "share", "whole"]


def known(
    argument: str, fields: Mapping[str, object], kind: type[attrs.AttrsInstance]
) -> None:
    """Take fields only that a class has."""
    possible = [field.name for field in attrs.fields(kind)]
    for name in fields:
        if name not in possible:
            raise InvalidArgumentError(
                argument, f"knows no {name!r}; write {', '.join(possible)}"
            )


def names(argument: str, value: object) -> tuple[str, ...]:
    """Take one name, or an iterable of names."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Iterable):
        several = tuple(value)
        if all(isinstance(name, str) for name in several):
            return several
    raise InvalidArgumentError(argument, "names are a str or an iterable of str")


def whole(
    argument: str,
    value: object,
    lowest: int | None = None,
    highest: int | None = None,
) -> None:
    """Take ``None`` or a whole number of a range."""
    if value is None:
        return
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not _within(value, lowest, highest):
        bound = "" if lowest is None else f" from {lowest} on"
        if highest is not None:
            bound = f" from {lowest} to {highest}"
        raise InvalidArgumentError(argument, f"must be a whole number{bound}")


def seconds(argument: str, value: object, *, may_be_endless: bool = False) -> None:
    """Take a number from 0 on."""
    if not _is_number(value) or not _within(value, 0, math.inf):
        raise InvalidArgumentError(argument, "must be 0 or more seconds")
    if value == math.inf and not may_be_endless:
        raise InvalidArgumentError(argument, "must not be endless")


def finite(argument: str, value: object) -> None:
    """Take any number that has an end."""
    if not _is_number(value) or not _within(value, -sys.float_info.max, None):
        raise InvalidArgumentError(argument, "must be a number")
    if value == math.inf:
        raise InvalidArgumentError(argument, "must not be endless")


def positive(argument: str, value: object) -> None:
    """Take ``None`` or a finite number above 0."""
    if value is None:
        return
    if not _is_number(value) or value == 0 or not _within(value, 0, None):
        raise InvalidArgumentError(argument, "must be a number above 0, or None")
    if value == math.inf:
        raise InvalidArgumentError(argument, "must not be endless; write None")


def share(argument: str, value: object) -> None:
    """Take a number from 0 to 1."""
    if not _is_number(value) or not _within(value, 0, 1):
        raise InvalidArgumentError(argument, "must be from 0 to 1")


def flag(argument: str, value: object) -> None:
    """Take ``True`` or ``False``."""
    if not isinstance(value, bool):
        raise InvalidArgumentError(argument, "must be True or False")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _within(value: object, lowest: float | None, highest: float | None) -> bool:
    # Not a number compares false with everything.
    if not isinstance(value, (int, float)):
        return False
    return (
        (-math.inf if lowest is None else lowest)
        <= value
        <= (math.inf if highest is None else highest)
    )
