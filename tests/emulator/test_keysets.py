"""What differs between keysets: one option of ``EmulatorProfile`` a test."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import Any

import aiohttp
import pytest

from presence_async import JoinEvent, LeaveEvent, PresenceClient, ServiceError
from presence_async.emulator import EmulatorProfile, Grant, PresenceEmulator
from presence_async.emulator.options import Options
from presence_async.emulator.pending_poll import PendingPoll
from presence_async.emulator.service import Service
from presence_async.protocol.exchange import HttpRequest

from .conftest import Wire

NOT_TURNED_ON = {
    "status": 402,
    "error": 1,
    "message": "This feature is not turned on for this account."
    " Contact support@pubnub.com to activate this feature.",
    "service": "Presence",
}


class Keyset:
    """The service without sockets, at times that the test chooses."""

    def __init__(self, **options: Any) -> None:
        profile = EmulatorProfile(**options)
        self.now_s = 0.0
        self._service = Service(Options(profile=profile), clock=lambda: self.now_s)

    def ask(self, rest: str, connection: object = None) -> Any:
        """Ask about presence, or anything if it is a whole path."""
        target = rest if rest.startswith("/") else f"/v2/presence/sub-key/demo/{rest}"
        path, _, query = target.partition("?")
        pending = self._service.receive(
            HttpRequest(path=path, query=query), now_s=self.now_s
        )
        reply = self._service.reply(pending, now_s=self.now_s, connection=connection)
        assert not isinstance(reply, PendingPoll)
        return json.loads(reply.body)

    def beat(self, user: str, channel: str = "a", timeout_s: int = 20) -> None:
        query = f"heartbeat={timeout_s}&uuid={user}"
        self.ask(f"channel/{channel}/heartbeat?{query}")

    def leave(self, user: str, channel: str = "a") -> None:
        self.ask(f"channel/{channel}/leave?uuid={user}")

    def subscribe(self, user: str, channels: str, connection: object = None) -> None:
        self.ask(f"/v2/subscribe/demo/{channels}/0?tt=0&uuid={user}", connection)

    def end(self, connection: object) -> None:
        self._service.disconnect(connection, now_s=self.now_s)

    def reset(self) -> None:
        self._service.reset("demo")

    def occupants(self, channel: str = "a") -> set[str]:
        return set(self._service.occupants("demo", channel, now_s=self.now_s))

    def events(self, channel: str = "a") -> list[tuple[str, str, float]]:
        events = self._service.events("demo", channel, now_s=self.now_s)
        return [(event.action, event.user_id, event.at_s) for event in events]


def test_an_untracked_channel_acknowledges_everything_and_is_empty() -> None:
    keyset = Keyset(tracked_channels=["lobby", "a.*"])
    keyset.beat("bob", "lobby,other,a.b,a.b.c,a")
    keyset.subscribe("bob", "news,a.*")
    stored = keyset.ask("channel/other/uuid/bob/data?uuid=bob&state=%7B%22x%22:1%7D")

    assert keyset.ask("uuid/bob?uuid=bob")["payload"]["channels"] == [
        *("a.*", "a.b", "a.b.c", "lobby")
    ]
    assert keyset.ask("channel/other?uuid=bob") == {
        "status": 200,
        "message": "OK",
        "service": "Presence",
        "uuids": [],
        "occupancy": 0,
    }
    assert stored["payload"] == {"x": 1}
    assert keyset.ask("channel/other/uuid/bob?uuid=bob")["payload"] == {}
    assert keyset.events("other") == keyset.events("news") == []


async def test_nobody_is_seen_on_an_untracked_channel() -> None:
    async with (
        PresenceEmulator(tracked_channels=["lobby"]) as emulator,
        PresenceClient(emulator.config(user_id="bob")) as client,
        client.events(["lobby", "other"]) as stream,
        client.join(["lobby", "other"], state={"mood": "ok"}) as lease,
    ):
        event = await anext(stream)
        await asyncio.sleep(3600)

        assert (event.channel, type(event)) == ("lobby", JoinEvent)
        assert lease.health == "fresh"
        now = await client.here_now(["lobby", "other"])
        assert {name: page.user_ids for name, page in now.channels.items()} == {
            "lobby": ("bob",),
            "other": (),
        }
        assert emulator.events("other") == ()


def test_a_join_within_the_debounce_undoes_a_leave_unseen() -> None:
    keyset = Keyset(debounce_s=2)
    keyset.beat("bob")
    keyset.now_s = 10
    keyset.leave("bob")
    keyset.now_s = 11.9
    assert keyset.occupants() == {"bob"}
    keyset.beat("bob")
    keyset.now_s = 25
    assert keyset.occupants() == {"bob"}
    assert keyset.events() == [("join", "bob", 0)]

    # A second leave within the debounce does not put the first off.
    keyset.leave("bob")
    keyset.now_s = 26
    keyset.leave("bob")
    keyset.now_s = 27
    assert keyset.occupants() == set()
    assert keyset.events()[1:] == [("leave", "bob", 27)]


def test_a_subscribe_undoes_a_leave_too() -> None:
    keyset = Keyset(debounce_s=2)
    keyset.subscribe("bob", "a")
    keyset.leave("bob")
    keyset.now_s = 1
    keyset.subscribe("bob", "a")
    keyset.now_s = 300.5
    assert keyset.occupants() == {"bob"}
    keyset.now_s = 302
    assert keyset.events() == [("join", "bob", 0), ("timeout", "bob", 301)]


async def test_the_answer_of_a_poll_does_not_undo_a_leave(sdk: Any) -> None:
    async with PresenceEmulator(debounce_s=2, implicit_heartbeats=True) as emulator:
        other = sdk.to(emulator)
        cursor, _ = await other.subscribe("a,b-pnpres", "bob")
        async with asyncio.TaskGroup() as group:
            group.create_task(other.subscribe("a,b-pnpres", "bob", cursor))
            await asyncio.sleep(1)
            await other.leave("bob", "a")
            await other.beat("kim", "b")  # answers the poll
        await asyncio.sleep(2)

        assert [event.action for event in emulator.events("a")] == ["join", "leave"]


async def test_a_debounced_leave_is_seen_late_or_never() -> None:
    async with (
        PresenceEmulator(debounce_s=2) as emulator,
        PresenceClient(emulator.config(user_id="eve")) as watcher,
        PresenceClient(emulator.config(user_id="bob")) as bob,
        watcher.events("lobby") as stream,
    ):
        for _ in range(2):
            async with bob.join("lobby"):
                await asyncio.sleep(1)
        await asyncio.sleep(1)
        loop = asyncio.get_running_loop()
        left_s = loop.time() - 1
        events = [await anext(stream), await anext(stream)]

        assert [type(event) for event in events] == [JoinEvent, LeaveEvent]
        assert loop.time() - left_s == pytest.approx(2, abs=0.2)


def test_the_end_of_the_last_subscribes_connection_leaves() -> None:
    keyset = Keyset(leave_on_disconnect=True)
    keyset.subscribe("bob", "a,b", connection=1)
    keyset.subscribe("kim", "a", connection=1)
    keyset.subscribe("bob", "a", connection=2)
    refused = "/v2/subscribe/demo/a/0?tt=0&uuid=kim&filter-expr=x%20y"
    assert keyset.ask(refused, connection=3)["status"] == 481
    keyset.beat("eve", "a")
    keyset.now_s = 5
    keyset.end(1)

    assert keyset.occupants("a") == {"bob", "eve"}
    assert keyset.events("a")[-1] == ("leave", "kim", 5)
    assert keyset.events("b")[-1] == ("leave", "bob", 5)
    keyset.end(2)
    keyset.end(2)
    assert keyset.occupants("a") == {"eve"}


def test_the_end_of_a_connection_from_before_a_reset_means_nothing() -> None:
    keyset = Keyset(leave_on_disconnect=True)
    keyset.subscribe("bob", "a", connection=1)
    keyset.reset()
    keyset.beat("bob", "a")
    keyset.end(1)

    assert keyset.occupants() == {"bob"}


def test_without_the_option_the_end_of_a_connection_means_nothing() -> None:
    keyset = Keyset()
    keyset.subscribe("bob", "a", connection=1)
    keyset.end(1)

    assert keyset.occupants() == {"bob"}


@pytest.mark.parametrize("resets", [False, True], ids=["FIN", "RST"])
async def test_a_watcher_sees_that_a_connection_broke(
    resets: bool,  # a parameter
) -> None:
    async with (
        PresenceEmulator(leave_on_disconnect=True) as emulator,
        PresenceClient(emulator.config(user_id="eve")) as watcher,
        watcher.events("lobby") as stream,
    ):
        host, port = emulator.origin.split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        target = "/v2/subscribe/demo/lobby/0?uuid=bob&tt=17000000000000000"
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert type(await anext(stream)) is JoinEvent
        assert emulator.open_polls
        if resets:
            sent_at_once = struct.pack("ii", 1, 0)
            used: socket.socket = writer.get_extra_info("socket")
            used.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, sent_at_once)
        writer.close()

        assert type(await anext(stream)) is LeaveEvent
        assert emulator.occupants("lobby") == {}


async def test_a_keyset_without_presence_says_so_and_tracks_nobody(wire: Wire) -> None:
    async with PresenceEmulator(presence=False) as emulator:
        other = wire.to(emulator)
        for rest in (
            *("?", "/channel/a?", "/uuid/bob?", "/channel/a/uuid/bob?"),
            *("/channel/a/uuid/bob/data?state=%7B%7D&", "/channel/a/leave?"),
            "/channel/a/heartbeat?heartbeat=20&",
        ):
            answer = await other.get(f"/v2/presence/sub-key/demo{rest}uuid=bob")
            assert answer == (200, NOT_TURNED_ON), rest
        assert (await other.get("/v2/subscribe/demo/a/0?uuid=bob&tt=0"))[0] == 200
        assert (await other.get("/time/0"))[0] == 200
        assert emulator.events("a") == ()


async def test_a_client_of_a_keyset_without_presence_is_told() -> None:
    async with (
        PresenceEmulator(presence=False) as emulator,
        PresenceClient(emulator.config(user_id="bob")) as client,
    ):
        with pytest.raises(ServiceError, match="not turned on") as caught:
            await client.join("lobby")
        assert caught.value.status == 402


def test_only_the_global_here_now_can_be_off() -> None:
    keyset = Keyset(global_here_now=False)
    keyset.beat("bob")

    assert keyset.ask("/v2/presence/sub-key/demo?uuid=bob") == NOT_TURNED_ON
    assert keyset.ask("channel/a?uuid=bob")["uuids"] == ["bob"]


def test_presence_timeouts_are_lowered_to_the_maximum() -> None:
    keyset = Keyset(max_presence_timeout_s=60)
    keyset.beat("bob", timeout_s=1000)
    keyset.subscribe("kim", "a")
    keyset.beat("eve", timeout_s=59)
    keyset.now_s = 100

    assert keyset.events()[3:] == [
        ("timeout", "eve", 59),
        ("timeout", "bob", 60),
        ("timeout", "kim", 60),
    ]


async def test_access_manager_refuses_who_has_no_token(wire: Wire) -> None:
    async with PresenceEmulator(access_manager=True) as emulator:
        other = wire.to(emulator)
        target = "/v2/presence/sub-key/demo/channel/a?uuid=bob"

        status, body = await other.get(target)
        assert (status, body["payload"]) == (403, {"channels": ["a"]})
        emulator.grant("t", Grant(channels="a"))
        assert (await other.get(f"{target}&auth=t"))[0] == 200
        emulator.reset()
        assert (await other.get(f"{target}&auth=t"))[0] == 403


async def test_the_control_path_shows_the_profile() -> None:
    async with (
        PresenceEmulator(announce_max=3, tracked_channels="lobby") as emulator,
        aiohttp.ClientSession() as session,
        session.get(f"http://{emulator.origin}/_emulator/profile") as reply,
    ):
        fields = await reply.json()
        assert EmulatorProfile.from_dict(fields) == emulator.profile
        assert fields["tracked_channels"] == ["lobby"]
