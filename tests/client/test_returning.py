"""A user whom somebody else has left is back at once, where the client can see it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from presence_async import Lease, LeaseHealth, PresenceClient
from presence_async.client.hearing import Hearing
from presence_async.emulator import EventFault, Fault, PresenceEmulator
from presence_async.presence.returning import LEFT, Returning
from presence_async.protocol.events import IntervalEvent
from presence_async.register import MemoryRegister


@pytest.fixture
async def alice(emulator: PresenceEmulator) -> AsyncIterator[PresenceClient]:
    """A client that keeps alice."""
    async with PresenceClient(emulator.config(user_id="alice")) as client:
        yield client


@pytest.fixture
async def other(emulator: PresenceEmulator) -> AsyncIterator[PresenceClient]:
    """Another device of alice's."""
    async with PresenceClient(emulator.config(user_id="alice")) as client:
        yield client


def now_s() -> float:
    return asyncio.get_running_loop().time()


def beats(emulator: PresenceEmulator, user_id: str = "alice") -> list[float]:
    """Return when heartbeats for a user arrived."""
    return [
        r.at_s
        for r in emulator.requests
        if r.operation == "heartbeat" and r.user_id == user_id
    ]


@asynccontextmanager
async def following(lease: Lease) -> AsyncIterator[list[str]]:
    """Note the reasons for which the health of a lease changes."""
    told: list[str] = []

    async def note() -> None:
        async for change in lease.changes():
            told.append(change.reason)  # noqa: PERF401  # before the loop ends

    task = asyncio.create_task(note())
    yield told
    task.cancel()


@pytest.mark.parametrize("method", ["events", "roster", "live_count"])
async def test_with_a_stream_or_a_roster_the_user_is_back_within_a_second(
    alice: PresenceClient,
    other: PresenceClient,
    emulator: PresenceEmulator,
    method: str,
) -> None:
    lease = await alice.join("lobby", state={"mood": "ok"})
    async with getattr(alice, method)("lobby"):
        await asyncio.sleep(20)
        await other.leave("lobby")
        assert emulator.occupants("lobby") == {}
        await asyncio.sleep(1)

        assert emulator.occupants("lobby") == {"alice": {"mood": "ok"}}
        assert lease.health is LeaseHealth.FRESH
        await asyncio.sleep(600)

    assert [e.action for e in emulator.events("lobby")] == ["join", "leave", "join"]
    assert len(beats(emulator)) == pytest.approx(2 + 600 / 149, abs=1)


async def test_with_neither_the_next_regular_heartbeat_brings_the_user_back(
    alice: PresenceClient, other: PresenceClient, emulator: PresenceEmulator
) -> None:
    await alice.join("lobby")
    await asyncio.sleep(20)
    await other.leave("lobby")
    left_s, due_s = now_s(), beats(emulator)[0] + 149
    await asyncio.sleep(1)
    assert emulator.occupants("lobby") == {}
    await asyncio.sleep(150)

    assert emulator.occupants("lobby") == {"alice": {}}
    assert left_s + 1 < beats(emulator)[1] <= due_s + 1


