"""Closing with a last heartbeat: who is handed over, and who leaves all the same."""

from __future__ import annotations

import pytest

from presence_async.client.retry import LinearRetry
from presence_async.presence.claims import LeaseHealth, Patience
from presence_async.presence.handing_over import presence_timeout_s
from presence_async.presence.wire import Purpose, Send
from presence_async.protocol.heartbeat import HeartbeatOperation
from presence_async.protocol.leave import LeaveOperation

from .direct import Direct, operation_of

Fate = tuple[str, tuple[str, ...], str]


@pytest.fixture
def direct() -> Direct:
    return Direct()


def close(
    direct: Direct,
    hand_over_s: float = 30,
    *,
    leave: bool = True,
    timeout_s: float = 10,
) -> None:
    retry = LinearRetry(wait_s=2, jitter_s=1e-9, attempts=2)
    patience = Patience(direct.now_s, direct.now_s + timeout_s, retry)
    direct.engine.close(patience, direct.now_s, leave=leave, hand_over_s=hand_over_s)


def report(direct: Direct) -> list[Fate]:
    """Return who, where, and what became of it."""
    return [
        (
            d.user_id,
            d.channels,
            "skipped"
            if d.order is None
            else "failed"
            if d.order.error is not None
            else "handed over"
            if d.is_handed_over
            else "left",
        )
        for d in direct.engine.departures
    ]


def said(send: Send) -> tuple[str, tuple[str, ...]]:
    return operation_of(send).name, operation_of(send).channels


@pytest.mark.parametrize(
    ("hand_over_s", "timeout_s"), [(1, 20), (20, 20), (20.5, 21), (300, 300)]
)
def test_the_timeout_is_whole_seconds_and_no_shorter_than_documented(
    hand_over_s: float, timeout_s: int
) -> None:
    assert presence_timeout_s(hand_over_s) == timeout_s


def test_each_user_is_sent_one_last_heartbeat_without_state(direct: Direct) -> None:
    direct.join("u", "a", params=(("p", "1"),), state={"n": 1})
    lease = direct.join("u", "a", "b", channel_groups=("g",))
    direct.join("v", "a")

    close(direct)
    sent = [direct.take(), direct.take()]
    assert direct.has_nothing
    assert not direct.is_done()
    for send in sent:
        direct.acknowledge(send)

    assert [operation_of(s) for s in sent] == [
        HeartbeatOperation(
            subscribe_key="key",
            user_id="u",
            channels=("a", "b"),
            channel_groups=("g",),
            presence_timeout_s=30,
        ),
        HeartbeatOperation(
            subscribe_key="key", user_id="v", channels=("a",), presence_timeout_s=30
        ),
    ]
    assert sent[0].params == (("p", "1"),)
    assert lease.health is LeaseHealth.RELEASED
    assert direct.is_done()
    assert report(direct) == [
        ("u", ("a", "b"), "handed over"),
        ("v", ("a",), "handed over"),
    ]


def test_it_wins_over_not_leaving(direct: Direct) -> None:
    direct.join("u", "a")

    close(direct, leave=False)
    direct.acknowledge(direct.take())

    assert report(direct) == [("u", ("a",), "handed over")]


@pytest.mark.parametrize(
    ("leave", "fate"), [(True, "left"), (False, "skipped")], ids=str
)
def test_zero_seconds_are_a_close_as_usual(
    direct: Direct, *, leave: bool, fate: str
) -> None:
    direct.join("u", "a")

    close(direct, 0, leave=leave)
    if leave:
        direct.acknowledge(direct.take())

    assert direct.has_nothing
    assert report(direct) == [("u", ("a",), fate)]


def test_a_last_heartbeat_is_tried_like_a_last_leave(direct: Direct) -> None:
    direct.join("u", "a")
    close(direct)

    direct.busy(direct.take())
    assert not direct.is_done()
    direct.acknowledge(direct.take_next())

    assert direct.now_s == pytest.approx(1002)
    assert direct.is_done()
    assert report(direct) == [("u", ("a",), "handed over")]


def test_one_that_fails_to_the_end_is_reported(direct: Direct) -> None:
    direct.join("u", "a")
    direct.join("v", "a")
    close(direct)
    direct.say_no(direct.take(), "a")
    direct.cut(direct.take())
    direct.cut(direct.take_next())

    assert direct.is_done()
    assert report(direct) == [("u", ("a",), "failed"), ("v", ("a",), "failed")]


def test_one_whose_turn_never_comes_is_reported(direct: Direct) -> None:
    direct.join("u", "a", presence_timeout_s=60)
    direct.take_next()

    close(direct)
    direct.now_s += 10
    assert direct.has_nothing

    assert direct.is_done()
    assert report(direct) == [("u", ("a",), "failed")]


def test_names_that_were_refused_take_down_no_others(direct: Direct) -> None:
    direct.join("u", "a")
    direct.join("u", "secret")
    direct.say_no(direct.take_next(), "secret")
    direct.acknowledge(direct.take_next())

    close(direct)
    direct.acknowledge(direct.take())
    direct.say_no(direct.take())

    assert report(direct) == [
        ("u", ("a",), "handed over"),
        ("u", ("secret",), "failed"),
    ]


