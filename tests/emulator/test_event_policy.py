"""Single and interval events: pure against a model, then over the wire."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presence_async.emulator import PresenceEmulator
from presence_async.emulator.event_policy import EventPolicy, Interval
from presence_async.emulator.occupancy import Occupancy, OccupancyChange


class Channel:
    """One channel and its events, in order of time."""

    def __init__(self, announce_max: int = 2, *, has_deltas: bool = True) -> None:
        self.occupancy = Occupancy()
        self.policy = EventPolicy(
            announce_max=announce_max,
            interval_s=10,
            has_deltas=has_deltas,
            occupancy=self.occupancy.occupancy,
        )
        self.now_s = 0.0
        self.events: list[OccupancyChange | Interval] = []

    def _record(self, changes: list[OccupancyChange]) -> None:
        self.events += [change for change in changes if self.policy.record(change)]

    def join(self, *users: str, timeout_s: float = 1e6) -> None:
        for user in users:
            self._record(
                self.occupancy.heartbeat(
                    user, ["a"], timeout_s=timeout_s, states={}, now_s=self.now_s
                )
            )

    def leave(self, *users: str) -> None:
        for user in users:
            self._record(self.occupancy.leave(user, ["a"], now_s=self.now_s))

    def set_state(self, user: str) -> None:
        self._record(self.occupancy.set_state(user, ["a"], {"x": 1}, now_s=self.now_s))

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        while (
            due_s := min(self.occupancy.next_deadline_s(), self.policy.next_tick_s())
        ) <= self.now_s:
            if self.occupancy.next_deadline_s() == due_s:
                self._record(self.occupancy.expire(due_s))
            elif (interval := self.policy.tick(due_s)) is not None:
                self.events.append(interval)

    def step(self, action: str, user: str, number: int) -> None:
        if action == "join":
            self.join(user, timeout_s=number)
        elif action == "leave":
            self.leave(user)
        else:
            self.wait(number)

    def taken(self) -> list[Any]:
        """Return in brief the events since the last call."""
        events, self.events = self.events, []
        return [brief(one) for one in events]


def brief(one: OccupancyChange | Interval) -> Any:
    if isinstance(one, Interval):
        lists = (one.joined, one.left, one.timed_out)
        return (one.at_s, one.occupancy, *map(list, lists))
    return (one.action, one.user_id, one.occupancy)


def test_up_to_the_limit_each_change_has_its_event() -> None:
    channel = Channel()
    channel.join("b", "c")
    channel.leave("b")
    channel.wait(1000)

    assert channel.taken() == [("join", "b", 1), ("join", "c", 2), ("leave", "b", 1)]


def test_above_it_there_is_an_interval_event_exactly_every_interval() -> None:
    channel = Channel()
    channel.join("b", "c")
    channel.taken()
    channel.wait(3)
    channel.join("d")
    channel.wait(9.999)
    assert channel.taken() == []

    channel.wait(10.001)

    assert channel.taken() == [(13.0, 3, ["d"], [], []), (23.0, 3, [], [], [])]


def test_lists_name_who_came_and_went_and_quiet_intervals_have_events() -> None:
    channel = Channel()
    channel.join("b", "c")
    channel.wait(3)
    channel.join("d", "e", "f")
    channel.join("g", timeout_s=5)
    channel.leave("b")
    channel.taken()

    channel.wait(30)

    assert channel.taken() == [
        (13.0, 4, ["d", "e", "f"], ["b"], []),
        (23.0, 4, [], [], []),
        (33.0, 4, [], [], []),
    ]


def test_timeouts_are_listed_apart_from_leaves() -> None:
    channel = Channel(0)
    channel.join("b", "c")
    channel.join("d", timeout_s=15)
    channel.wait(20)

    assert channel.taken() == [
        (10.0, 3, ["b", "c", "d"], [], []),
        (20.0, 2, [], [], ["d"]),
    ]


def test_without_deltas_there_are_no_lists() -> None:
    channel = Channel(0, has_deltas=False)
    channel.join("b", "c")
    channel.wait(10)

    assert channel.taken() == [(10.0, 2, [], [], [])]


def test_a_state_change_has_its_own_event_at_any_size() -> None:
    channel = Channel(0)
    channel.join("b")
    channel.set_state("b")

    assert channel.taken() == [("state-change", "b", 1)]


def test_a_channel_that_shrinks_sends_single_events_at_once_and_the_rest_together() -> (
    None
):
    channel = Channel()
    channel.join("b", "c", "d", "e")
    channel.taken()
    channel.leave("b")
    channel.leave("c")
    assert channel.taken() == [("leave", "c", 2)]

    channel.wait(100)
    assert channel.taken() == [(10.0, 2, ["d", "e"], ["b"], [])]
    channel.join("x")
    channel.wait(10)
    assert channel.taken() == [(110.0, 3, ["x"], [], [])]


def test_a_short_visit_above_the_limit_sends_no_event() -> None:
    channel = Channel()
    channel.join("b", "c", "d")
    channel.leave("d")
    channel.wait(100)

    assert channel.taken() == [("join", "b", 1), ("join", "c", 2), ("leave", "d", 2)]
    assert channel.policy.next_tick_s() == math.inf


@pytest.mark.parametrize(("count", "is_refresh"), [(400, False), (600, True)])
def test_lists_that_are_too_long_are_left_out(count: int, *, is_refresh: bool) -> None:
    channel = Channel()
    channel.join(*[f"{n:060}" for n in range(count)])
    channel.wait(10)

    interval = channel.events[-1]
    assert isinstance(interval, Interval)
    assert interval.here_now_refresh is is_refresh
    assert (len(interval.joined) > 0) is not is_refresh
    assert interval.occupancy == count


users = st.sampled_from(["b", "c", "d", "e", "f"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("join"), users, st.integers(1, 40)),
        st.tuples(st.just("leave"), users, st.just(0)),
        st.tuples(st.just("wait"), users, st.integers(1, 15)),
    ),
    max_size=30,
)


@given(st.integers(0, 4), steps)
def test_following_the_events_gives_the_occupants(
    announce_max: int, steps: list[tuple[str, str, int]]
) -> None:
    channel = Channel(announce_max)
    for action, user, number in steps:
        channel.step(action, user, number)
    channel.wait(9.5)
    if channel.policy.next_tick_s() < math.inf:
        channel.wait(channel.policy.next_tick_s() - channel.now_s)

    known: set[str] = set()
    for one in channel.events:
        if isinstance(one, Interval):
            gone = {*one.left, *one.timed_out}
            assert not gone & set(one.joined)
            known = (known | set(one.joined)) - gone
        elif one.action == "join":
            known.add(one.user_id)
        else:
            known.discard(one.user_id)
    assert known == set(channel.occupancy.occupants("a"))


# Over the wire.


async def follow(sdk: Any, cursor: str, messages: list[dict[str, Any]]) -> None:
    while True:
        cursor, more = await sdk.subscribe("a-pnpres", tt=cursor)
        messages += more


async def test_watchers_see_both_modes_and_exact_ticks(sdk: Any) -> None:
    async with PresenceEmulator(
        announce_max=2, interval_s=10, presence_deltas=True
    ) as emulator:
        other = sdk.to(emulator)
        cursor, _ = await other.subscribe("a-pnpres")
        messages: list[dict[str, Any]] = []
        watcher = asyncio.create_task(follow(other, cursor, messages))
        for user in ("b", "c", "d", "e"):
            await other.beat(user, "a", "&heartbeat=1000")
        await asyncio.sleep(15)
        await other.leave("e", "a")
        await asyncio.sleep(10)
        await other.leave("d", "a")
        await asyncio.sleep(60)
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)

        events = [message["d"] for message in messages]
        assert [(e["action"], e.get("uuid"), e["occupancy"]) for e in events] == [
            ("join", "b", 1),
            ("join", "c", 2),
            ("interval", None, 4),
            ("interval", None, 3),
            ("leave", "d", 2),
        ]
        first, second = events[2:4]
        assert set(first) == {
            "action",
            "timestamp",
            "precise_timestamp",
            "occupancy",
            "join",
        }
        assert (first["join"], second["leave"]) == (["d", "e"], ["e"])
        between_ms = second["precise_timestamp"] - first["precise_timestamp"]
        assert between_ms == pytest.approx(10_000, abs=1)
        truth = [(e.action, e.user_id) for e in emulator.events("a")]
        assert truth == [
            ("join", "b"),
            ("join", "c"),
            ("join", "d"),
            ("join", "e"),
            ("leave", "e"),
            ("leave", "d"),
        ]


async def test_the_defaults_are_twenty_users_and_ten_seconds(sdk: Any) -> None:
    cursor, _ = await sdk.subscribe("a-pnpres")
    for number in range(21):
        await sdk.beat(f"u{number}", "a", "&heartbeat=1000")
    await asyncio.sleep(10)

    _, messages = await sdk.subscribe("a-pnpres", tt=cursor)

    assert [message["d"]["action"] for message in messages] == ["join"] * 20 + [
        "interval"
    ]
    assert "join" not in messages[-1]["d"]


async def test_lists_over_the_limit_become_a_here_now_refresh(sdk: Any) -> None:
    async with PresenceEmulator(announce_max=0, presence_deltas=True) as emulator:
        other = sdk.to(emulator)
        cursor, _ = await other.subscribe("a-pnpres")
        await asyncio.gather(*[other.beat(f"{n:092}", "a") for n in range(400)])
        await asyncio.sleep(10)

        _, messages = await other.subscribe("a-pnpres", tt=cursor)

    event = messages[-1]["d"]
    assert event["here_now_refresh"] is True
    assert event["occupancy"] == 400
    assert not {"join", "leave", "timeout"} & set(event)


def test_a_jump_sends_only_the_interval_events_that_are_kept() -> None:
    """The queue of a channel holds 100, and a year has millions."""
    channel = Channel()
    channel.join("a", "b", "c", "d", timeout_s=1e9)
    year_s, ticks = 31_536_000.0, []

    while channel.policy.next_tick_s() <= year_s:
        interval = channel.policy.tick(year_s)
        assert interval is not None
        ticks.append(interval.at_s)
        assert len(ticks) < 110

    assert ticks[-100:] == [year_s - 990 + 10 * n for n in range(100)]
    assert channel.policy.next_tick_s() == year_s + 10
