from __future__ import annotations

import contextlib
import datetime as dt
import enum
import http
import json
import math
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from presence_async import InvalidArgumentError
from presence_async.protocol.json_codec import (
    JsonError,
    decode,
    decode_object,
    decode_objects,
    encode_state,
    plain_state,
)

RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])

states = st.dictionaries(
    st.text(),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    ).filter(lambda v: "inf" not in repr(v).casefold()),
)


@given(states)
def test_every_json_object_is_a_state_and_comes_back(state: dict[str, Any]) -> None:
    assert decode_object(encode_state(plain_state(state)).encode()) == state


@pytest.mark.parametrize(
    ("state", "path"),
    [
        ({"a": math.nan}, r"state\['a'\] is nan"),
        ({"a": [1, math.inf]}, r"state\['a'\]\[1\] is inf"),
        ({"a": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}, "datetime"),
        ({"a": b"x"}, "bytes"),
        ({"a": {1}}, "set"),
        ({"a": {"b": {1: 2}}}, r"state\['a'\]\['b'\] has a key of type int"),
        ({"a": "\ud800"}, "lone surrogate"),
        ({"\ud800": 1}, "lone surrogate"),
        ([1], "not list"),
        (None, "not NoneType"),
        ("{}", "not str"),
        ({"a": ...}, "ellipsis"),
        ({"a": 2**5000}, r"state\['a'\] is an int of over 1,000 digits"),
    ],
    ids=repr,
)
def test_values_that_are_not_json_are_refused_with_their_path(
    state: Any, path: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=path):
        plain_state(state)


class _Mood(str, enum.Enum):  # noqa: UP042  # whose str() is not its value
    HAPPY = "happy"


class _Count(int):
    pass


def test_members_of_enums_and_own_numbers_are_what_they_stand_for() -> None:
    state = {_Mood.HAPPY: [_Mood.HAPPY, _Count(3), 2**70, http.HTTPStatus.OK]}

    encoded = encode_state(plain_state(state))

    assert encoded == '{"happy":["happy",3,1180591620717411303424,200]}'


def test_a_state_that_contains_itself_is_refused() -> None:
    state: dict[str, Any] = {}
    state["self"] = state

    with pytest.raises(InvalidArgumentError, match="100 levels"):
        plain_state(state)


def test_a_plain_state_is_a_copy() -> None:
    tags = ["a"]
    plain = plain_state({"tags": tags, "pair": (1, 2)})

    tags.append("b")

    assert plain == {"tags": ["a"], "pair": [1, 2]}


@pytest.mark.parametrize(
    "hostile",
    [
        b'{"a":"\\ud800"}',
        b'"\\udc00x"',
        b"NaN",
        b"[-Infinity]",
        b"[" * 1_000_000 + b"]" * 1_000_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"\\ud800":1}',
        b"1e999",
        b'{"a":"\xff"}',
    ],
    ids=lambda text: str(text[:14]),
)
def test_one_hostile_value_spoils_only_itself(hostile: bytes) -> None:
    document = b'{"before":{"v":"NaN [{"},"bad":' + hostile + b',"after":{"v":2}}'

    found = decode(document, RAW)

    assert decode_object(bytes(found["before"])) == {"v": "NaN [{"}
    assert decode_object(bytes(found["after"])) == {"v": 2}
    with pytest.raises(JsonError):
        decode_object(bytes(found["bad"]))


def test_pairs_and_escaped_escapes_are_left_alone() -> None:
    document = b'{"a":"\\ud83d\\ude00","b":"\\\\ud800","c":NaN}'

    found = decode(document, RAW)

    assert json.loads(bytes(found["a"])) == "😀"
    assert json.loads(bytes(found["b"])) == "\\ud800"


@pytest.mark.parametrize(
    "text",
    [b"", b"<html>", b"{", b'{"a":', b"\xff", b"[" * 1_000_000, b'"\\ud800', b"}{"],
    ids=lambda text: str(text[:10]),
)
def test_undecodable_text_raises_one_error(text: bytes) -> None:
    with pytest.raises(JsonError):
        decode(text, RAW)


def test_depth_and_nan_in_one_document_spoil_only_themselves() -> None:
    deep = b"[" * 600 + b"[1],{}" + b"]" * 600
    document = b'{"a":{"v":NaN},"b":%s,"c":{"v":[]},"d":%s}' % (deep, deep)

    found = decode(document, RAW)

    assert decode_object(bytes(found["c"])) == {"v": []}
    for name in "abd":
        with pytest.raises(JsonError):
            decode_object(bytes(found[name]))


@pytest.mark.slow
def test_eight_hostile_mebibytes_take_no_more_than_seconds() -> None:
    began_s = time.process_time()

    for text in (
        b'{"a":' * 2**20 + b"}",
        b'"\\' * 2**20 + b"}",
        b"NaN," * 2**20 + b"]",
        b'["\\ud800",' * 2**19 + b"]",
        b"[" * 2**22 + b"]" * 2**22,
        b'{"a":' * 2**20 + b"1" + b"}" * 2**20,
    ):
        with contextlib.suppress(JsonError):
            decode(text, RAW)

    assert time.process_time() - began_s < 20


def test_several_objects_are_decoded_together() -> None:
    assert decode_objects(b'[{"a":1},{}]') == [{"a": 1}, {}]
    with pytest.raises(JsonError):
        decode_objects(b"[1]")
