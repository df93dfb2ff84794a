from __future__ import annotations

import html
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import rich.pretty
from hypothesis import given
from hypothesis import strategies as st

from presence_async import InvalidArgumentError
from presence_async.emulator.signatures import signature_refusal
from presence_async.protocol.encoding import decode_query
from presence_async.protocol.exchange import HttpReply, HttpRequest
from presence_async.protocol.identity import (
    RESERVED_PARAMS,
    Identity,
    checked_query_params,
    loggable,
    redacted,
)
from presence_async.protocol.signature import signature_v2

KEYS: dict[str, Any] = {"publish_key": "demo-pub", "secret_key": "demo-secret"}
COMMON = [
    ("pnsdk", "PubNub-Demo/1.0.0"),
    ("timestamp", "1700000000"),
    ("uuid", "user 1"),
]
BASE = "/v2/presence/sub-key/demo-sub/channel/lobby"


@pytest.mark.parametrize(
    ("path", "params", "expected"),
    [
        (
            f"{BASE},caf%C3%A9",
            [*COMMON, ("channel-group", "g1,g2"), ("limit", "1000"), ("state", "1")],
            "v2.5nt9pfTkFt9QXLnXOfTsrPN1MPfOMA8cbXiBgL9cQyk",
        ),
        (
            f"{BASE}/uuid/user%201/data",
            [*COMMON, ("state", '{"mood":"ok~!","n":1}')],
            "v2.5PmjCVoxXpTKoU0Vda9axVWL9k8Cjpo5mly3YfxO7sM",
        ),
        (
            f"{BASE}/leave",
            COMMON,
            "v2.yhLhXMXE1u8Ty6QbdUosBdIUZ318h6he-oxAldRtpyg",
        ),
    ],
    ids=["here now", "set state", "leave"],
)
def test_signatures_match_the_worked_examples(
    path: str, params: list[tuple[str, str]], expected: str
) -> None:
    assert signature_v2(path=path, params=params, **KEYS) == expected


def test_signature_matches_the_vector_of_another_sdk() -> None:
    signature = signature_v2(
        path="/publish/pubKey/subKey/0/my_channel/0/%22hello%21%22",
        params=[
            ("uuid", "userId"),
            ("ttl", "10"),
            ("timestamp", "1679642098"),
            ("store", "1"),
            ("pnsdk", "PubNub-Rust"),
        ],
        publish_key="pubKey",
        secret_key="secKey",
    )

    assert signature == "v2.AHl5lMpzyT4qcvvlqaszCjTUqU6dPb10a4_XSaYCNIQ"


IDENTITY = Identity(subscribe_key="sub", user_id="me", **KEYS)


@given(st.text(min_size=1).filter(lambda t: t.isprintable()))
def test_a_signature_is_verified_and_a_change_is_noticed(user_id: str) -> None:
    request = IDENTITY.stamp(
        HttpRequest(path="/p", query="a=1"), user_id=user_id, timestamp_s=1
    )
    changed = HttpRequest(path=request.path, query=request.query.replace("a=1", "a=2"))

    assert signature_refusal(request, **KEYS, unix_s=1) is None
    assert signature_refusal(changed, **KEYS, unix_s=1) is not None


def test_a_stamp_carries_what_is_common() -> None:
    identity = Identity(subscribe_key="sub", user_id="a/b?", query_params=(("x", "1"),))

    request = identity.stamp(
        HttpRequest(path="/p", query="limit=1"),
        token="t&uuid=evil",
        request_id="r",
        query_params=(("x", "2"), ("y", "ü")),
    )

    assert dict(decode_query(request.query)) == {
        "limit": "1",
        "pnsdk": "presence-async/0.1.0",
        "uuid": "a/b?",
        "requestid": "r",
        "auth": "t&uuid=evil",
        "x": "2",
        "y": "ü",
    }


def test_the_version_is_the_packages() -> None:
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    version = tomllib.loads(pyproject.read_text("utf-8"))["project"]["version"]

    request = IDENTITY.stamp(HttpRequest(path="/p"), timestamp_s=1)

    assert request.params()["pnsdk"] == f"presence-async/{version}"


