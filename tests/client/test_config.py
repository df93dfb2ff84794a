from __future__ import annotations

import copy
import datetime as dt
import math
import pickle
import ssl
import traceback
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from presence_async import (
    AuthToken,
    ExponentialRetry,
    InvalidArgumentError,
    LinearRetry,
    PresenceConfig,
)

KEYS: dict[str, Any] = {"subscribe_key": "sub-c-1", "user_id": "bob"}
SECRETS: dict[str, Any] = {
    "secret_key": "sec-c-hidden",
    "auth": "token-hidden",
    "proxy": "http://u:hidden@p",
}


@pytest.mark.parametrize(
    ("settings", "argument", "words"),
    [
        ({"subscribe_key": ""}, "subscribe_key", "missing"),
        ({"user_id": ""}, "user_id", "missing"),
        ({"user_id": " "}, "user_id", "blank"),
        ({"user_id": "../x"}, "user_id", "path segment"),
        ({"subscribe_key": "a b"}, "subscribe_key", "spaces"),
        ({"secret_key": ""}, "secret_key", "empty"),
        ({"auth": " "}, "auth", "blank"),
        ({"auth": 7}, "auth", "async function"),
        ({"origin": "http://host/path"}, "origin", "without user, path"),
        ({"origin": "host/path"}, "origin", "without user, path"),
        ({"origin": "http://host?x=1"}, "origin", "query"),
        ({"origin": "http://u:p@host"}, "origin", "user"),
        ({"origin": "ftp://host"}, "origin", "URL"),
        ({"origin": ""}, "origin", "host"),
        ({"origin": "host:99999"}, "origin", "host"),
        ({"origin": "ho st"}, "origin", "host"),
        ({"origin": None}, "origin", "host"),
        ({"origin": "ho\x00st"}, "origin", "host"),
        ({"origin": "ho\ud800st"}, "origin", "host"),
        ({"origin": "a..b"}, "origin", "host"),
        ({"origin": "h*st"}, "origin", "host"),
        ({"origin": "x" * 300}, "origin", "host"),
        ({"origin": "[::1"}, "origin", "host"),
        ({"proxy": "p:3128"}, "proxy", "such as 'http://"),
        ({"proxy": "socks5://p"}, "proxy", "such as 'http://"),
        ({"proxy": 7}, "proxy", "such as 'http://"),
        ({"retry": None}, "retry", "NoRetry"),
        ({"retry": ExponentialRetry}, "retry", "NoRetry"),
        ({"ssl_context": True}, "ssl_context", "SSLContext"),
        ({"secure": None}, "secure", "True or False"),
        ({"leave_on_close": "no"}, "leave_on_close", "True or False"),
        ({"subscribe_key": None}, "subscribe_key", "missing"),
        ({"presence_timeout_s": 10**40}, "presence_timeout_s", "no more than"),
        ({"heartbeat_interval_s": 10**400}, "heartbeat_interval_s", "too large"),
        ({"presence_timeout_s": 2}, "presence_timeout_s", "3 s or more"),
        ({"presence_timeout_s": 20.5}, "presence_timeout_s", "int"),
        ({"presence_timeout_s": True}, "presence_timeout_s", "int"),
        ({"heartbeat_interval_s": 300}, "heartbeat_interval_s", "write 149"),
        ({"heartbeat_interval_s": 0}, "heartbeat_interval_s", "above 0"),
        ({"attempt_timeout_s": 0}, "attempt_timeout_s", "above 0"),
        ({"attempt_timeout_s": math.inf}, "attempt_timeout_s", "finite"),
        ({"call_timeout_s": -1}, "call_timeout_s", "above 0"),
        ({"call_timeout_s": math.nan}, "call_timeout_s", "above 0"),
        ({"close_timeout_s": "5"}, "close_timeout_s", "number"),
        ({"max_connections": 0}, "max_connections", "from 1"),
        ({"max_beats_in_flight": 1.5}, "max_beats_in_flight", "whole"),
        ({"max_requests_per_s": 0}, "max_requests_per_s", "above 0"),
        ({"max_reply_bytes": 0}, "max_reply_bytes", "from 1"),
        ({"query_params": {"uuid": "x"}}, "query_params", "set by the library"),
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_refused_by_name(
    settings: dict[str, Any], argument: str, words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        PresenceConfig(**{**KEYS, **settings})

    assert caught.value.argument == argument


def test_a_missing_key_is_reported_by_name() -> None:
    with pytest.raises(InvalidArgumentError, match="subscribe_key: is missing"):
        PresenceConfig()


@pytest.mark.parametrize(
    ("origin", "secure", "url"),
    [
        ("ps.pndsn.com", True, "https://ps.pndsn.com"),
        ("ps.pndsn.com", False, "http://ps.pndsn.com"),
        ("localhost:8080", False, "http://localhost:8080"),
        ("http://localhost:8080", True, "http://localhost:8080"),
        ("https://example.org/", False, "https://example.org"),
        ("[::1]:80", False, "http://[::1]:80"),
        ("presence_1:", False, "http://presence_1"),
        ("bücher.example", True, "https://bücher.example"),
    ],
)
def test_an_origin_is_a_host_or_a_url_whose_scheme_decides(
    origin: str, secure: bool, url: str
) -> None:
    config = PresenceConfig(**KEYS, origin=origin, secure=secure)

    assert config.base_url == url


def test_the_interval_follows_the_formula_unless_configured() -> None:
    own = PresenceConfig(**KEYS, presence_timeout_s=60, heartbeat_interval_s=10)

    assert PresenceConfig(**KEYS).interval_s(300) == 149
    assert own.interval_s(60) == 10
    assert own.interval_s(20) == 9


def test_secrets_show_in_neither_repr_nor_dict() -> None:
    config = PresenceConfig(**KEYS, **SECRETS)

    assert "hidden" not in repr(config) + str(config.to_dict())
    assert "hidden" not in repr(AuthToken(value="hidden"))
    assert config.to_dict()["user_id"] == "bob"


def test_a_config_pickles_and_compares() -> None:
    config = PresenceConfig(**KEYS, retry=LinearRetry(), query_params={"a": "1"})

    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301  # our own
    assert config != PresenceConfig(**KEYS, retry=ExponentialRetry())


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_shares_what_cannot_be_copied(
    copied: Callable[[PresenceConfig], PresenceConfig],
) -> None:
    async def provider(_: str) -> str:
        return "token"

    context = ssl.create_default_context()
    config = PresenceConfig(
        **KEYS, ssl_context=context, auth=provider, query_params={"a": "1"}
    )

    other = copied(config)

    assert other == config
    assert other.ssl_context is context
    assert other.auth is provider
    assert other.query_params is not config.query_params


def test_pickling_a_config_with_an_ssl_context_says_what_to_do() -> None:
    config = PresenceConfig(**KEYS, ssl_context=ssl.create_default_context())

    with pytest.raises(TypeError, match=r"ssl_context cannot be pickled; pickle attrs"):
        pickle.dumps(config)

    bare = attrs.evolve(config, ssl_context=None)
    assert pickle.loads(pickle.dumps(bare)) == bare  # noqa: S301  # our own


def test_the_environment_is_read_and_arguments_win(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "SUBSCRIBE_KEY": "sub",
        "PUBLISH_KEY": "pub",
        "SECRET_KEY": "sec",
        "USER_ID": "eve",
        "AUTH": "token",
        "ORIGIN": "http://localhost:1",
        "PRESENCE_TIMEOUT_S": "60",
    }.items():
        monkeypatch.setenv(f"PUBNUB_{name}", value)

    config = PresenceConfig.from_env(user_id="bob")

    assert (config.subscribe_key, config.publish_key) == ("sub", "pub")
    assert (config.secret_key, config.auth) == ("sec", "token")
    assert (config.user_id, config.presence_timeout_s) == ("bob", 60)
    assert config.base_url == "http://localhost:1"


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\n\n"], ids=repr)
def test_line_ends_around_variables_are_dropped(
    monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    settings: dict[str, Any] = {
        "subscribe_key": "sub",
        "publish_key": "pub",
        "secret_key": "sec",
        "user_id": "bob",
        "auth": "token",
        "origin": "http://localhost:1",
        "proxy": "http://u:hidden@proxy:3128",
        "presence_timeout_s": 60,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"PUBNUB_{name.upper()}", f"{value}{ends}")

    assert PresenceConfig.from_env() == PresenceConfig(**settings)


def test_a_variable_of_line_ends_alone_counts_as_unset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PUBNUB_AUTH", "\r\n")

    assert PresenceConfig.from_env(**KEYS).auth is None


@pytest.mark.parametrize(
    "bad", ["a\nb", "a\x1bb", "a\tb", "a\x7fb", "a\u2028b"], ids=ascii
)
@pytest.mark.parametrize(
    "name", ["SUBSCRIBE_KEY", "SECRET_KEY", "USER_ID", "AUTH", "ORIGIN", "PROXY"]
)
def test_control_characters_in_a_variable_are_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, bad: str
) -> None:
    monkeypatch.setenv("PUBNUB_SUBSCRIBE_KEY", "sub")
    monkeypatch.setenv("PUBNUB_USER_ID", "bob")
    monkeypatch.setenv(f"PUBNUB_{name}", f"hidden{bad}")

    with pytest.raises(InvalidArgumentError, match="control characters") as caught:
        PresenceConfig.from_env()

    shown = traceback.TracebackException.from_exception(
        caught.value, capture_locals=True
    )
    assert caught.value.argument == f"PUBNUB_{name}"
    assert "hidden" not in "".join(shown.format())


def test_a_variable_that_an_argument_replaces_is_not_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PUBNUB_USER_ID", "a\nb")

    assert PresenceConfig.from_env(**KEYS).user_id == "bob"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUBNUB_PROXY", "proxy:3128"),
        ("PUBNUB_PRESENCE_TIMEOUT_S", "soon"),
        ("PUBNUB_ORIGIN", "a/b"),
    ],
)
def test_a_wrong_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("PUBNUB_SUBSCRIBE_KEY", "sub")
    monkeypatch.setenv("PUBNUB_USER_ID", "bob")
    monkeypatch.setenv(name, value)

    with pytest.raises(InvalidArgumentError) as caught:
        PresenceConfig.from_env()

    assert caught.value.argument == name


def test_an_error_about_a_variable_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PUBNUB_SUBSCRIBE_KEY", "sub")
    monkeypatch.setenv("PUBNUB_SECRET_KEY", "hidden")
    monkeypatch.setenv("PUBNUB_AUTH", "hidden")

    with pytest.raises(InvalidArgumentError) as caught:
        PresenceConfig.from_env()

    shown = traceback.TracebackException.from_exception(
        caught.value, capture_locals=True
    )
    assert "hidden" not in "".join(line for line in shown.format())


def test_the_expiry_of_a_token_must_be_an_aware_datetime() -> None:
    for ends in (dt.datetime(2030, 1, 1), "tomorrow", 7):  # noqa: DTZ001  # the point
        with pytest.raises(InvalidArgumentError, match="aware datetime"):
            AuthToken(value="t", expires_at=ends)  # type: ignore[arg-type]  # the point


@pytest.mark.parametrize("bad", ["token\n", "a\r\nb", "a\x00", "a\u2028b"], ids=ascii)
def test_control_characters_in_a_token_are_refused(bad: str) -> None:
    for make in (
        lambda: PresenceConfig(**KEYS, auth=bad),
        lambda: AuthToken(value=bad),
    ):
        with pytest.raises(InvalidArgumentError, match="line ends") as caught:
            make()

        assert caught.value.argument == "auth"
        assert bad not in str(caught.value)


def test_a_wrong_argument_is_named_as_the_argument(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PUBNUB_SUBSCRIBE_KEY", "sub")

    with pytest.raises(InvalidArgumentError) as caught:
        PresenceConfig.from_env(user_id="..")

    assert caught.value.argument == "user_id"
