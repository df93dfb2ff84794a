"""Event streams: each event once and in order, over one poll."""

from __future__ import annotations

import asyncio

import pytest

from presence_async import (
    ClientClosedError,
    ConcurrencyError,
    EventStream,
    InvalidArgumentError,
    PresenceClient,
    PresenceEvent,
    StreamHealth,
    UserEvent,
)
from presence_async.emulator import Grant, PresenceEmulator
from presence_async.emulator.journal import JournalEntry


def subscribes(emulator: PresenceEmulator) -> list[JournalEntry]:
    return list(emulator.requests.of("subscribe"))


def polls(emulator: PresenceEmulator) -> list[JournalEntry]:
    return [x for x in subscribes(emulator) if x.params["tt"] != "0"]


def said(event: PresenceEvent) -> tuple[str, str | None, str | None]:
    return (event.action, event.channel, getattr(event, "user_id", None))


def health(stream: EventStream) -> StreamHealth:
    return stream.health


async def read(stream: EventStream, number: int) -> list[PresenceEvent]:
    async with asyncio.timeout(600):
        return [await anext(stream) for _ in range(number)]


async def test_a_stream_tells_who_joins_leaves_and_changes(
    client: PresenceClient,
) -> None:
    async with client.events("lobby") as stream:
        lease = await client.join("lobby", user_id="amy", state={"mood": "ok"})
        await lease.set_state({"mood": "tired"})
        await lease.leave()
        events = await read(stream, 3)

    assert [said(event) for event in events] == [
        ("join", "lobby", "amy"),
        ("state-change", "lobby", "amy"),
        ("leave", "lobby", "amy"),
    ]
    assert isinstance(events[1], UserEvent)
    assert events[1].state == {"mood": "tired"}


async def test_a_user_who_is_gone_times_out(
    client: PresenceClient,
) -> None:
    async with client.events("lobby") as stream:
        await client.heartbeat("lobby", user_id="amy", presence_timeout_s=20)
        events = await read(stream, 2)

    assert [event.action for event in events] == ["join", "timeout"]


async def test_watching_makes_nobody_present(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    async with client.events(["lobby", "a.*"], channel_groups="rooms"):
        await asyncio.sleep(900)

        assert not emulator.occupants("lobby")
        assert not emulator.occupants("a.*")
    names = [n for x in subscribes(emulator) for n in (*x.channels, *x.channel_groups)]
    assert all(name.endswith("-pnpres") for name in names)


async def test_groups_and_wildcards_say_through_what_an_event_came(
    client: PresenceClient,
) -> None:
    await client.add_channels("rooms", ["lobby", "news"])
    async with client.events("a.*", channel_groups="rooms") as stream:
        await client.heartbeat(["news", "a.b", "other"])
        events = await read(stream, 2)

    assert {(event.channel, event.subscription) for event in events} == {
        ("news", "rooms"),
        ("a.b", "a.*"),
    }


async def test_a_channel_watched_twice_is_heard_once(
    client: PresenceClient,
) -> None:
    await client.add_channels("rooms", "lobby")
    async with client.events("lobby", channel_groups="rooms") as stream:
        await client.heartbeat("lobby", user_id="amy")
        await client.heartbeat("lobby", user_id="bob")
        events = await read(stream, 2)

    assert [said(event)[2] for event in events] == ["amy", "bob"]


async def test_entering_twice_or_reading_too_early_is_an_error(
    client: PresenceClient,
) -> None:
    stream = client.events("lobby")
    assert health(stream) is StreamHealth.CLOSED
    with pytest.raises(ClientClosedError, match="not open"):
        await anext(stream)
    async with stream:
        assert health(stream) is StreamHealth.LIVE
    with pytest.raises(ConcurrencyError, match="one use"):
        async with stream:
            pass


@pytest.mark.parametrize("size", [0, -1, True, 1.5, None])
async def test_a_buffer_holds_at_least_one_event(
    client: PresenceClient, size: int
) -> None:
    with pytest.raises(InvalidArgumentError, match="buffer_size"):
        client.events("lobby", buffer_size=size)


async def test_a_stream_needs_a_name(client: PresenceClient) -> None:
    with pytest.raises(InvalidArgumentError, match="nothing is named"):
        client.events([])
    with pytest.raises(InvalidArgumentError, match="write 'lobby'"):
        client.events("lobby-pnpres")


async def test_all_streams_of_a_client_hold_one_poll(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    async with (
        client.events("lobby"),
        client.events(["news", "a.*"], channel_groups="rooms"),
        client.events("lobby"),
    ):
        await asyncio.sleep(1)
        assert emulator.open_polls == 1
        assert len(subscribes(emulator)) <= 6
    await asyncio.sleep(1)

    assert emulator.open_polls == 0


async def test_rights_that_change_are_followed(emulator: PresenceEmulator) -> None:
    open_names = ["lobby", "lobby-pnpres"]
    everything = Grant(channels=[*open_names, "secret", "secret-pnpres"])
    emulator.grant("token", everything)
    async with (
        PresenceClient(emulator.config(auth="token")) as client,
        client.events("lobby") as lobby,
        client.events("secret") as secret,
    ):
        await asyncio.sleep(1)
        emulator.grant("token", Grant(channels=open_names))
        await client.heartbeat("lobby", user_id="tester")
        await asyncio.sleep(1)
        assert (health(lobby), health(secret)) == ("live", "refused")

        emulator.revoke("token")
        await asyncio.sleep(400)
        assert (health(lobby), health(secret)) == ("refused", "refused")

        emulator.grant("another", everything)
        client.set_auth("another")
        await asyncio.sleep(1)
        assert (health(lobby), health(secret)) == ("live", "live")
        assert emulator.open_polls == 1
        await client.heartbeat("secret")
        assert [said(event) for event in await read(secret, 1)] == [
            ("join", "secret", "tester")
        ]
