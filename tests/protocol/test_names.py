from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presence_async import InvalidArgumentError
from presence_async.protocol import names
from presence_async.protocol.encoding import (
    decode_name,
    decode_names,
    decode_query,
    encode_name,
    encode_names,
    encode_query,
)

ODD = ["a/b", "a?b", "a#b", "a%2Fb", "a+b c", "日本", "a:b&c=d", "😀", "~", '"<>']


class _Room(str, enum.Enum):  # noqa: UP042  # whose str() is not its value
    LOBBY = "lobby-of-an-enum"


def test_a_member_of_an_enum_is_the_name_it_stands_for() -> None:
    for found in (names.channel_names(_Room.LOBBY), names.channel_names([_Room.LOBBY])):
        assert [type(name) for name in found] == [str]
        assert found == ("lobby-of-an-enum",)
    assert type(names.user_id(_Room.LOBBY)) is str


@pytest.mark.parametrize(
    "key",
    ["", "hidden a", "hidden,a", "hidden/../a", "hidden\ud800", "hidden" * 400, ".."],
    ids=ascii,
)
def test_a_bad_key_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        names.key(key, "secret_key")

    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("name", ODD)
def test_odd_names_survive_the_encoding(name: str) -> None:
    assert names.channel_names(name) == (name,)
    assert decode_names(encode_names([name, "x"])) == (name, "x")


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "empty or blank"),
        (" \t", "empty or blank"),
        ("x" * 2049, "at most 2048"),
        ("a\ud800", "lone surrogate"),
        ("..", "path segment"),
        (".", "path segment"),
        ("a/../b", "path segment"),
        ("a/.", "path segment"),
        ("a,b", "comma"),
    ],
)
def test_names_that_reach_elsewhere_are_refused(name: str, rule: str) -> None:
    for check in (names.channel_names, names.group_names, names.some_channels):
        with pytest.raises(InvalidArgumentError, match=rule):
            check(name)


@pytest.mark.parametrize("value", [b"lobby", 7, [7], [None], ...], ids=repr)
def test_an_invalid_name_is_refused(value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="channels: must be"):
        names.channel_names(value)


def test_a_str_is_one_name_and_an_iterable_is_read_once() -> None:
    def given() -> Iterator[str]:
        yield from ["b", "a", "b"]

    assert names.channel_names("abc") == ("abc",)
    assert names.channel_names(given()) == ("b", "a")
    assert names.channel_names(None) == ()


def test_a_user_id_may_contain_a_comma() -> None:
    assert names.user_id("a,b") == "a,b"
    assert names.user_id("a...b") == "a...b"
    with pytest.raises(InvalidArgumentError, match=r"str\(value\)"):
        names.user_id(7)


def test_presence_names_are_refused_as_places() -> None:
    with pytest.raises(InvalidArgumentError, match="write 'lobby'"):
        names.present_places("lobby-pnpres", None)
    with pytest.raises(InvalidArgumentError, match="channel_groups"):
        names.present_places("lobby", "g-pnpres")
    assert names.without_presence(("a", "a-pnpres")) == ("a",)


def test_a_call_that_names_nothing_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="nothing is named"):
        names.present_places([], None)
    with pytest.raises(InvalidArgumentError, match="at least one"):
        names.some_channels([])


@pytest.mark.parametrize("key", ["", "a b", "a/b", "a\n", 7])
def test_a_key_is_printable_and_whole(key: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="subscribe_key"):
        names.key(key, "subscribe_key")


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("a/b", "a%2Fb"),
        ("a,b", "a%2Cb"),
        ("a%b", "a%25b"),
        ("a+b", "a%2Bb"),
        ("a:b", "a%3Ab"),
        ("a b", "a%20b"),
        ("café", "caf%C3%A9"),
        ("日本", "%E6%97%A5%E6%9C%AC"),
        ("a&b=c#d?", "a%26b%3Dc%23d%3F"),
        ("-_.~", "-_.~"),
        ("foo.*", "foo.%2A"),
    ],
)
def test_escapes_are_those_of_the_sdks(name: str, escaped: str) -> None:
    assert encode_name(name) == escaped
    assert decode_name(escaped) == name


@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    assert decode_name(encode_name(text)) == text
    assert decode_query(encode_query([("a", text)])) == [("a", text)]


@pytest.mark.parametrize("text", ["%", "%2", "%zz", "a%GG", "%ff"])
def test_broken_escapes_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        decode_name(text)


def test_no_names_are_a_single_comma_and_a_plus_stays_a_plus() -> None:
    assert encode_names([]) == ","
    assert decode_names(",") == ()
    assert decode_query("a=1+2&b&&c=") == [("a", "1+2"), ("b", ""), ("c", "")]