def test_many_names_go_in_parts_and_are_one_presence(direct: Direct) -> None:
    names = tuple(f"channel-{n:04}-{'x' * 80}" for n in range(600))
    direct.join("u", *names)

    close(direct)
    parts = []
    while not direct.is_done():
        parts.append(send := direct.take())
        direct.acknowledge(send)

    assert len(parts) > 1
    assert sum((operation_of(s).channels for s in parts), ()) == names
    assert all(len(operation_of(s).to_request().target) < 32768 for s in parts)
    assert report(direct) == [("u", names, "handed over")]


# Leaves that were owed before.


def test_a_leave_that_lingers_is_handed_over(direct: Direct) -> None:
    for linger_s, channel in ((60, "a"), (70, "b")):
        claim = direct.join("u", channel, linger_s=linger_s)
        direct.engine.release(claim, direct.patience(), direct.now_s)
    direct.join("u", "c")

    close(direct)
    send = direct.take()
    direct.acknowledge(send)

    assert said(send) == ("heartbeat", ("c", "a", "b"))
    assert report(direct) == [("u", ("c", "a", "b"), "handed over")]
    assert direct.is_done()


def test_a_leave_that_was_due_or_failed_goes_on(direct: Direct) -> None:
    direct.join("v", "held")
    due = direct.join("u", "due", linger_s=10)
    failed = direct.join("u", "failed")
    direct.engine.release(failed, direct.patience(), direct.now_s)
    direct.cut(direct.take())
    direct.engine.release(due, direct.patience(), direct.now_s)
    direct.now_s += 10

    close(direct)
    sent = []
    while not direct.is_done():
        sent.append(send := direct.take())
        direct.acknowledge(send)

    assert sorted(map(said, sent)) == [
        ("heartbeat", ("held",)),
        ("leave", ("due",)),
        ("leave", ("failed",)),
    ]
    assert [fate for *_, fate in report(direct)] == ["handed over", "left", "left"]


def test_a_leave_that_lingered_and_failed_goes_on(direct: Direct) -> None:
    claim = direct.join("u", "a", linger_s=10)
    direct.engine.release(claim, direct.patience(), direct.now_s)
    direct.busy(direct.take_next())

    close(direct)

    assert said(direct.take()) == ("leave", ("a",))


def test_a_user_who_timed_out_while_lingering_is_not_made_to_join(
    direct: Direct,
) -> None:
    claim = direct.join("u", "a", linger_s=600, presence_timeout_s=60)
    direct.now_s += 20
    direct.engine.release(claim, direct.patience(), direct.now_s)
    direct.now_s += 40

    close(direct)

    assert said(direct.take()) == ("leave", ("a",))


def test_time_asleep_counts_for_a_user_who_lingers(direct: Direct) -> None:
    claim = direct.join("u", "a", linger_s=600, presence_timeout_s=60)
    direct.engine.release(claim, direct.patience(), direct.now_s)
    direct.engine.slept(60, direct.now_s)

    close(direct)

    assert said(direct.take()) == ("leave", ("a",))


def test_a_name_left_by_another_lease_lingers_no_more(direct: Direct) -> None:
    lingering = direct.join("u", "a", "b", linger_s=60)
    other = direct.join("u", "a")
    direct.engine.release(lingering, direct.patience(), direct.now_s)
    direct.engine.release(other, direct.patience(), direct.now_s)
    direct.acknowledge(direct.take())

    close(direct)

    assert said(direct.take()) == ("heartbeat", ("b",))


def test_a_name_whose_leave_goes_on_is_not_handed_over(direct: Direct) -> None:
    lingering = direct.join("u", "a", "b", linger_s=60)
    other = direct.join("u", "a")
    direct.engine.release(lingering, direct.patience(), direct.now_s)
    direct.engine.release(other, direct.patience(), direct.now_s)
    direct.cut(direct.take())

    close(direct)
    sent = []
    while not direct.is_done():
        sent.append(send := direct.take())
        direct.acknowledge(send)

    assert ("heartbeat", ("b",)) in map(said, sent)
    assert not [
        s
        for s in sent
        if isinstance(s.operation, HeartbeatOperation) and "a" in s.operation.channels
    ]
    assert [s for s in sent if isinstance(s.operation, LeaveOperation)]


# What is still under way.


def test_a_join_under_way_is_handed_over_after_its_outcome(direct: Direct) -> None:
    direct.ask_to_join("u", "a")
    send = direct.take()

    close(direct)
    assert direct.has_nothing
    direct.cut(send)
    direct.acknowledge(direct.take())

    assert report(direct) == [("u", ("a",), "handed over")]


def test_a_last_heartbeat_is_repeated_while_an_older_one_is_in_doubt(
    direct: Direct,
) -> None:
    direct.join("u", "a")
    regular = direct.take_next()
    close(direct, timeout_s=20)
    direct.cut(regular, is_in_doubt=True)
    last = direct.take()
    direct.acknowledge(last)

    repeat = direct.take_next()
    direct.acknowledge(repeat)

    assert (last.purpose, repeat.purpose) == (Purpose.ORDER, Purpose.REPEAT)
    assert repeat.operation == last.operation
    assert direct.is_done()


def test_an_abort_reports_what_was_not_acknowledged(direct: Direct) -> None:
    direct.join("u", "a")
    close(direct)

    direct.engine.abort(direct.now_s)

    assert report(direct) == [("u", ("a",), "failed")]
