"""Occupancy and groups: pure, against tables and a naive model."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from presence_async.emulator.channel_groups import ChannelGroups
from presence_async.emulator.occupancy import Occupancy

users = st.sampled_from(["bob", "eve", "kim"])
channels = st.sampled_from(["a", "b"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("beat"), users, channels, st.integers(3, 9)),
        st.tuples(st.just("leave"), users, channels, st.just(0)),
        st.tuples(st.just("wait"), users, channels, st.integers(1, 6)),
    ),
    max_size=40,
)


@given(steps)
def test_occupancy_agrees_with_a_naive_model(
    steps: list[tuple[str, str, str, int]],
) -> None:
    occupancy, model, now_s = Occupancy(), dict[tuple[str, str], float](), 0.0
    for action, user, channel, number in steps:
        if action == "beat":
            occupancy.heartbeat(
                user, [channel], timeout_s=number, states={}, now_s=now_s
            )
            model[channel, user] = now_s + number
        elif action == "leave":
            left = occupancy.leave(user, [channel], now_s=now_s)
            assert bool(left) == (model.pop((channel, user), None) is not None)
        else:
            now_s += number
            gone = {key for key, due_s in model.items() if due_s <= now_s}
            events = occupancy.expire(now_s)
            assert {(e.channel, e.user_id) for e in events} == gone
            assert [e.at_s for e in events] == sorted(model[key] for key in gone)
            for key in gone:
                del model[key]
        for name in ("a", "b"):
            expected = {u for c, u in model if c == name}
            assert set(occupancy.occupants(name)) == expected
            assert occupancy.occupancy(name) == len(expected)
        assert occupancy.next_deadline_s() == min(model.values(), default=math.inf)
        assert set(occupancy.channels_of(user)) == {c for c, u in model if u == user}


def test_a_hundred_thousand_heartbeats_keep_the_heap_small() -> None:
    occupancy = Occupancy()
    for number in range(100_000):
        occupancy.heartbeat(
            f"u{number % 10}", ["a"], timeout_s=300, states={}, now_s=number
        )

    assert len(occupancy._due._heap) < 3000


def test_state_outlives_absence_but_not_a_leave() -> None:
    occupancy = Occupancy()
    occupancy.set_state("bob", ["a"], {"x": 1}, now_s=0)
    absent = occupancy.state("a", "bob")
    occupancy.heartbeat("bob", ["a"], timeout_s=9, states={"a": {"x": 2}}, now_s=1)
    changed = occupancy.heartbeat("bob", ["a"], timeout_s=9, states={"a": {}}, now_s=2)
    occupancy.set_state("bob", ["a"], {"x": 3}, now_s=3)

    (left,) = occupancy.leave("bob", ["a"], now_s=4)

    assert absent == {"x": 1}
    assert [event.action for event in changed] == ["state-change"]
    assert left.state == {"x": 3}
    assert occupancy.state("a", "bob") == {}


def test_groups_are_expanded_and_spread() -> None:
    groups = ChannelGroups()
    groups.add("g", ["a", "b"])
    groups.add("h", ["b", "c"])
    groups.remove("h", ["c"])

    assert groups.expand(["x", "a"], ["g", "h", "none"]) == ("x", "a", "b")
    assert groups.spread({"g": 1, "a": 2}) == {"a": 2, "b": 1, "g": 1}
    groups.remove("h", ["b"])
    groups.delete("g")
    assert groups.names() == ()
