"""The long poll over real sockets: which messages it brings, and when."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from presence_async.emulator import Fault, PresenceEmulator

Told = list[tuple[str, str | None, int]]


def told(messages: list[dict[str, Any]]) -> Told:
    """Say briefly what messages tell."""
    events = [message["d"] for message in messages]
    return [(e["action"], e.get("uuid"), e["occupancy"]) for e in events]


def matches(messages: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return [(message["c"], message.get("b")) for message in messages]


def listening(emulator: PresenceEmulator) -> int:
    """Return how many polls the service still knows."""
    return len(emulator._server.service.keyset("demo").feed._polls.all())


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_a_poll_is_held_until_there_is_news(sdk: Any) -> None:
    cursor, messages = await sdk.subscribe("a-pnpres")
    assert messages == []

    async with asyncio.TaskGroup() as group:
        poll = group.create_task(sdk.subscribe("a-pnpres", tt=cursor))
        await asyncio.sleep(100)
        assert not poll.done()
        await sdk.beat("bob", "a")
    cursor, messages = poll.result()
    assert told(messages) == [("join", "bob", 1)]

    started_s = now_s()
    cursor, messages = await sdk.subscribe("a-pnpres", tt=cursor)
    assert told(messages) == [("timeout", "bob", 0)]
    assert now_s() - started_s == pytest.approx(20)


async def test_an_idle_poll_ends_with_the_cursor_it_came_with(sdk: Any) -> None:
    cursor, _ = await sdk.subscribe("a-pnpres")
    started_s = now_s()

    target = f"/v2/subscribe/demo/a-pnpres/0?uuid=eve&tt={cursor}&tr=43"
    assert await sdk.get(target) == {"t": {"t": cursor, "r": 43}, "m": []}
    assert now_s() - started_s == pytest.approx(280)


async def test_the_hold_is_an_option(sdk: Any) -> None:
    async with PresenceEmulator(idle_poll_s=5) as emulator:
        other = sdk.to(emulator)
        cursor, _ = await other.subscribe("a")
        cursor, _ = await other.subscribe("a", tt=cursor)
        started_s = now_s()

        assert (await other.subscribe("a", tt=cursor))[1] == []
        assert now_s() - started_s == pytest.approx(5)


async def test_a_message_has_the_recorded_keys_and_types(sdk: Any) -> None:
    cursor, _ = await sdk.subscribe("a,a-pnpres", "bob", more="&heartbeat=20")
    _, [join] = await sdk.subscribe("a,a-pnpres", "bob", cursor)

    ms = join["d"]["precise_timestamp"]
    event = {
        "action": "join",
        "uuid": "bob",
        "timestamp": ms // 1000,
        "precise_timestamp": ms,
        "occupancy": 1,
    }
    assert join == {
        "a": join["a"],
        "f": 0,
        "p": {"t": join["p"]["t"], "r": join["p"]["r"]},
        "k": "demo",
        "c": "a-pnpres",
        "d": event,
        "u": {
            **{f"pn_{name}": value for name, value in event.items()},
            "pn_channel": "a",
            "pn_ispresence": 1,
        },
        "b": "a-pnpres",
    }
    assert isinstance(join["a"], str)
    assert isinstance(join["p"]["t"], str)
    assert isinstance(join["p"]["r"], int)
    assert int(join["p"]["t"]) // 10_000 == pytest.approx(ms, abs=1)


async def test_timetokens_are_the_time_and_never_the_same(sdk: Any) -> None:
    clock_s = 1_757_969_619.3377821
    async with PresenceEmulator(clock=lambda: clock_s) as emulator:
        other = sdk.to(emulator)
        cursor, _ = await other.subscribe("a-pnpres")
        for user in ("bob", "kim"):
            await other.beat(user, "a,b")
        _, messages = await other.subscribe("a-pnpres,b-pnpres", tt=cursor)

    tokens = [int(cursor), *(int(message["p"]["t"]) for message in messages)]
    assert len(tokens) == 5
    assert tokens == sorted(set(tokens))
    assert tokens[0] == pytest.approx(clock_s * 1e7, abs=10)
    assert tokens[-1] - tokens[0] < 20


async def test_a_poll_brings_the_own_join_and_events_since_the_handshake(
    sdk: Any,
) -> None:
    first, _ = await sdk.subscribe("a,a-pnpres", "bob")
    second, _ = await sdk.subscribe("a,a-pnpres", "eve")

    seen_by_bob = told((await sdk.subscribe("a,a-pnpres", "bob", first))[1])
    seen_by_eve = told((await sdk.subscribe("a,a-pnpres", "eve", second))[1])

    assert seen_by_bob == [("join", "bob", 1), ("join", "eve", 2)]
    assert seen_by_eve == [("join", "eve", 2)]


async def test_missed_messages_are_delivered_also_for_names_just_added(
    sdk: Any,
) -> None:
    cursor, _ = await sdk.subscribe("a-pnpres")
    await sdk.beat("bob", "a,b,c")
    await sdk.leave("bob", "a")

    _, messages = await sdk.subscribe("a-pnpres,b-pnpres", tt=cursor)

    assert told(messages) == [
        ("join", "bob", 1),
        ("join", "bob", 1),
        ("leave", "bob", 0),
    ]
    assert matches(messages) == [
        ("a-pnpres", "a-pnpres"),
        ("b-pnpres", "b-pnpres"),
        ("a-pnpres", "a-pnpres"),
    ]


async def test_the_queue_keeps_a_hundred_messages(sdk: Any) -> None:
    cursor, _ = await sdk.subscribe("a-pnpres")
    for number in range(60):
        await sdk.beat(f"u{number}", "a")
        await sdk.leave(f"u{number}", "a")

    _, messages = await sdk.subscribe("a-pnpres", tt=cursor)

    assert len(messages) == 100
    assert told(messages)[0] == ("join", "u10", 1)
    assert told(messages)[-1] == ("leave", "u59", 0)


async def test_a_poll_brings_the_newest_hundred_of_all_its_channels(sdk: Any) -> None:
    cursor, _ = await sdk.subscribe("a-pnpres")
    for number in range(30):
        await sdk.beat(f"u{number}", "a,b")
        await sdk.leave(f"u{number}", "a,b")

    _, messages = await sdk.subscribe("a-pnpres,b-pnpres", tt=cursor)

    assert len(messages) == 100
    assert told(messages)[0] == ("join", "u5", 1)


async def test_the_queue_keeps_messages_for_twenty_minutes(sdk: Any) -> None:
    cursor, _ = await sdk.subscribe("a-pnpres")
    await sdk.beat("bob", "a", "&heartbeat=9000")
    await asyncio.sleep(60)
    await sdk.beat("kim", "a", "&heartbeat=9000")
    await asyncio.sleep(19.5 * 60)

    _, messages = await sdk.subscribe("a-pnpres", tt=cursor)
    assert told(messages) == [("join", "kim", 2)]

    await asyncio.sleep(60)
    assert (await sdk.subscribe("a-pnpres", tt=cursor))[1] == []


async def test_a_cursor_ahead_of_the_clock_counts_as_now(sdk: Any) -> None:
    ahead = str(2**62)
    async with asyncio.TaskGroup() as group:
        poll = group.create_task(sdk.subscribe("a-pnpres", tt=ahead))
        await asyncio.sleep(1)
        await sdk.beat("bob", "a")

    assert told(poll.result()[1]) == [("join", "bob", 1)]
    assert int(poll.result()[0]) < int(ahead)
    # An idle poll gives a usable cursor instead, and so is nothing lost after it.
    cursor, _ = await sdk.subscribe("b-pnpres", tt=ahead)
    await sdk.beat("bob", "b")
    assert told((await sdk.subscribe("b-pnpres", tt=cursor))[1]) == [("join", "bob", 1)]


# Names.


async def test_a_group_brings_the_presence_of_its_members(sdk: Any) -> None:
    registry = "/v1/channel-registration/sub-key/demo/channel-group/g"
    await sdk.get(f"{registry}?add=x,y")
    more = "&channel-group=g,g-pnpres"
    cursor, _ = await sdk.subscribe(",", "eve", more=more)
    cursor, messages = await sdk.subscribe(",", "eve", cursor, more)
    assert sorted(matches(messages)) == [
        ("x-pnpres", "g-pnpres"),
        ("y-pnpres", "g-pnpres"),
    ]

    async with asyncio.TaskGroup() as tasks:
        poll = tasks.create_task(sdk.subscribe(",", "eve", cursor, more))
        await asyncio.sleep(1)
        await sdk.get(f"{registry}?add=z")
        await sdk.get(f"{registry}?remove=x")
        await sdk.beat("bob", "x")
        await sdk.beat("bob", "z")
    assert matches(poll.result()[1]) == [("z-pnpres", "g-pnpres")]


async def test_a_name_matched_twice_is_delivered_once_for_each(sdk: Any) -> None:
    await sdk.get("/v1/channel-registration/sub-key/demo/channel-group/g?add=a")
    more = "&channel-group=g-pnpres"
    cursor, _ = await sdk.subscribe("a-pnpres", more=more)
    await sdk.beat("bob", "a")

    _, messages = await sdk.subscribe("a-pnpres", tt=cursor, more=more)

    assert matches(messages) == [("a-pnpres", "a-pnpres"), ("a-pnpres", "g-pnpres")]


async def test_an_unknown_group_is_silent(sdk: Any) -> None:
    cursor, _ = await sdk.subscribe(",", more="&channel-group=none,none-pnpres")

    _, messages = await sdk.subscribe(",", tt=cursor, more="&channel-group=none-pnpres")

    assert messages == []


async def test_a_wildcard_makes_present_on_itself_and_brings_its_presence(
    sdk: Any, emulator: PresenceEmulator
) -> None:
    cursor, _ = await sdk.subscribe("foo.*", "bob")

    _, messages = await sdk.subscribe("foo.*", "bob", cursor)

    assert matches(messages) == [("foo.*-pnpres", "foo.*")]
    assert messages[0]["u"]["pn_channel"] == "foo.%2A"
    assert set(emulator.occupants("foo.*")) == {"bob"}


async def test_a_wildcard_of_presence_brings_that_of_each_channel_under_it(
    sdk: Any, emulator: PresenceEmulator
) -> None:
    cursor, _ = await sdk.subscribe("foo.*-pnpres")
    await sdk.beat("bob", "foo.a,foo.b.c,food,bar.foo.a")

    _, caught_up = await sdk.subscribe("foo.*-pnpres", tt=cursor)
    async with asyncio.TaskGroup() as group:
        poll = group.create_task(
            sdk.subscribe("foo.*-pnpres,foo.b.*-pnpres", tt=caught_up[-1]["p"]["t"])
        )
        await asyncio.sleep(1)
        await sdk.leave("bob", "foo.b.c")

    assert matches(caught_up) == [
        ("foo.a-pnpres", "foo.*-pnpres"),
        ("foo.b.c-pnpres", "foo.*-pnpres"),
    ]
    assert matches(poll.result()[1]) == [
        ("foo.b.c-pnpres", "foo.*-pnpres"),
        ("foo.b.c-pnpres", "foo.b.*-pnpres"),
    ]
    assert not emulator.occupants("foo.*")


async def test_a_published_message_reaches_its_channel_groups_and_wildcards(
    sdk: Any,
) -> None:
    await sdk.get("/v1/channel-registration/sub-key/demo/channel-group/g?add=a.b")
    more = "&channel-group=g"
    cursor, _ = await sdk.subscribe("a.b,a.*", more=more)
    (lone, _), text = await sdk.subscribe("a.b"), "%7B%22x%22%3A%5B1%2C%22%2F%22%5D%7D"
    is_sent, words, timetoken = await sdk.get(
        f"/publish/pub/demo/0/a.b/0/{text}?uuid=bob"
    )

    _, messages = await sdk.subscribe("a.b,a.*", tt=cursor, more=more)
    plain = [message for message in messages if message["c"] == "a.b"]
    _, [alone] = await sdk.subscribe("a.b", tt=lone)

    assert (is_sent, words) == (1, "Sent")
    assert sorted(matches(plain)) == [("a.b", "a.*"), ("a.b", "a.b"), ("a.b", "g")]
    assert alone == {
        "a": alone["a"],
        "f": 0,
        "i": "bob",
        "p": {"t": timetoken, "r": 1},
        "k": "demo",
        "c": "a.b",
        "d": {"x": [1, "/"]},
    }


# Presence.


async def test_naming_only_presence_makes_nobody_present(
    sdk: Any, emulator: PresenceEmulator
) -> None:
    await sdk.get("/v1/channel-registration/sub-key/demo/channel-group/g?add=b")
    await sdk.subscribe("a-pnpres", more="&channel-group=g-pnpres")

    assert await sdk.presence("uuid/eve?uuid=eve") == {
        "message": "OK",
        "payload": {"channels": []},
        "service": "Presence",
        "status": 200,
    }
    assert emulator.events("a") == emulator.events("b") == ()


@pytest.mark.parametrize(("more", "timeout_s"), [("", 300), ("&heartbeat=20", 20)])
async def test_subscribing_makes_present_for_the_time_it_says(
    sdk: Any, emulator: PresenceEmulator, more: str, timeout_s: float
) -> None:
    await sdk.get("/v1/channel-registration/sub-key/demo/channel-group/g?add=b")
    started_s = now_s()
    await sdk.subscribe("a", "bob", more=f"&channel-group=g{more}")
    await asyncio.sleep(timeout_s)

    for channel in ("a", "b"):
        events = emulator.events(channel)
        assert [(e.action, e.user_id) for e in events] == [
            ("join", "bob"),
            ("timeout", "bob"),
        ]
        assert events[-1].at_s - started_s == pytest.approx(timeout_s, abs=1e-6)


@pytest.mark.parametrize("more", ["", "&heartbeat=20"])
async def test_a_shorter_timeout_is_raised_to_the_least(sdk: Any, more: str) -> None:
    async with PresenceEmulator(min_presence_timeout_s=400) as emulator:
        await sdk.to(emulator).subscribe("a", "bob", more=more)
        await asyncio.sleep(399)
        assert emulator.occupants("a")
        await asyncio.sleep(1)
        assert not emulator.occupants("a")


async def test_with_implicit_heartbeats_requests_and_answers_put_the_timeout_off(
    sdk: Any,
) -> None:
    async with PresenceEmulator(implicit_heartbeats=True) as emulator:
        other = sdk.to(emulator)
        cursor, _ = await other.subscribe("a,b-pnpres", "bob", more="&heartbeat=20")
        await asyncio.sleep(15)
        async with asyncio.TaskGroup() as group:
            group.create_task(other.subscribe("a,b-pnpres", "bob", cursor))  # 15 s
            await asyncio.sleep(15)
            await other.beat("kim", "b")  # 30 s, answers bob's poll
        await asyncio.sleep(19)
        assert set(emulator.occupants("a")) == {"bob"}
        await asyncio.sleep(1)
        assert not emulator.occupants("a")


async def test_only_heartbeats_put_the_timeout_off(
    sdk: Any, emulator: PresenceEmulator
) -> None:
    started_s = now_s()
    names = "a,a-pnpres,b-pnpres"
    cursor, _ = await sdk.subscribe(names, "bob", more="&heartbeat=20")
    for number in range(3):
        await asyncio.sleep(5)
        cursor, _ = await sdk.subscribe(names, "bob", "0")
        await sdk.beat(f"u{number}", "b", "&heartbeat=1000")
        cursor, _ = await sdk.subscribe(names, "bob", cursor)
    _, messages = await sdk.subscribe(names, "bob", cursor)

    assert told(messages) == [("timeout", "bob", 0)]
    assert messages[0]["d"]["data"] == {}
    assert now_s() - started_s == pytest.approx(20)


async def test_a_subscribe_after_a_leave_joins_again(
    sdk: Any, emulator: PresenceEmulator
) -> None:
    cursor, _ = await sdk.subscribe("a", "bob")
    async with asyncio.TaskGroup() as group:
        group.create_task(sdk.subscribe("a", "bob", cursor))
        await asyncio.sleep(1)
        await sdk.leave("bob", "a")
        await asyncio.sleep(280)  # its end does not join again, the next one does
        assert not emulator.occupants("a")
    await sdk.subscribe("a", "bob")

    actions = [event.action for event in emulator.events("a")]
    assert actions == ["join", "leave", "join"]


async def test_a_state_given_with_it_is_stored_by_channel_and_group(
    sdk: Any, emulator: PresenceEmulator
) -> None:
    await sdk.get("/v1/channel-registration/sub-key/demo/channel-group/g?add=b")
    state = "%7B%22a%22%3A%7B%22x%22%3A1%7D%2C%22g%22%3A%7B%22y%22%3A2%7D%7D"
    watch, _ = await sdk.subscribe("a-pnpres")
    await sdk.subscribe("a", "bob", more=f"&channel-group=g&state={state}")

    assert emulator.occupants("a") == {"bob": {"x": 1}}
    assert emulator.occupants("b") == {"bob": {"y": 2}}
    _, [join] = await sdk.subscribe("a-pnpres", tt=watch)
    assert join["d"]["data"] == {"x": 1}
    assert join["u"]["pn_state_x"] == 1


async def test_a_state_change_and_a_leave_carry_the_state(sdk: Any) -> None:
    cursor, _ = await sdk.subscribe("a-pnpres")
    data = "channel/a/uuid/bob/data?uuid=eve&state="
    await sdk.presence(f"{data}%7B%22x%22%3A1%7D")
    await sdk.beat("bob", "a")
    await sdk.leave("bob", "a")
    await sdk.presence(f"{data}%7B%7D")

    _, messages = await sdk.subscribe("a-pnpres", tt=cursor)

    assert told(messages) == [
        ("state-change", "bob", 0),
        ("join", "bob", 1),
        ("leave", "bob", 0),
        ("state-change", "bob", 0),
    ]
    assert [m["d"]["data"] for m in messages] == [{"x": 1}, {"x": 1}, {"x": 1}, {}]


# Ends.


async def test_a_client_that_hangs_up_frees_its_poll_at_once(
    sdk: Any, emulator: PresenceEmulator
) -> None:
    cursor, _ = await sdk.subscribe("a", "bob")
    polls = [
        asyncio.create_task(sdk.subscribe("a,a-pnpres", "bob", cursor, more=f"&n={n}"))
        for n in range(20)
    ]
    # The own join ends the first round of polls.
    cursor = (await asyncio.gather(*polls))[0][0]
    polls = [
        asyncio.create_task(sdk.subscribe("a,a-pnpres", "bob", cursor))
        for _ in range(20)
    ]
    await asyncio.sleep(1)
    assert emulator.open_polls == 20

    for poll in polls:
        poll.cancel()
    await asyncio.gather(*polls, return_exceptions=True)
    await asyncio.sleep(0.01)

    assert emulator.open_polls == 0
    assert listening(emulator) == 0
    assert set(emulator.occupants("a")) == {"bob"}


async def test_a_client_that_hung_up_during_a_delay_is_not_waited_for(
    wire: Any, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(operation="subscribe", delay_s=10))
    data = b"GET /v2/subscribe/demo/a/0?uuid=bob&tt=5 HTTP/1.1\r\nHost: x\r\n\r\n"
    asked = asyncio.create_task(wire.exchange(data))
    await asyncio.sleep(1)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await asyncio.sleep(20)

    assert set(emulator.occupants("a")) == {"bob"}
    assert (emulator.open_polls, listening(emulator)) == (0, 0)


async def test_closing_cuts_every_poll_at_once(sdk: Any) -> None:
    emulator = await PresenceEmulator().start()
    other = sdk.to(emulator)
    cursor, _ = await other.subscribe("a-pnpres")
    polls = [
        asyncio.create_task(other.subscribe("a-pnpres", tt=cursor)) for _ in range(300)
    ]
    await asyncio.sleep(1)
    started_s = now_s()

    await emulator.close()
    results = await asyncio.gather(*polls, return_exceptions=True)

    assert {isinstance(result, OSError) for result in results} == {True}
    assert now_s() - started_s < 0.05


async def test_a_reset_ends_polls_and_the_next_ones_go_on(
    sdk: Any, emulator: PresenceEmulator
) -> None:
    cursor, _ = await sdk.subscribe("a-pnpres")
    await sdk.beat("bob", "a")
    async with asyncio.TaskGroup() as group:
        poll = group.create_task(sdk.subscribe("b-pnpres", tt=cursor))
        await asyncio.sleep(1)
        started_s = now_s()
        emulator.reset()
    assert poll.result() == (cursor, [])
    assert now_s() == started_s
    await sdk.beat("kim", "a")

    _, messages = await sdk.subscribe("a-pnpres", tt=cursor)
    assert told(messages) == [("join", "kim", 1)]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(operation="subscribe", status=503, times=1), 503),
        (Fault(operation="subscribe", body=b"<html>", times=1), 200),
        (Fault(operation="subscribe", cut=True, times=1), None),
        (Fault(operation="subscribe", cut=True, at="after_effect", times=1), None),
    ],
    ids=["status", "body", "cut", "cut after effect"],
)
async def test_faults_strike_subscribe_like_any_request(
    wire: Any, emulator: PresenceEmulator, fault: Fault, expected: int | None
) -> None:
    emulator.inject(fault)
    target = "/v2/subscribe/demo/a/0?uuid=bob&tt=5"

    data = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await wire.exchange(data.encode())

    status = int(answer.split()[1]) if answer else None
    assert status == expected
    is_present = fault.at == "after_effect"
    assert bool(emulator.occupants("a")) == is_present
    assert (emulator.open_polls, listening(emulator)) == (0, 0)


async def test_the_headers_are_the_recorded_ones(wire: Any) -> None:
    status, headers, body = await wire.ask("/v2/subscribe/demo/a/0?uuid=bob")

    assert status == 200
    assert headers["content-type"] == 'text/javascript; charset="utf-8"'
    assert headers["cache-control"] == "no-cache"
    assert headers["access-control-allow-methods"] == "get"
    assert json.loads(body)["m"] == []
