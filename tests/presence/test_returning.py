"""Users whom somebody else has left: which events count, and what follows."""

from __future__ import annotations

from typing import Any

import pytest

from presence_async.presence.changes import HealthChanged
from presence_async.presence.claims import AT_RISK, FRESH, LOST, REFUSED
from presence_async.presence.lately import Lately
from presence_async.presence.returning import LEFT, TIMED_OUT, Returning

from .direct import Direct


class Heard(Direct):
    """An engine that hears of leaves."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.returning = Returning(self.engine.shared, self.engine.dispatch)

    def gone(
        self,
        *names: str,
        after_s: float = 0.0,
        ago_s: float = 0.0,
        user_id: str = "u",
        is_timeout: bool = False,
    ) -> bool:
        """Hear after a while that a user is gone; return whether that counts."""
        self.now_s += after_s
        return self.returning.gone(
            user_id,
            names,
            is_timeout=is_timeout,
            happened_s=self.now_s - ago_s,
            now_s=self.now_s,
        )

    def next_beat_s(self) -> float:
        """Acknowledge the next heartbeat; return how long it took to be sent."""
        since_s = self.now_s
        self.acknowledge(self.take_next())
        return self.now_s - since_s

    def leave(self, *channels: str, groups: tuple[str, ...] = ()) -> None:
        self.engine.leave(
            "u",
            channels,
            groups,
            params=(),
            patience=self.patience(),
            now_s=self.now_s,
        )


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_a_leave_by_somebody_else_is_answered_at_once_with_the_state(
    heard: Heard,
) -> None:
    claim = heard.join("u", "a", "b", state={"n": 1})
    # The place in the interval stays what it was.
    place_s = heard.engine.next_s

    assert heard.gone("a", after_s=20)
    lost = heard.changes(HealthChanged)
    send = heard.take_next()

    assert [(x.health, x.reason, x.remaining_s) for x in lost] == [(LOST, LEFT, 0.0)]
    assert heard.now_s == pytest.approx(1020.1)
    assert send.operation.channels == ("a", "b")
    assert send.operation.state == {"a": {"n": 1}, "b": {"n": 1}}  # type: ignore[union-attr]  # a heartbeat
    assert heard.engine.expires_s(claim) == 1020
    heard.acknowledge(send)
    assert [x.health for x in heard.changes(HealthChanged)] == [FRESH]
    assert heard.engine.expires_s(claim) == pytest.approx(1320.1)
    assert (heard.engine.next_s - place_s) % 149 == pytest.approx(0, abs=0.2)


def test_it_carries_a_state_that_was_set_later(heard: Heard) -> None:
    claim = heard.join("u", "a", state={"n": 1})
    heard.engine.set_claim_state(claim, {"n": 2}, heard.patience(), heard.now_s)
    heard.acknowledge(heard.take())

    assert heard.gone("a", after_s=5)

    assert heard.take_next().operation.state == {"a": {"n": 2}}  # type: ignore[union-attr]  # a heartbeat


def test_a_timeout_out_of_turn_is_answered_too(heard: Heard) -> None:
    heard.join("u", "a")

    assert heard.gone("a", after_s=5, is_timeout=True)

    assert [x.reason for x in heard.changes(HealthChanged)] == [TIMED_OUT]
    assert heard.next_beat_s() == pytest.approx(0.1)


def test_a_group_is_held_through_which_the_event_came(heard: Heard) -> None:
    heard.join("u", channel_groups=("g",))

    assert not heard.gone("x", after_s=5)
    assert not heard.gone("x", ",h")
    assert heard.gone("x", ",g")


@pytest.mark.parametrize(("user_id", "name"), [("v", "a"), ("u", "b")])
def test_what_is_not_held_does_not_count(heard: Heard, user_id: str, name: str) -> None:
    heard.join("u", "a")
    heard.join("v", "b")

    assert not heard.gone(name, user_id=user_id, after_s=5)


def test_a_single_heartbeat_holds_nobody(heard: Heard) -> None:
    heard.ask_to_join("u", "a")

    assert not heard.gone("a", after_s=5)
    assert not heard.gone("a", user_id="nobody")


def test_the_leave_of_several_channels_is_answered_once(heard: Heard) -> None:
    heard.join("u", "a", "b", "c")

    assert heard.gone("a", after_s=20)
    heard.gone("b", after_s=0.03)
    heard.gone("c", after_s=0.03)

    assert heard.next_beat_s() == pytest.approx(0.04)
    assert heard.next_beat_s() > 20


def test_one_event_counts_once(heard: Heard) -> None:
    """Two polls may deliver it, or one again after a break."""
    heard.join("u", "a")

    assert heard.gone("a", after_s=20)
    assert not heard.gone("a", after_s=0.05, ago_s=0.05)
    heard.next_beat_s()
    assert not heard.gone("a", after_s=0.2, ago_s=0.31)
    assert heard.next_beat_s() > 20


@pytest.mark.parametrize(
    ("ago_s", "is_over", "is_answered"),
    [(4.9, True, True), (5.5, False, True), (9, False, False)],
)
def test_an_event_older_than_the_last_heartbeat_is_old_news(
    heard: Heard, ago_s: float, *, is_over: bool, is_answered: bool
) -> None:
    """Within a second it is in doubt: a heartbeat is sent, the health is as it was.

    So it is when a process starts within a second of the end of the one before.
    """
    claim = heard.join("u", "a")

    assert heard.gone("a", after_s=5, ago_s=ago_s) is is_over
    assert claim.health is (LOST if is_over else FRESH)
    assert (heard.next_beat_s() < 1) is is_answered


def test_an_event_of_the_future_is_one_of_now(heard: Heard) -> None:
    claim = heard.join("u", "a")

    assert heard.gone("a", after_s=5, ago_s=-100)
    assert heard.engine.expires_s(claim) == heard.now_s
    heard.next_beat_s()
    assert heard.gone("a", after_s=20, ago_s=0)


def test_a_heartbeat_on_its_way_brings_the_user_back(heard: Heard) -> None:
    claim = heard.join("u", "a")
    send = heard.take_next()

    assert not heard.gone("a", after_s=0.5, ago_s=0.6)
    heard.acknowledge(send, sent_at_s=send.taken_s)
    assert claim.health is FRESH
    assert heard.next_beat_s() > 60


def test_one_that_may_have_come_before_the_leave_is_followed(heard: Heard) -> None:
    heard.join("u", "a")
    send = heard.take_next()

    assert heard.gone("a", after_s=0.5, ago_s=0.2)
    heard.acknowledge(send, sent_at_s=send.taken_s)
    assert heard.next_beat_s() < 0.2


def test_two_who_fight_are_bounded(heard: Heard) -> None:
    claim = heard.join("u", "a")
    heard.now_s += 20
    began_s, beats = heard.now_s, 0
    while heard.now_s < began_s + 100:
        heard.gone("a", after_s=0.05)
        heard.next_beat_s()
        beats += 1
        assert claim.health is FRESH

    assert beats == pytest.approx(11, abs=1)


def test_a_regular_heartbeat_meanwhile_is_the_answer(heard: Heard) -> None:
    """What was put off is not sent in addition."""
    heard.join("u", "a", presence_timeout_s=60)
    regular_s = heard.engine.next_s
    heard.now_s = regular_s - 5
    heard.gone("a")
    heard.next_beat_s()
    heard.gone("a", after_s=0.1)

    heard.next_beat_s()
    assert heard.now_s == pytest.approx(regular_s, abs=0.1)
    assert heard.next_beat_s() == pytest.approx(29, abs=0.1)


def test_a_leave_of_ours_comes_back_as_an_event(heard: Heard) -> None:
    claim = heard.join("u", "a")
    heard.engine.release(claim, heard.patience(), heard.now_s)
    heard.acknowledge(heard.take())
    heard.join("u", "a")

    assert not heard.gone("a", after_s=5)
    assert not heard.gone("a", after_s=4.9)
    assert heard.gone("a", after_s=0.2)


def test_a_leave_of_ours_is_about_its_names(heard: Heard) -> None:
    heard.join("u", "a")
    heard.join("u", "b")
    heard.leave("b")
    heard.acknowledge(heard.take())

    assert heard.gone("a", after_s=5)


def test_a_leave_of_a_group_may_end_any_channel(heard: Heard) -> None:
    heard.join("u", "a")
    heard.leave(groups=("g",))
    heard.acknowledge(heard.take())

    assert not heard.gone("a", after_s=5)


def test_a_leave_of_ours_under_way_is_the_cause(heard: Heard) -> None:
    heard.join("u", "a")
    heard.leave(groups=("g",))
    send = heard.take()

    assert not heard.gone("a", after_s=1)
    heard.acknowledge(send)


def test_a_leave_of_ours_without_an_answer_may_take_effect_later(heard: Heard) -> None:
    claim = heard.join("u", "a")
    heard.engine.release(claim, heard.patience(), heard.now_s)
    heard.lose(heard.take())
    heard.join("u", "a")

    assert not heard.gone("a", after_s=18)


def test_in_an_outage_the_engine_is_trying_already(heard: Heard) -> None:
    claim = heard.join("u", "a")
    heard.busy(heard.take_next())
    again_s = heard.engine.next_s

    assert not heard.gone("a", is_timeout=True)
    assert (claim.health, heard.engine.next_s) == (AT_RISK, again_s)


def test_of_users_who_ran_out_an_event_says_nothing_new(heard: Heard) -> None:
    claim = heard.join("u", "a", presence_timeout_s=20)
    send = heard.take_next()
    heard.now_s += 30

    assert not heard.gone("a", is_timeout=True)
    heard.acknowledge(send)
    assert claim.health is FRESH


def test_what_the_service_refuses_is_not_tried_sooner(heard: Heard) -> None:
    claim = heard.join("u", "a")
    heard.say_no(heard.take_next(), "a")

    assert claim.health is REFUSED
    assert not heard.gone("a")


def test_a_client_that_closes_keeps_nobody(heard: Heard) -> None:
    heard.join("u", "a")
    heard.engine.close(heard.patience(), heard.now_s, leave=True)

    assert not heard.gone("a", after_s=1)


def test_a_heartbeat_at_once_that_fails_is_tried_again(heard: Heard) -> None:
    claim = heard.join("u", "a")
    heard.gone("a", after_s=20)

    heard.busy(heard.take_next())

    assert heard.next_beat_s() < 5
    assert [x.health for x in heard.changes(HealthChanged)] == [LOST, FRESH]
    assert heard.engine.expires_s(claim) == heard.now_s + 300


def test_a_heartbeat_on_its_way_for_another_name_proves_nothing(heard: Heard) -> None:
    heard.join("u", "a", presence_timeout_s=60)
    heard.join("u", "b", presence_timeout_s=300)
    (out,) = heard.take_next().operation.channels
    other = "b" if out == "a" else "a"

    assert not heard.gone(other, after_s=0.5, ago_s=heard.now_s - 990), "old news"
    assert not heard.gone(out, ago_s=0.6)
    assert heard.gone(other, ago_s=0.6)


def test_what_is_kept_lately_is_forgotten() -> None:
    table: Lately[int, str] = Lately(10)
    for second in range(1, 100):
        table.put(second, "x", second)

    kept = [n for n in range(100) if table.get(n)]
    assert kept == list(range(kept[0], 100))
    assert 79 < kept[0] <= 89
    table.put(1, "y", 1000)
    assert (table.get(1), len(table)) == ("y", 1)
