"""Checks of arguments: what passes, what is returned, and what errors say."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest

from presence_async import InvalidArgumentError, checks


@attrs.frozen(kw_only=True)
class Settings:
    """A class with a field for each validator."""

    switch: bool = attrs.field(default=True, validator=checks.either)
    limit_s: float = attrs.field(default=1, validator=checks.positive)
    wait_s: float = attrs.field(default=1, validator=checks.positive_finite)
    size: int = attrs.field(default=1, validator=checks.positive_count)
    attempts: float = attrs.field(default=1, validator=checks.at_least_one)
    share: float = attrs.field(
        default=1, validator=checks.validator(checks.number, least=0, most=1)
    )


@pytest.mark.parametrize(
    ("value", "limits"),
    [
        (0, {}),
        (-1.5, {}),
        (1e-300, {"above": 0}),
        (0, {"least": 0}),
        (1, {"least": 0, "most": 1}),
        (math.inf, {"above": 0, "may_be_infinite": True}),
    ],
)
def test_a_number_in_range_is_returned_as_a_float(value: Any, limits: Any) -> None:
    found = checks.number(value, "x", **limits)

    assert (found, type(found)) == (value, float)


@pytest.mark.parametrize(
    ("value", "limits", "words"),
    [
        ("1", {}, "must be a number, not '1'"),
        (True, {}, "must be a number, not True"),
        (None, {}, "must be a number, not None"),
        (math.nan, {}, "must be a number, not nan"),
        (math.nan, {"may_be_infinite": True}, "must be a number, not nan"),
        (0, {"above": 0}, "must be a number above 0, not 0"),
        (
            30.0,
            {"above": 0, "most": 24},
            "must be a number above 0 and up to 24, not 30.0",
        ),
        (-1, {"least": 0}, "must be a number from 0 on, not -1"),
        (1.1, {"least": 0, "most": 1}, "must be a number from 0 to 1, not 1.1"),
        (math.inf, {"above": 0}, "must be finite"),
        (-math.inf, {}, "must be finite"),
        (10**400, {"may_be_infinite": True}, "is too large for a float"),
        (-(10**9000), {"least": 0}, "from 0 on, not a huge int"),
    ],
    ids=checks.shown,
)
def test_a_number_out_of_range_is_refused_in_words(
    value: Any, limits: Any, words: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        checks.number(value, "x", **limits)

    assert caught.value.argument == "x"
    assert caught.value.rule.endswith(words)


@pytest.mark.parametrize(
    ("value", "limits", "words"),
    [
        (1.0, {}, "must be a whole number (an int), not 1.0"),
        (False, {}, "must be a whole number (an int), not False"),
        (0, {"least": 1}, "must be a whole number from 1 on (an int), not 0"),
        (6, {"least": 1, "most": 5}, "must be a whole number from 1 to 5 (an int)"),
        (math.inf, {}, "must be a whole number (an int), not inf"),
        ("x" * 99, {}, "…"),
    ],
)
def test_another_whole_number_is_refused_in_words(
    value: Any, limits: Any, words: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        checks.whole_number(value, "x", **limits)

    assert words in caught.value.rule
    assert len(caught.value.rule) < 120


def test_a_whole_number_may_have_any_size() -> None:
    assert checks.whole_number(-(10**9000), "x") == -(10**9000)
    assert checks.whole_number(5, "x", least=1, most=5) == 5


@pytest.mark.parametrize(
    "fields",
    [
        {"switch": 1},
        {"limit_s": 0},
        {"wait_s": math.inf},
        {"size": 0},
        {"size": math.inf},
        {"attempts": 0},
        {"attempts": 1.5},
        {"share": -0.1},
        {"share": math.nan},
    ],
    ids=str,
)
def test_a_validator_names_its_field(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Settings(**fields)

    assert [caught.value.argument] == list(fields)


def test_a_validator_lets_limits_pass() -> None:
    settings = Settings(limit_s=math.inf, attempts=math.inf, share=0, switch=False)

    assert (settings.limit_s, settings.attempts) == (math.inf, math.inf)


@pytest.mark.parametrize("value", [None, 1, "True"])
def test_a_flag_is_true_or_false(value: object) -> None:
    with pytest.raises(InvalidArgumentError, match="must be True or False"):
        checks.flag(value, "x")


def test_names_are_one_or_several() -> None:
    assert checks.name_tuple("ab", "x") == ("ab",)
    assert checks.name_tuple(iter(["a", "b"]), "x") == ("a", "b")
    for wrong in (5, [5], None, b"ab"):
        with pytest.raises(InvalidArgumentError, match="a str or an iterable of str"):
            checks.name_tuple(wrong, "x")


def test_unknown_fields_are_refused_by_name() -> None:
    checks.known_fields({"size": 1}, Settings, "settings")
    with pytest.raises(InvalidArgumentError, match="no field 'sise'; use switch, "):
        checks.known_fields({"sise": 1}, Settings, "settings")


@pytest.mark.parametrize(
    ("check", "value", "words"),
    [
        (checks.checked_presence_timeout_s, 2, "3 s or more"),
        (checks.checked_presence_timeout_s, 10**10, "3 s or more"),
        (checks.checked_presence_timeout_s, 20.5, "an int"),
        (checks.checked_offset, -1, "from 0 to"),
        (checks.checked_offset, 2**63, "from 0 to"),
        (checks.checked_buffer_size, 0, "from 1 on"),
        (checks.checked_linger_s, -1, "from 0 on"),
        (checks.checked_linger_s, math.inf, "finite"),
        (checks.checked_timeout_s, 0, "above 0"),
    ],
)
def test_arguments_of_calls_have_their_ranges(
    check: Any, value: Any, words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        check(value)


def test_page_sizes_end_at_a_thousand() -> None:
    assert checks.checked_page_size(1000, "limit") == 1000
    with pytest.raises(InvalidArgumentError, match=r"reads all pages") as caught:
        checks.checked_page_size(1001, "limit")
    assert caught.value.argument == "limit"
