"""All streams of a client over as few polls as possible, without one seeing another."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from presence_async import (
    AccessDeniedError,
    EventStream,
    PresenceClient,
    StreamHealth,
)

from .subscribe_service import (
    Asked,
    Say,
    Script,
    SubscribeService,
    read,
    read_all,
    users,
)


def refusing(*names: str, says: bool = True) -> Script:
    """Refuse what lists one of some names, saying which."""

    def script(asked: Asked) -> Say | None:
        refused = asked.names & {f"{name}-pnpres" for name in names}
        if not refused:
            return None
        payload = {"channels": sorted(refused & {*asked.channels})}
        payload["channel-groups"] = [f":{x}" for x in refused & {*asked.groups}]
        body = {"message": "Forbidden", "error": True, "status": 403}
        body |= {"service": "Access Manager"} | ({"payload": payload} if says else {})
        return Say(json.dumps(body).encode(), 403)

    return script


async def settle() -> None:
    await asyncio.sleep(1)


async def test_two_streams_make_one_poll(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async with (
        watcher.events("lobby") as lobby,
        watcher.events(["news", "lobby"], channel_groups="rooms") as both,
    ):
        await settle()
        service.groups["rooms"] = {"hall"}
        for channel in ("lobby", "news", "hall", "elsewhere"):
            service.publish(channel, f"in-{channel}")
        await settle()

        assert [asked.names for asked in service.held] == [
            {"lobby-pnpres", "news-pnpres", "rooms-pnpres"}
        ]
        assert users(await read_all(lobby)) == ["in-lobby"]
        assert users(await read_all(both)) == ["in-lobby", "in-news", "in-hall"]


async def test_a_hundred_streams_of_one_channel_cost_one_handshake_each(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    streams = [watcher.events("lobby") for _ in range(100)]
    for stream in streams:
        await stream.__aenter__()
    service.publish("lobby", "amy")
    await settle()

    assert len(service.held) == 1
    assert len(service.asked) < 110
    assert [users(await read_all(stream)) for stream in streams] == [["amy"]] * 100
    for stream in streams:
        await stream.close()


async def test_names_that_go_together_make_one_poll(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    streams = [watcher.events(f"c{n}") for n in range(30)]
    for stream in streams:
        await stream.__aenter__()
    await settle()
    polls = len(service.polls)
    for stream in streams[:-1]:
        await stream.close()
        await asyncio.sleep(0.001)
    await settle()

    assert len(service.polls) - polls <= 4
    assert [x.names for x in service.held] == [{"c29-pnpres"}]
    await streams[-1].close()


async def test_streams_with_other_parameters_have_their_own_poll(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async with (
        watcher.events("lobby"),
        watcher.events("lobby", query_params={"note": "x"}) as other,
    ):
        service.publish("lobby", "amy")
        await settle()

        assert sorted(x.params.get("note", "") for x in service.held) == [
            "",
            "x",
        ]
        assert users(await read_all(other)) == ["amy"]


async def test_names_come_and_go_without_an_event_missed(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    rng = random.Random(1)  # noqa: S311  # an order, no secret
    published: list[str] = []

    async def publish() -> None:
        for n in range(400):
            service.publish("lobby", f"u{n}")
            published.append(f"u{n}")
            await asyncio.sleep(rng.random() / 100)

    async with watcher.events("lobby", buffer_size=1000) as steady:
        publishing = asyncio.create_task(publish())
        others: list[EventStream] = []
        while not publishing.done():
            if others and rng.random() < 0.5:
                await others.pop().close()
            else:
                stream = watcher.events([f"c{rng.randrange(9)}", "lobby"])
                others.append(await stream.__aenter__())
            await asyncio.sleep(rng.random() / 20)
        await settle()
        seen = users(await read_all(steady))
        for stream in others:
            await stream.close()

    assert seen == published


async def test_a_stream_hears_nothing_of_long_before_it(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async with watcher.events("quiet"):
        await asyncio.sleep(50)
        for n in range(120):
            service.publish("lobby", f"old-{n}")
        await asyncio.sleep(50)
        async with watcher.events("lobby") as stream:
            service.publish("lobby", "new")
            await settle()

            assert users(await read_all(stream)) == ["new"]


async def test_a_listener_may_hear_what_came_just_before_it(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async with watcher.events("lobby") as steady:
        for n in range(20):
            service.publish("lobby", f"u{n}")
            await asyncio.sleep(1)
        late = watcher.events("lobby")
        budget = watcher._core.pipeline.budget(10)
        await watcher._core.feed.attach(late._listener, budget=budget, replay_s=5)
        late._listener.set_health(StreamHealth.LIVE, None)
        await settle()

        assert users(await read_all(steady)) == [f"u{n}" for n in range(20)]
        assert users(late._buffer._events) == [f"u{n}" for n in range(16, 20)]
        await late.close()


async def test_more_names_than_a_request_carries_take_more_polls(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    names = [f"channel-{n:04}-{'x' * 40}" for n in range(1200)]
    async with watcher.events(names) as stream:
        await settle()
        for name in names:
            service.publish(name, name)
        await settle()

        assert len(service.held) == 3
        assert {name for x in service.held for name in x.names} == {
            f"{name}-pnpres" for name in names
        }
        assert max(len("".join(x.names)) for x in service.asked) < 28 * 1024
        # The queue of this service holds 100 messages of each request.
        assert len([u for u in users(await read_all(stream)) if u in names]) == 300


async def test_polls_unite_once_there_is_room(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    many = watcher.events([f"many-{n:04}-{'x' * 40}" for n in range(400)])
    await many.__aenter__()
    async with watcher.events([f"few-{n:03}-{'x' * 40}" for n in range(200)]) as few:
        await settle()
        assert len(service.held) == 2
        await many.close()
        await settle()

        assert [len(x.names) for x in service.held] == [200]
        service.publish(few.channels[0], "amy")
        service.publish(few.channels[-1], "bob")
        await settle()
        assert users(await read_all(few)) == ["amy", "bob"]


async def test_what_becomes_too_long_is_halved(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    def script(asked: Asked) -> Say | None:
        return Say(b"too long", 414) if len(asked.names) > 20 else None

    names = [(f"c{n:02}-{'x' * 60}", f"d{n:02}-{'x' * 60}") for n in range(30)]
    streams = [watcher.events(pair) for pair in names]
    for stream in streams:
        await stream.__aenter__()
    await settle()
    service.script = script
    service.publish(names[7][0])
    await settle()
    service.publish(names[29][1], "amy")
    await settle()

    assert len(service.held) == 4
    assert {stream.health for stream in streams} == {StreamHealth.LIVE}
    assert users(await read_all(streams[29])) == ["amy"]
    asked = len(service.asked)
    await asyncio.sleep(2000)
    # What was parted stays so, however often the polls are checked.
    assert max(len(x.names) for x in service.asked[asked:]) <= 20
    for stream in streams:
        await stream.close()


# Refusals.


async def test_a_refused_stream_raises_and_harms_nobody(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    service.script = refusing("secret")
    async with watcher.events("lobby") as stream:
        with pytest.raises(AccessDeniedError) as caught:
            await watcher.events(["secret", "news"]).__aenter__()
        service.publish("lobby", "amy")
        await settle()

        assert caught.value.channels == ("secret",)
        assert caught.value.advice.endswith("events need read on secret-pnpres.")
        assert [asked.names for asked in service.held] == [{"lobby-pnpres"}]
        assert users(await read_all(stream)) == ["amy"]


async def test_only_streams_with_a_refused_name_become_refused(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async with (
        watcher.events("lobby") as lobby,
        watcher.events(["secret", "news"]) as secret,
        watcher.events(channel_groups="hidden") as hidden,
    ):
        await settle()
        service.script = refusing("secret", "hidden")
        service.publish("lobby", "amy")
        await settle()
        service.publish("lobby", "bob")
        service.publish("news", "eve")
        await settle()

        assert users(await read_all(lobby)) == ["amy", "bob"]
        assert users(await read_all(secret)) == ["eve"]
        assert (lobby.health, secret.health, hidden.health) == (
            StreamHealth.LIVE,
            StreamHealth.REFUSED,
            StreamHealth.REFUSED,
        )
        assert isinstance(secret.error, AccessDeniedError)
        asked = len(service.asked)
        await asyncio.sleep(300)
        assert 10 <= len(service.asked) - asked <= 30

        # What was published meanwhile is still there once it is granted.
        service.publish("secret", "zoe")
        service.publish("lobby", "dan")
        await settle()
        assert users(await read_all(lobby)) == ["dan"]
        service.script = lambda asked: None  # noqa: ARG005  # nothing special
        watcher.refresh_auth()
        await settle()
        assert users(await read_all(secret)) == ["zoe"]
        assert {x.health for x in (lobby, secret, hidden)} == {StreamHealth.LIVE}
        assert len(service.held) == 1


async def test_a_refusal_that_names_nothing_is_everybodys(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async with watcher.events("lobby") as one, watcher.events("secret") as other:
        await settle()
        service.script = refusing("secret", says=False)
        service.publish("lobby", "amy")
        await settle()

        assert {one.health, other.health} == {StreamHealth.REFUSED}
        watcher.set_auth("better")
        await settle()
        assert service.asked[-1].params["auth"] == "better"


async def test_a_token_that_expires_is_asked_for_anew_and_no_event_is_missed(
    service: SubscribeService,
) -> None:
    tokens = (f"t{n}" for n in range(9))

    async def provide(user_id: str) -> str:
        return next(tokens)

    valid = {"t0"}

    def script(asked: Asked) -> Say | None:
        return None if asked.params["auth"] in valid else Say(b"{}", 403)

    service.script = script
    async with (
        PresenceClient(service.config(auth=provide)) as client,
        client.events("lobby") as stream,
    ):
        await settle()
        valid = {"t1"}
        service.publish("lobby", "amy")
        await settle()
        service.publish("lobby", "bob")
        await settle()

        assert users(await read_all(stream)) == ["amy", "bob"]
        assert stream.health is StreamHealth.LIVE
        assert service.held[0].params["auth"] == "t1"


async def test_a_new_name_wakes_a_refused_one(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async with watcher.events("lobby") as one:
        await settle()
        service.script = refusing("lobby")
        service.publish("lobby", "amy")
        await settle()
        assert one.health is StreamHealth.REFUSED
        service.script = lambda asked: None  # noqa: ARG005  # nothing special
        async with watcher.events("lobby"):
            await settle()
            healths = [one.health]

    assert healths == [StreamHealth.LIVE]
    assert users(await read(one, 1)) == ["amy"]
