"""Every reply shape and error body that is known, read as the client reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from presence_async import (
    AccessDeniedError,
    HereNow,
    HereNowCounts,
    RateLimitedError,
    RejectedRequestError,
    ServiceError,
    UnavailableError,
    UserState,
    WhereNow,
)
from presence_async.emulator.router import operation_kind
from presence_async.protocol.exchange import HttpReply

Samples = Callable[[str], Any]


def understood(sample: Any) -> Any:
    kind = operation_kind(sample.request)
    assert kind is not None
    assert kind.name == sample.operation
    return kind.from_request(sample.request).from_reply(sample.reply)


def ids(here: HereNow, channel: str) -> tuple[str, ...] | None:
    return here.channels[channel].user_ids


@pytest.mark.parametrize(
    ("name", "channel", "expected"),
    [
        (
            "here_now_flat",
            "test-here-now-asyncio-ch",
            (("test-here-now-asyncio-uuid1",), 1),
        ),
        ("here_now_flat_state", "lobby", (("Kim", "Glen"), 2)),
        ("here_now_flat_empty", "lobby", ((), 0)),
        (
            "here_now_two_channels",
            "test-here-now-asyncio-ch2",
            (("test-here-now-asyncio-uuid1",), 2),
        ),
        ("here_now_two_channels_state", "a", (("Kim", "Glen"), 2)),
        ("here_now_two_channels_state", "b", ((), 2)),
        ("here_now_nobody_on_several", "game2", ((), 0)),
        ("here_now_group", "test-channel1", (("Kim",), 1)),
        ("here_now_global", "test-channel2", (("Earline",), 2)),
    ],
)
def test_here_now_says_who_and_how_many(
    sample: Samples, name: str, channel: str, expected: tuple[tuple[str, ...], int]
) -> None:
    here = understood(sample(name))

    assert isinstance(here, HereNow)
    assert (ids(here, channel), here.total_occupancy) == expected
    assert here.channels[channel].is_complete


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("here_now_flat_counts", {"lobby": 3}),
        ("here_now_flat_counts_empty", {"lobby": 0}),
        ("here_now_counts_of_several", {"test-channel1": 1, "test-channel3": 1}),
    ],
)
def test_counts_have_no_user_ids(
    sample: Samples, name: str, expected: dict[str, int]
) -> None:
    here = understood(sample(name))

    assert isinstance(here, HereNowCounts)
    assert {n: c.occupancy for n, c in here.channels.items()} == expected
    assert {c.user_ids for c in here.channels.values()} == {None}


@pytest.mark.parametrize("name", ["here_now_flat_state", "here_now_two_channels_state"])
def test_states_are_read_and_missing_ones_empty(sample: Samples, name: str) -> None:
    here = understood(sample(name))

    (channel,) = [c for c in here.channels.values() if c.occupancy]
    states = {o.user_id: o.state for o in channel.occupants or ()}
    assert states == {"Kim": {"channel1-state": ["channel-1-random-value"]}, "Glen": {}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "where_now",
            WhereNow(
                user_id="test-where-now-asyncio-uuid",
                channels=("test-where-now-asyncio-ch1", "test-where-now-asyncio-ch2"),
            ),
        ),
        ("where_now_nowhere", WhereNow(user_id="nobody", channels=())),
        ("set_state", {"count": 5, "name": "Alex"}),
        ("set_state_group", {"count": 5}),
        (
            "get_state_one",
            UserState(
                user_id="test-state-asyncio-uuid",
                states={"test-state-asyncio-ch": {"count": 5, "name": "Alex"}},
            ),
        ),
        ("get_state_one_empty", UserState(user_id="bob", states={"lobby": {}})),
        (
            "get_state_several",
            UserState(
                user_id="test-state-asyncio-uuid",
                states={
                    "test-state-asyncio-ch1": {"count": 5, "name": "Alex"},
                    "test-state-asyncio-ch2": {"count": 5, "name": "Alex"},
                },
            ),
        ),
        ("heartbeat", None),
        ("heartbeat_empty_timeout", None),
        ("heartbeat_cached", None),
        ("leave", None),
        ("leave_2025", None),
        ("group_add", None),
        ("group_add_2025", None),
        ("group_remove", None),
        ("group_list", ("ch1", "ch2")),
        ("group_delete", None),
        ("groups", ()),
    ],
)
def test_a_success_gives_the_recorded_facts(
    sample: Samples, name: str, expected: object
) -> None:
    assert understood(sample(name)) == expected


ERRORS: list[tuple[str, type[ServiceError], int, str, str]] = [
    (
        "400_subscribe_key",
        RejectedRequestError,
        400,
        "Invalid Subscribe Key",
        "Access Manager",
    ),
    ("400_no_state", RejectedRequestError, 400, "No state specified.", "Presence"),
    (
        "400_reserved_character",
        RejectedRequestError,
        400,
        "Reserved character in input parameters.",
        "channel-registry",
    ),
    ("400_array", RejectedRequestError, 400, "Invalid Key", ""),
    ("400_bare", RejectedRequestError, 400, "Invalid device token", ""),
    ("400_v3", RejectedRequestError, 400, "Invalid signature", "Access Manager"),
    (
        "402_in_200",
        RejectedRequestError,
        402,
        "This feature is not turned on for this account. Contact"
        " support@pubnub.com to activate this feature.",
        "Presence",
    ),
    ("503_in_200", UnavailableError, 503, "Service Unavailable", "Presence"),
    ("403_channels", AccessDeniedError, 403, "Forbidden", "Access Manager"),
    ("403_groups", AccessDeniedError, 403, "Forbidden", "Access Manager"),
    ("403_revoked", AccessDeniedError, 403, "Token is revoked", "Access Manager"),
    ("404", RejectedRequestError, 404, "Not found: '/v2/presence/...'", "Presence"),
    ("412", RejectedRequestError, 412, "Precondition", ""),
    ("413", RejectedRequestError, 413, "Request Entity Too Large.", "Balancer"),
    ("414", RejectedRequestError, 414, "Request URI Too Long", "Balancer"),
    ("429", RateLimitedError, 429, "Too many requests.", ""),
    ("500", UnavailableError, 500, "", ""),
    ("503", UnavailableError, 503, "Service Unavailable", "Presence"),
    ("504", UnavailableError, 504, "Service Unavailable", "Access Manager"),
    ("502_html", UnavailableError, 502, "", ""),
]


@pytest.mark.parametrize(
    ("name", "kind", "status", "message", "service"),
    ERRORS,
    ids=[case[0] for case in ERRORS],
)
def test_an_error_body_becomes_its_error(
    sample: Samples,
    name: str,
    kind: type[ServiceError],
    status: int,
    message: str,
    service: str,
) -> None:
    with pytest.raises(ServiceError) as caught:
        understood(sample(f"error_{name}"))

    error = caught.value
    assert type(error) is kind
    assert (error.status, error.message, error.service) == (status, message, service)
    assert error.__context__ is None


def test_a_refusal_names_channels_and_groups_without_the_colon(
    sample: Samples,
) -> None:
    denied = []
    for name in ("error_403_channels", "error_403_groups"):
        with pytest.raises(AccessDeniedError) as caught:
            understood(sample(name))
        denied.append((caught.value.channels, caught.value.channel_groups))

    assert denied == [(("test-channel1",), ()), ((), ("test-channel-group1",))]


@pytest.mark.parametrize(("name", "seconds"), [("429", 60), ("503", 30), ("500", None)])
def test_retry_after_is_kept(sample: Samples, name: str, seconds: float | None) -> None:
    with pytest.raises(ServiceError) as caught:
        understood(sample(f"error_{name}"))

    assert caught.value.retry_after_s == seconds


def test_every_sample_is_tested_and_marked(
    sample: Samples, sample_names: list[str]
) -> None:
    from pathlib import Path  # noqa: PLC0415  # only here

    text = Path(__file__).read_text(encoding="utf-8")
    short = [name.removeprefix("error_") for name in replies_of(sample_names)]

    assert len(sample_names) >= 48
    assert [name for name in short if f'"{name}"' not in text] == []
    assert {sample(name).evidence for name in sample_names} <= {"R", "T", "D"}


def test_the_emulator_answers_with_the_recorded_keys(
    sample: Samples, sample_names: list[str]
) -> None:
    checked = 0
    for name in replies_of(sample_names):
        one = sample(name)
        if name.startswith("error_") or name == "here_now_group":
            continue
        kind = operation_kind(one.request)
        assert kind is not None
        operation = kind.from_request(one.request)
        said: HttpReply = operation.to_reply(operation.from_reply(one.reply))
        assert shape(json.loads(said.body)) == shape(json.loads(one.reply.body)), name
        checked += 1
    assert checked >= 25


def replies_of(sample_names: list[str]) -> list[str]:
    """Leave out subscribe, whose replies have a file of their own."""
    return [name for name in sample_names if not name.startswith("subscribe_")]


def shape(value: Any) -> Any:
    """Return keys and types, which is what clients rely on."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return type(value).__name__