def test_secrets_are_hidden_from_repr_and_log() -> None:
    request = IDENTITY.stamp(HttpRequest(path="/p"), token="tok/en", timestamp_s=1)

    shown = repr(IDENTITY) + repr(request) + loggable(request)

    assert "demo-secret" not in shown
    assert "tok" not in shown
    assert "v2." not in shown
    assert "auth=***" in loggable(request)


@pytest.mark.parametrize(
    "query", ["auth=a%26planted&x=1", "a%75th=planted&x=1", "x=1&sign%61ture=planted"]
)
def test_no_escape_shows_a_secret_in_the_log(query: str) -> None:
    told = loggable(HttpRequest(path="/p", query=query))

    assert "planted" not in told
    assert "x=1" in told


@pytest.mark.parametrize(
    "text",
    [
        "/p?auth=s3cr%2Ft&x=1",
        "got s3cr/t here",
        "lower s3cr%2ft",
        "twice s3cr%252Ft",
        "Not found: '/x?signature=v2.abc'",
        "no %2Fx%3Fuuid%3Db%26auth%3Ds3cr%252Ft%26signature%3Dv2.abc%26x%3D1",
        "no %252Fx%253Fauth%253Ds3cr%25252Ft%2526signature%253Dv2.abc",
        "cut off at s3cr/",
        "cut off at s3cr%2",
    ],
)
def test_secrets_are_taken_out_of_texts_in_every_form(text: str) -> None:
    clean = redacted(text, ["s3cr/t"])

    assert "s3cr" not in clean
    assert "v2.abc" not in clean
    assert "***" in clean


@pytest.mark.parametrize(
    "text",
    ['{"t":"a\\"b\\\\c<\\u00fc"}', r"""'a"b\\c<ü'""", "<p>a&quot;b\\c&lt;ü", 'a"b\\c'],
)
def test_a_secret_of_odd_characters_is_found_as_others_write_it(text: str) -> None:
    clean = redacted(text, ['a"b\\c<ü'])

    assert "c<" not in clean
    assert "c&" not in clean
    assert 'a"b' not in clean


def test_what_follows_a_secret_stays() -> None:
    text = "/x%3Fauth%3Dabc%26channel%3Dlobby and auth=abc&channel=lobby"

    clean = redacted(text, [])

    assert clean == "/x%3Fauth%3D***%26channel%3Dlobby and auth=***&channel=lobby"


def test_a_tiny_secret_does_not_shred_the_text() -> None:
    assert redacted("a banana", ["a"]) == "a banana"


@pytest.mark.parametrize("name", sorted(RESERVED_PARAMS))
def test_parameters_of_the_library_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=re.escape(repr(name))):
        checked_query_params({name: "x"})


@pytest.mark.parametrize(
    "params",
    [
        {"": "x"},
        {" ": "x"},
        {1: "x"},
        {"a": None},
        {"a": b"x"},
        {"a": "\ud800"},
        {"a": float("nan")},
        "a=b",
        [],
        "",
        0,
    ],
    ids=ascii,
)
def test_an_invalid_query_parameter_is_refused(params: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        checked_query_params(params)


def test_numbers_become_text() -> None:
    params = checked_query_params({"a": 1, "b": 1.5, "c": True, "d": False})

    assert params == (("a", "1"), ("b", "1.5"), ("c", "true"), ("d", "false"))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (
            Identity(
                subscribe_key="sub",
                user_id="bob",
                secret_key="hidden",
                query_params=(("auth", "hidden"),),
            ),
            "Identity(subscribe_key='sub', user_id='bob', publish_key=None)",
        ),
        (
            HttpRequest(path="/time/0", query="auth=hidden"),
            "HttpRequest(path='/time/0')",
        ),
        (
            HttpReply(status=200, body=b"hidden", headers={"x": "hidden"}),
            "HttpReply(status=200)",
        ),
    ],
    ids=["identity", "request", "reply"],
)
def test_what_may_hold_a_secret_shows_none(value: object, shown: str) -> None:
    assert repr(value) == shown
    assert rich.pretty.pretty_repr(value, max_width=200) == shown


def test_a_secret_is_hidden_as_html_writes_it() -> None:
    secret = "a&b<c>d\"e'f"

    assert redacted(f"in {html.escape(secret)}.", [secret]) == "in ***."
