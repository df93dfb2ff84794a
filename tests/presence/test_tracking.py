"""When an empty channel is worth a warning: users who should be listed, and are not."""

from __future__ import annotations

import pytest

from presence_async.presence.claims import AT_RISK, FRESH, LOST
from presence_async.presence.tracking import Tracking

from .direct import Direct, heartbeat, say


@pytest.fixture
def direct() -> Direct:
    return Direct()


def unlisted(
    direct: Direct,
    after_s: float = 0.0,
    *,
    channel: str = "a",
    occupancy: int = 0,
    age_s: float = 0.0,
) -> str | None:
    """Answer here now in a while; return who should have been listed."""
    direct.now_s += after_s
    return direct.engine.tracking.unlisted(
        channel, occupancy, shown_s=direct.now_s - age_s, now_s=direct.now_s
    )


def go_on(direct: Direct, until_s: float, *, is_lost: bool = False) -> None:
    """Let heartbeats be sent, and be acknowledged or lost, until a time."""
    while direct.now_s <= until_s:
        send = direct.engine.take(direct.now_s)
        if send is None:
            direct.now_s = max(direct.now_s, direct.engine.next_s)
        elif is_lost:
            direct.lose(send)
        else:
            direct.acknowledge(send)
    direct.now_s = until_s


def test_ten_seconds_after_a_join_it_is_said_once(direct: Direct) -> None:
    direct.join("u", "a", "b")

    assert unlisted(direct, 9.9) is None
    assert unlisted(direct, 0.1) == "u"
    assert unlisted(direct, 100) is None
    assert unlisted(direct, channel="b") == "u"


def test_an_answer_counts_from_when_it_was_true(direct: Direct) -> None:
    direct.join("u", "a")

    assert unlisted(direct, 60, age_s=55) is None
    assert unlisted(direct, 60, age_s=300) is None
    assert unlisted(direct, age_s=3) == "u"


def test_an_answer_from_before_the_join_is_no_first_sign_either(
    direct: Direct,
) -> None:
    direct.join("u", "a")

    assert unlisted(direct, age_s=20) is None
    assert unlisted(direct, 5) is None
    assert unlisted(direct, 5) == "u"


@pytest.mark.parametrize("channel", ["b", "g"])
def test_channels_that_nobody_of_ours_holds_by_name_are_none_of_its_business(
    direct: Direct, channel: str
) -> None:
    direct.join("u", "a", channel_groups=("g",))
    say(direct, heartbeat("b"))

    assert unlisted(direct, 60, channel=channel) is None


def test_once_anybody_was_listed_the_channel_is_tracked(direct: Direct) -> None:
    direct.join("u", "a")

    assert unlisted(direct, 1, occupancy=1) is None
    assert unlisted(direct, 60) is None


def test_a_user_who_left_or_is_leaving_need_not_be_listed(direct: Direct) -> None:
    claim = direct.join("u", "a")
    unlisted(direct, 5)
    direct.engine.release(claim, direct.patience(), direct.now_s)
    assert unlisted(direct, 10) is None
    direct.acknowledge(direct.take())
    assert unlisted(direct, 10) is None

    direct.join("u", "a")
    assert unlisted(direct, 5) is None
    assert unlisted(direct, 5) == "u"


def test_a_user_who_lingers_is_on_the_way_out(direct: Direct) -> None:
    claim = direct.join("u", "a", linger_s=60)
    direct.now_s += 60
    direct.engine.release(claim, direct.patience(), direct.now_s)

    assert unlisted(direct, 10) is None


def test_at_risk_or_lost_it_need_not_be_listed_nor_soon_after(direct: Direct) -> None:
    claim = direct.join("u", "a")
    seen = []
    for until_s, is_lost in ((1200, True), (1400, True), (1408, False)):
        go_on(direct, until_s, is_lost=is_lost)
        seen.append((claim.health, unlisted(direct)))
    assert seen == [(AT_RISK, None), (LOST, None), (FRESH, None)]

    # It is back, and says so once more since earlier requests may come late.
    told_s = direct.engine.expires_s(claim) - 300
    assert 1400 < told_s <= 1408
    go_on(direct, told_s + 9.9)
    assert unlisted(direct) is None
    go_on(direct, told_s + 20.1)
    assert unlisted(direct) == "u"


def test_what_is_under_way_or_has_run_out_settles_nothing(direct: Direct) -> None:
    direct.join("u", "a", "b", "c")
    beat = direct.take_next()
    # Looked at before the heartbeat was taken, and not again within ten seconds.
    direct.engine.tracking._looked_s = direct.now_s
    direct.engine.tracking._holders = dict.fromkeys("abc", "u")
    assert unlisted(direct, channel="a") is None
    direct.cut(beat)
    assert unlisted(direct, channel="b") is None

    blocked = Direct()
    blocked.join("u", "a")
    assert unlisted(blocked, 400) is None


def test_a_channel_that_was_just_added_counts_for_itself(direct: Direct) -> None:
    claim = direct.join("u", "a")
    go_on(direct, 1300)
    direct.ask_to_join("u", "b", extends=claim)
    direct.acknowledge(direct.take())

    assert claim.channels == ("a", "b")
    assert unlisted(direct, 9, channel="b") is None
    assert unlisted(direct, channel="a") == "u"
    assert unlisted(direct, 1, channel="b") == "u"


def test_a_user_with_frequent_heartbeats_has_to_be_missed_twice(
    direct: Direct,
) -> None:
    direct.join("u", "a", presence_timeout_s=10)

    go_on(direct, 1030)
    assert unlisted(direct) is None
    go_on(direct, 1036)
    assert unlisted(direct) is None
    # A failure between the two: perhaps the user was away.
    go_on(direct, 1041, is_lost=True)
    go_on(direct, 1060)
    assert unlisted(direct) is None
    go_on(direct, 1069)
    assert unlisted(direct) is None
    go_on(direct, 1071)
    assert unlisted(direct) == "u"


@pytest.mark.parametrize("users", ["uuuu", "uvwx"])
def test_visits_too_short_to_be_listed_do_not_add_up(
    direct: Direct, users: str
) -> None:
    for user in users:
        claim = direct.join(user, "a")
        assert unlisted(direct, 0.1) is None
        direct.engine.release(claim, direct.patience(), direct.now_s)
        direct.acknowledge(direct.take())
        direct.now_s += 12


def test_the_user_who_has_been_here_longest_is_asked_about(direct: Direct) -> None:
    direct.join("u", "a")
    for n in range(6):
        direct.now_s += 10
        direct.join(f"new-{n}", "a")

    # Its regular heartbeat may just have been sent.
    unlisted(direct)
    assert unlisted(direct, 10) == "u"


def test_users_are_looked_through_at_most_every_ten_seconds(
    direct: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    look = Tracking._look

    def counted(self: Tracking) -> dict[str, str]:
        looks.append(direct.now_s)
        return look(self)

    monkeypatch.setattr(Tracking, "_look", counted)
    direct.join("u", "a")
    for n in range(100):
        unlisted(direct, 1, channel=f"empty-{n}")

    assert len(looks) == 10
    assert not direct.engine.tracking._settled


def test_many_channels_are_not_warned_of_without_end(direct: Direct) -> None:
    channels = [f"c{n}" for n in range(1100)]
    direct.join("u", *channels)
    direct.now_s += 60

    named = [unlisted(direct, channel=channel) for channel in channels]

    assert named.count("u") == 1000
