"""The public methods: answers, bad input, odd names, secrets; promises 11 and 12."""

from __future__ import annotations

import asyncio
import logging
import math
import pickle
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from presence_async import (
    HereNow,
    InvalidArgumentError,
    PresenceClient,
    PresenceConfig,
    RequestError,
)
from presence_async.emulator import Fault, PresenceEmulator

Call = Callable[[PresenceClient], Awaitable[Any]]
ODD = ["a/b", "a?b", "a#b", "a%2Fb", "a+b c", "日本", "a:b&c=d;e@f", "😀~'\"<>|`^{}[]"]
SECRETS = ("s3cr3t/t0ken+x", "sec-c-h1dden")


async def test_here_now_answers_alike_for_one_several_groups_and_all(
    client: PresenceClient,
) -> None:
    await client.join(["lobby", "news"], state={"a": 1})
    await client.join("lobby", user_id="eve")
    await client.add_channels("floor", ["lobby"])

    one = await client.here_now("lobby")
    several = await client.here_now(["lobby", "empty"])
    group = await client.here_now(channel_groups="floor")
    everywhere = await client.here_now(include_state=True)

    assert {h.channels["lobby"].user_ids for h in (one, several, group)} == {
        ("bob", "eve")
    }
    assert several.channels["empty"].occupancy == 0
    assert (everywhere.total_channels, everywhere.total_occupancy) == (2, 3)
    occupants = everywhere.channels["lobby"].occupants or ()
    assert [o.state for o in occupants] == [{"a": 1}, {}]