async def test_a_user_whom_an_operator_has_timed_out_is_back(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    await alice.join(["lobby", "news"])
    async with alice.events(["lobby", "news"]):
        await asyncio.sleep(20)
        assert set(emulator.kick("alice")) == {"lobby", "news"}
        await asyncio.sleep(1)

    assert [len(emulator.occupants(x)) for x in ("lobby", "news")] == [1, 1]
    assert len(beats(emulator)) == 2


async def test_with_a_group_the_event_tells_which_lease_it_is_about(
    alice: PresenceClient, other: PresenceClient, emulator: PresenceEmulator
) -> None:
    await alice.add_channels("rooms", "lobby")
    await alice.join(channel_groups="rooms")
    async with alice.events(channel_groups="rooms"):
        await asyncio.sleep(20)
        await other.leave("lobby")
        await asyncio.sleep(1)

        assert emulator.occupants("lobby") == {"alice": {}}


async def test_an_interval_event_that_names_the_user_is_an_event_like_others() -> None:
    async with PresenceEmulator(announce_max=0, presence_deltas=True) as crowd:
        config = crowd.config(user_id="alice")
        async with (
            PresenceClient(config) as client,
            PresenceClient(config) as stranger,
            client.join("lobby"),
            client.events("lobby"),
        ):
            await asyncio.sleep(30)
            await stranger.leave("lobby")
            await asyncio.sleep(11)
            assert crowd.occupants("lobby") == {"alice": {}}


async def test_who_left_and_joined_in_one_interval_may_be_there_again(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    await alice.join(["lobby", "news"])
    await asyncio.sleep(20)
    hearing = Hearing(alice._core.heartbeats)
    both = IntervalEvent(
        channel="lobby",
        occupancy=9,
        timetoken=1,
        timestamp_ms=0,
        joined=("alice",),
        left=("alice",),
        timed_out=("alice",),
    )

    hearing.hear([both], lambda _: now_s())
    await asyncio.sleep(1)
    assert len(beats(emulator)) == 1

    hearing.hear([msgspec.structs.replace(both, joined=())], lambda _: now_s())
    await asyncio.sleep(1)
    assert len(beats(emulator)) == 2


async def test_meanwhile_the_lease_says_that_the_user_is_offline(
    alice: PresenceClient,
    other: PresenceClient,
    emulator: PresenceEmulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lease = await alice.join("lobby")
    emulator.inject(Fault(operation="heartbeat", delay_s=3))
    async with alice.events("lobby"), following(lease) as told:
        await asyncio.sleep(20)
        with caplog.at_level(logging.INFO):
            await other.leave("lobby")
            await asyncio.sleep(2)
            assert (lease.health, lease.remaining_s) == (LeaseHealth.LOST, 0.0)
            assert not alice.is_ready()
            await asyncio.sleep(2)
            assert lease.health is LeaseHealth.FRESH

    assert told[1:] == [LEFT, "heartbeat acknowledged"]
    lines = [r.message for r in caplog.records if r.name == "presence_async.client"]
    assert [line for line in lines if "alice" in line] == [
        "somebody else has left users who are held here, or they were timed out"
        " (alice); a heartbeat for each follows"
    ]


async def test_two_clients_that_hold_one_user_do_not_storm(
    emulator: PresenceEmulator, alice: PresenceClient, other: PresenceClient
) -> None:
    """One leaves at every join of the other, whatever it gains by that."""
    await alice.join("lobby")
    await asyncio.sleep(20)

    async def leave_at_every_join() -> None:
        async with other.events("lobby") as stream:
            async for event in stream:
                if event.action == "join":
                    await other.leave("lobby")

    async with alice.events("lobby"):
        fight = asyncio.create_task(leave_at_every_join())
        await asyncio.sleep(1)
        emulator.kick("alice")
        begins = len(beats(emulator))
        await asyncio.sleep(600)
        fight.cancel()
        fought = len(beats(emulator)) - begins

    assert fought <= 600 / 10 + 600 / 149 + 2
    assert fought > 50


async def test_the_events_of_an_outage_of_the_feed_are_old_news(
    alice: PresenceClient,
    other: PresenceClient,
    emulator: PresenceEmulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The regular heartbeat brought the user back long before the feed was."""
    lease = await alice.join("lobby", presence_timeout_s=30)
    async with alice.events("lobby") as stream, following(lease) as told:
        await asyncio.sleep(1)
        emulator.inject(Fault(operation="subscribe", status=503, for_s=60))
        # The poll that is held ends, and the next one fails.
        await other.heartbeat("lobby", user_id="bob")
        assert (await anext(stream)).action == "join"
        left_s = now_s()
        await other.leave("lobby")
        event = await anext(stream)
        took_s = now_s() - left_s
        await asyncio.sleep(5)

    assert (event.action, took_s > 40) == ("leave", True)
    assert set(told) == {"heartbeat acknowledged"}
    assert "somebody else" not in caplog.text


@pytest.mark.parametrize("pause_s", [0.5, 3])
async def test_the_leave_of_the_process_before_is_old_news(
    emulator: PresenceEmulator, pause_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    """A roster is shown events of five seconds before it was opened."""
    config = emulator.config(user_id="alice")
    async with PresenceClient(config) as before, before.join("lobby"):
        await asyncio.sleep(20)
    await asyncio.sleep(pause_s)
    async with PresenceClient(config) as after:
        lease = await after.join("lobby")
        async with after.roster("lobby"), following(lease) as told:
            await asyncio.sleep(5)

    assert told == ["heartbeat acknowledged"]
    assert "somebody else" not in caplog.text
    in_doubt = pause_s < 1
    assert len(beats(emulator)) == 2 + in_doubt


async def test_with_a_register_every_client_that_hears_of_it_sends_one(
    emulator: PresenceEmulator, other: PresenceClient
) -> None:
    register = MemoryRegister()
    config = emulator.config(user_id="alice")
    async with (
        PresenceClient(config, register=register) as one,
        PresenceClient(config, register=register) as two,
        one.join("lobby", state={"n": 1}),
        two.join("lobby"),
        one.events("lobby"),
        two.events("lobby"),
    ):
        await asyncio.sleep(60)
        before = len(beats(emulator))
        await other.leave("lobby")
        await asyncio.sleep(1)

        assert emulator.occupants("lobby") == {"alice": {"n": 1}}
        assert 1 <= len(beats(emulator)) - before <= 2
        await asyncio.sleep(600)
        assert len(beats(emulator)) - before <= 2 + 600 / 149 + 1
    assert [e.action for e in emulator.events("lobby")] == [
        *("join", "leave", "join", "leave")
    ]


async def test_with_a_register_the_leave_of_one_tab_is_no_news(
    emulator: PresenceEmulator,
) -> None:
    register = MemoryRegister(hand_over_s=0.5)
    config = emulator.config(user_id="alice")
    async with (
        PresenceClient(config, register=register) as one,
        PresenceClient(config, register=register) as two,
        one.events("lobby"),
        one.join("news"),
    ):
        async with two.join("lobby"):
            await asyncio.sleep(20)
        before = len(beats(emulator))
        await asyncio.sleep(20)

        assert emulator.occupants("lobby") == {}
        assert len(beats(emulator)) == before


async def test_a_fault_costs_no_event(
    alice: PresenceClient,
    other: PresenceClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(Hearing, "_gone", lambda *_: 1 / 0)
    await alice.join("lobby")
    async with alice.events("lobby") as stream:
        await other.leave("lobby")
        assert (await anext(stream)).action == "leave"

    assert "hearing of users of our own crashed" in caplog.text


class Story:
    """A client, its leases and strangers who leave its users, at random.

    Attributes:
        reactions: Who was sent a heartbeat because of an event, and when it was due.
        foreign: How often somebody else ended the presence of a user, if there was any.
    """

    def __init__(self, emulator: PresenceEmulator, seed: int, *, peace: bool) -> None:
        self.emulator = emulator
        self.rng = random.Random(seed)  # noqa: S311  # repeatable
        self.peace = peace
        self.channels = ["a", "b"]
        self.leases: list[Lease] = []
        self.reactions: dict[str, list[float]] = {"u0": [], "u1": []}
        self.foreign: Counter[str] = Counter()

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Note the reactions of clients."""
        real = Returning.gone

        def noted(self_: Returning, user_id: str, *args: Any, **facts: Any) -> bool:
            is_news = real(self_, user_id, *args, **facts)
            if is_news:
                answer = self_._answers.get(user_id)
                assert answer is not None
                self.reactions[user_id].append(answer.due_s)
            return is_news

        patch.setattr(Returning, "gone", noted)

    async def go(self, client: PresenceClient, stranger: PresenceClient) -> None:
        """Let things happen for ten minutes."""
        end_s = now_s() + 600
        while now_s() < end_s:
            user_id, channel = (
                self.rng.choice(list(self.reactions)),
                self.rng.choice("ab"),
            )
            what = self.rng.random()
            if what < 0.35:
                await self._join(client, user_id, channel)
            elif what < 0.6 and self.leases:
                await self.leases.pop(self.rng.randrange(len(self.leases))).leave()
            elif what < 0.7:
                await client.leave(channel, user_id=user_id)
                self.leases = [x for x in self.leases if x.health != "released"]
            elif not self.peace:
                await self._interfere(stranger, user_id, channel)
            await asyncio.sleep(self.rng.choice([0, 0.05, 0.5, 3, 30]))

    async def _join(self, client: PresenceClient, user_id: str, channel: str) -> None:
        timeout_s = self.rng.choice([20, 60, 300])
        self.leases.append(
            await client.join(
                channel,
                user_id=user_id,
                presence_timeout_s=timeout_s,
                linger_s=self.rng.choice([0, 0, 5]),
            )
        )

    async def _interfere(
        self, stranger: PresenceClient, user_id: str, channel: str
    ) -> None:
        self.foreign[user_id] += 1
        if self.rng.random() < 0.3:
            self.emulator.kick(user_id, channel)
        else:
            await stranger.leave(channel, user_id=user_id)

    def held(self) -> set[tuple[str, str]]:
        return {
            (lease.user_id, channel)
            for lease in self.leases
            for channel in lease.channels
            if lease.health != "released"
        }


@pytest.mark.parametrize("debounce_s", [0, 2])
@pytest.mark.parametrize("seed", range(25))
async def test_whatever_happens_own_leaves_trigger_nothing_and_others_little(
    seed: int, debounce_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the stories are peaceful: only the client itself joins and leaves."""
    async with PresenceEmulator(debounce_s=debounce_s) as emulator:
        story = Story(emulator, seed, peace=seed % 2 == 0)
        fault = EventFault(
            duplicate=0.2, reorder=0.2, delay_s=story.rng.choice([0, 0.3, 2]), seed=seed
        )
        emulator.inject(fault)
        emulator.inject(Fault(delay_s=story.rng.choice([0.01, 0.2])))
        async with (
            PresenceClient(emulator.config()) as client,
            PresenceClient(emulator.config()) as stranger,
            client.events(["a", "b"]),
            client.roster("a"),
        ):
            story.watch(monkeypatch)
            await story.go(client, stranger)
            await asyncio.sleep(15)
            there = {(u, c) for c in story.channels for u in emulator.occupants(c)}

            assert there == story.held()
            for user_id, due_s in story.reactions.items():
                assert len(due_s) <= story.foreign[user_id]
                times = sorted(set(due_s))
                assert all(b - a > 9.99 for a, b in itertools.pairwise(times))
