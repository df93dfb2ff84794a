"""Where a poll goes on, and what may be lost: pure, time is an argument."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from presence_async.client.feed.progress import Cursor, Loss, PollProgress
from presence_async.protocol.messages import Message, Published
from presence_async.protocol.timetoken import TIMETOKENS_PER_S

MINUTE_S = 60.0
HOUR_S = 3600.0


def cursor_at(second: float) -> Cursor:
    """The cursor that the service returns at a loop time."""
    return Cursor(int((1e6 + second) * TIMETOKENS_PER_S), 1)


def begun() -> PollProgress:
    return PollProgress.begin(cursor_at(0), now_s=0)


def checked(
    progress: PollProgress, second: float, *, shift_s: float = 0.0
) -> tuple[Loss, Cursor]:
    loss = progress.checked(
        cursor_at(second + shift_s), sent_at_s=second, now_s=second + 0.1
    )
    return loss, progress.cursor


def reasons(*losses: Loss) -> list[str | None]:
    return [None if loss.gap is None else loss.gap.reason for loss in losses]


def messages(*seconds: float) -> list[Message]:
    return [
        Message(
            channel="lobby-pnpres",
            payload=msgspec.Raw(b"{}"),
            published=Published(cursor_at(second).timetoken),
            subscription=None,
        )
        for second in seconds
    ]


@pytest.mark.parametrize("outage_s", [1, 19 * MINUTE_S])
def test_after_a_short_outage_it_goes_on_where_it_was(outage_s: float) -> None:
    progress = begun()

    assert checked(progress, outage_s) == (Loss(), cursor_at(0))


def test_after_a_long_outage_there_is_one_gap_and_one_try_from_where_it_was() -> None:
    progress = begun()
    first, old = checked(progress, 21 * MINUTE_S)
    second, still_old = checked(progress, 22 * MINUTE_S)
    third, given_up = checked(progress, 43 * MINUTE_S)

    assert reasons(first, second, third) == ["reconnect", None, None]
    assert first.is_restart is False
    assert old == still_old == cursor_at(0)
    assert given_up == cursor_at(43 * MINUTE_S)


def test_a_poll_that_goes_well_makes_the_next_loss_news() -> None:
    progress = begun()
    first, _ = checked(progress, 21 * MINUTE_S)
    progress.advance(cursor_at(22 * MINUTE_S), now_s=22 * MINUTE_S)
    second, _ = checked(progress, 23 * MINUTE_S)
    third, _ = checked(progress, 44 * MINUTE_S)

    assert reasons(first, second, third) == ["reconnect", None, "reconnect"]


def test_a_poll_that_was_held_is_complete_up_to_when_it_was_sent() -> None:
    progress = begun()
    for minute in range(1, 60):
        progress.was_held(sent_at_s=(minute - 1) * MINUTE_S)
        assert checked(progress, minute * MINUTE_S) == (Loss(), cursor_at(0))
    lost, _ = checked(progress, 58 * MINUTE_S + 21 * MINUTE_S)

    assert reasons(lost) == ["reconnect"]


def test_an_older_poll_proves_nothing_about_later() -> None:
    progress = begun()
    progress.advance(cursor_at(HOUR_S), now_s=HOUR_S)
    progress.was_held(sent_at_s=10)

    assert reasons(checked(progress, HOUR_S + MINUTE_S)[0]) == [None]


def test_a_sleep_counts_as_time_without_polls() -> None:
    progress = begun()
    progress.slept(21 * MINUTE_S)

    assert reasons(checked(progress, 1)[0]) == ["reconnect"]


def test_a_service_with_an_earlier_clock_was_restarted() -> None:
    progress = begun()
    loss, cursor = checked(progress, 10, shift_s=-20)

    assert loss.is_restart
    assert reasons(loss) == ["reconnect"]
    assert cursor == cursor_at(-10)


@pytest.mark.parametrize("shift_s", [-4, 1, HOUR_S])
def test_a_clock_that_is_a_little_off_or_ahead_is_no_restart(shift_s: float) -> None:
    loss, _ = checked(begun(), 10, shift_s=shift_s)

    assert loss == Loss()


def test_a_cursor_refused_twice_is_given_up() -> None:
    progress = begun()
    progress.refused()
    once, old = checked(progress, 10)
    progress.refused()
    twice, new = checked(progress, 20)

    assert reasons(once, twice) == [None, "reconnect"]
    assert (old, new) == (cursor_at(0), cursor_at(20))


@pytest.mark.parametrize(
    "well",
    [
        lambda progress: progress.advance(cursor_at(5), now_s=5),
        lambda progress: progress.was_held(sent_at_s=5),
    ],
    ids=["answered", "held"],
)
def test_refusals_count_in_a_row_only(well: Any) -> None:
    progress = begun()
    progress.refused()
    well(progress)
    progress.refused()

    assert reasons(checked(progress, 20)[0]) == [None]


def test_a_full_queue_is_a_gap_for_those_who_listen_since_before() -> None:
    progress = begun()
    loss = progress.find_loss(cursor_at(200), messages(*range(1, 101)))

    assert reasons(loss) == ["service_queue"]
    assert loss.before == cursor_at(51).timetoken
    assert progress.find_loss(cursor_at(200), messages(*range(1, 100))) == Loss()


def test_a_reply_that_goes_far_back_is_of_a_restarted_service() -> None:
    progress = begun()

    assert progress.find_loss(cursor_at(-59), []) == Loss()
    loss = progress.find_loss(cursor_at(-61), [])
    assert (loss.is_restart, *reasons(loss)) == (True, "reconnect")


def test_it_goes_back_but_not_ahead() -> None:
    progress = begun()

    assert not progress.rewind(cursor_at(1))
    assert progress.rewind(cursor_at(-1))
    assert progress.cursor == cursor_at(-1)


def test_a_branch_stands_where_it_left_and_tells_its_own_losses() -> None:
    progress = begun()
    told, _ = checked(progress, 21 * MINUTE_S)
    branch = progress.branch()
    restarted, _ = checked(branch, 22 * MINUTE_S, shift_s=-20)

    assert reasons(told, restarted) == ["reconnect", "reconnect"]
    assert progress.cursor == cursor_at(0)