async def test_an_iterable_that_turns_out_empty_asks_for_nothing(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    here = await client.here_now([])
    counts = await client.here_now(iter(()), include_user_ids=False)

    assert here == HereNow(channels={}, total_channels=0, total_occupancy=0)
    assert counts.channels == {}
    assert emulator.requests.total == 0


async def test_occupants_are_read_page_by_page(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    users = [f"user-{n:03}" for n in range(25)]
    await asyncio.gather(*(client.heartbeat("lobby", user_id=u) for u in users))

    pages = client.occupants("lobby", page_size=10)
    found = [occupant.user_id async for occupant in pages]

    assert sorted(found) == users
    assert pages.is_complete
    asked = emulator.requests.of("here now")
    assert [e.params.get("offset") for e in asked] == [None, "10", "20"]


async def test_two_readers_of_the_pages_miss_nobody(client: PresenceClient) -> None:
    for user_id in "abcdef":
        await client.heartbeat("lobby", user_id=user_id)
    pages = client.occupants("lobby", page_size=2)

    found = await asyncio.gather(*(anext(pages) for _ in range(3)))
    found += [occupant async for occupant in pages]

    assert sorted(occupant.user_id for occupant in found) == list("abcdef")


async def test_closing_the_pages_ends_the_iteration(client: PresenceClient) -> None:
    await client.heartbeat("lobby")
    pages = client.occupants("lobby", include_state=True)

    await pages.close()

    assert [occupant async for occupant in pages] == []
    assert not pages.is_complete


@pytest.mark.parametrize("name", ODD)
async def test_odd_names_round_trip_through_every_operation(
    client: PresenceClient, emulator: PresenceEmulator, name: str
) -> None:
    async with client.join(name, user_id=name, state={name: name}) as lease:
        here = await client.here_now(name, include_state=True)
        where = await client.where_now(name)
        states = await client.get_state(name, user_id=name)
        await lease.set_state({"new": name})
        await client.heartbeat(name, user_id="other")
        await client.leave(name, user_id="other")
        await client.add_channels(name, [name, "x"])
        listed = await client.list_channels(name), await client.list_groups()
        by_group = await client.here_now(channel_groups=name)
        await client.remove_channels(name, "x")
        await client.delete_group(name)

    assert here.channels[name].user_ids == (name,)
    assert (here.channels[name].occupants or ())[0].state == {name: name}
    assert where.channels == (name,)
    assert states.states == {name: {name: name}}
    assert listed == ((name, "x"), (name,))
    assert by_group.channels[name].user_ids == (name,)
    assert await client.list_groups() == ()
    actions = [(e.action, e.user_id) for e in emulator.events(name)]
    assert actions == [
        ("join", name),
        ("state-change", name),
        ("join", "other"),
        ("leave", "other"),
        ("leave", name),
    ]


BAD: dict[str, Call] = {
    "dots": lambda c: c.here_now(".."),
    "dots inside": lambda c: c.where_now("a/../b"),
    "dot": lambda c: c.get_state("."),
    "blank": lambda c: c.heartbeat(" "),
    "empty": lambda c: c.leave(""),
    "long": lambda c: c.here_now("x" * 2049),
    "surrogate": lambda c: c.where_now("\ud800"),
    "comma": lambda c: c.here_now("a,b"),
    "comma in group": lambda c: c.add_channels("a,b", "c"),
    "presence name": lambda c: c.heartbeat("a-pnpres"),
    "presence state": lambda c: c.set_state("a-pnpres", state={}),
    "nothing named": lambda c: c.get_state(),
    "no channels": lambda c: c.heartbeat([]),
    "nothing to leave": lambda c: c.leave([]),
    "no members": lambda c: c.add_channels("g", []),
    "limit 0": lambda c: c.here_now("a", limit=0),
    "limit 1001": lambda c: c.here_now("a", limit=1001),
    "limit true": lambda c: c.here_now("a", limit=True),
    "offset": lambda c: c.here_now("a", offset=-1),
    "timeout 0": lambda c: c.where_now(timeout_s=0),
    "timeout endless": lambda c: c.where_now(timeout_s=10**400),
    "no parameters": lambda c: c.where_now(query_params=[]),  # type: ignore[arg-type]  # the point
    "offset endless": lambda c: c.here_now("a", offset=10**5000),
    "timeout nan": lambda c: c.where_now(timeout_s=math.nan),
    "empty, timeout": lambda c: c.here_now([], timeout_s=-1),
    "our parameter": lambda c: c.where_now(query_params={"auth": "x"}),
    "state nan": lambda c: c.set_state("a", state={"x": math.nan}),
    "heartbeat state": lambda c: c.heartbeat("a", state={"x": b""}),
    "presence timeout": lambda c: c.heartbeat("a", presence_timeout_s=2),
    "user": lambda c: c.set_state("a", state={}, user_id=""),
}


@pytest.mark.parametrize("call", list(BAD.values()), ids=list(BAD))
async def test_bad_input_is_refused_before_any_request(
    client: PresenceClient, emulator: PresenceEmulator, call: Call
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await call(client)

    assert caught.value.argument
    assert emulator.requests.total == 0


@pytest.mark.parametrize(
    "options",
    [
        {"channels": "a-pnpres"},
        {"channels": []},
        {"channels": "a", "presence_timeout_s": 2},
        {"channels": "a", "linger_s": -1},
        {"channels": "a", "linger_s": math.inf},
        {"channels": "a", "state": [1]},
        {"channels": "a", "timeout_s": 0},
    ],
    ids=str,
)
async def test_join_refuses_at_the_call(
    client: PresenceClient, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgumentError):
        client.join(**options)  # type: ignore[unused-awaitable]


async def test_own_parameters_travel_with_every_request(
    emulator: PresenceEmulator,
) -> None:
    config = emulator.config(query_params={"a": "1", "b": "1"})
    async with PresenceClient(config) as client:
        await client.where_now(query_params={"b": 2})  # type: ignore[dict-item]
        await client.join("lobby", query_params={"c": "3"})
    sent = [{k: e.params.get(k) for k in "abc"} for e in emulator.requests]

    assert sent == [
        {"a": "1", "b": "2", "c": None},
        {"a": "1", "b": "1", "c": "3"},
        {"a": "1", "b": "1", "c": "3"},
    ]


async def test_signed_requests_pass_a_service_that_verifies() -> None:
    async with PresenceEmulator(secret_key="sec") as strict:
        async with PresenceClient(strict.config(user_id="a b~/ü")) as client:
            await client.add_channels("g", ["x y", "z~"])
            async with client.join("lobby", channel_groups="g", state={"m": "ok~!"}):
                here = await client.here_now(["lobby", "z~"], include_state=True)
        wrong = strict.config(secret_key="other")
        async with PresenceClient(wrong) as client:
            with pytest.raises(RequestError, match="403"):
                await client.where_now()

    assert here.total_occupancy == 2


BROKEN = [
    Fault(status=200, body=b"<html>/x?auth=s3cr3t%2Ft0ken%2Bx</html>"),
    Fault(status=200, body=b'{"status":403,"message":"bad s3cr3t/t0ken+x"}'),
    Fault(
        status=404, body=b'{"message":"no /x?auth=s3cr3t%2Ft0ken%2Bx&signature=v2.y"}'
    ),
    Fault(status=403, body=b'{"message":"token s3cr3t/t0ken+x expired"}'),
    Fault(status=500, body=b"sec-c-h1dden"),
    Fault(status=200, body=b"x" * 191 + b"s3cr3t/t0ken+x"),
    Fault(status=404, body=b'{"message":"' + b"x" * 191 + b's3cr3t/t0ken+x"}'),
    Fault(
        status=200, body=b"no %2Fx%3Fauth%3Ds3cr3t%252Ft0ken%252Bx%26signature%3Dv2.y"
    ),
    Fault(cut=True),
    Fault(delay_s=math.inf),
]


@pytest.mark.parametrize("fault", BROKEN, ids=range(len(BROKEN)))
async def test_planted_secrets_appear_nowhere(
    emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    token, secret = SECRETS
    config = emulator.config(auth=token, secret_key=secret, attempt_timeout_s=1)
    emulator.inject(fault)
    with caplog.at_level(logging.DEBUG):
        async with PresenceClient(config) as client:
            with pytest.raises(RequestError) as caught:
                await client.where_now()
            told = repr(client) + repr(client.config)
    error = caught.value
    assert error.__traceback__ is not None
    # The first frame is this test's own, which knows the secrets.
    error.__traceback__ = error.__traceback__.tb_next
    lines = traceback.TracebackException.from_exception(error, capture_locals=True)
    logged = [r.getMessage() for r in caplog.records if r.name != "asyncio"]
    told += "".join(lines.format()) + str(error) + repr(error) + repr(vars(error))
    told += "\n".join(logged) + repr(pickle.dumps(error))

    for hidden in ("s3cr3t", "t0ken", "h1dden", "v2."):
        assert hidden not in told
    assert "auth=***" in "".join(logged)


@pytest.mark.parametrize("is_given", [False, True], ids=["own", "given session"])
async def test_a_callers_timeout_shows_no_secret(
    emulator: PresenceEmulator, *, is_given: bool
) -> None:
    token, secret = SECRETS
    config = emulator.config(auth=token, secret_key=secret)
    emulator.inject(Fault(delay_s=math.inf))
    session = aiohttp.ClientSession() if is_given else None
    async with PresenceClient(config, session=session) as client:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(1):
                await client.where_now()
    if session is not None:
        await session.close()
    cancelled = caught.value.__cause__
    assert cancelled is not None
    assert cancelled.__traceback__ is not None
    told = traceback.TracebackException(
        type(cancelled),
        cancelled,
        cancelled.__traceback__.tb_next,
        capture_locals=True,
    )

    for hidden in ("s3cr3t", "t0ken", "h1dden", "v2."):
        assert hidden not in "".join(told.format())


async def test_tokens_of_nobody_and_closing_in_no_time_are_refused(
    client: PresenceClient,
) -> None:
    with pytest.raises(InvalidArgumentError, match="user_id"):
        client.set_auth("token", user_id="")
    with pytest.raises(InvalidArgumentError, match="user_id"):
        client.refresh_auth("..")
    with pytest.raises(InvalidArgumentError, match="timeout_s"):
        await client.close(0)

    assert not client.is_closed


async def test_names_beyond_what_is_documented_are_sent_and_told_of_once(
    client: PresenceClient, caplog: pytest.LogCaptureFixture
) -> None:
    channel, group, member, user_id = (f"{c}/{'ü' * 92}" for c in "cgmu")

    with caplog.at_level(logging.WARNING, "presence_async.client"):
        for _ in range(2):
            await client.heartbeat(["ü" * 92, channel], state={"text": "x" * 200})
            await client.add_channels(group, ["short", member])
            await client.here_now(channel_groups=group)
            await client.where_now(user_id)
    await client.heartbeat(channel, user_id=user_id)
    where = await client.where_now(user_id)

    told = [record.getMessage() for record in caplog.records]
    assert [line[1] for line in told] == ["c", "g", "m", "u"]
    assert "has 94 characters; PubNub documents names of up to 92" in told[0]
    assert where.channels == (channel,)


async def test_a_user_named_like_a_path_is_refused(client: PresenceClient) -> None:
    with pytest.raises(InvalidArgumentError, match="path segment"):
        await client.heartbeat("lobby", user_id="../../x?auth=")


def test_a_client_may_be_made_without_a_loop() -> None:
    config = PresenceConfig(subscribe_key="sub", user_id="bob")

    assert "new" in repr(PresenceClient(config))
