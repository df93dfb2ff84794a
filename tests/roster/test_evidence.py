"""What events prove about time."""

from __future__ import annotations

import pytest

from presence_async.protocol.timetoken import TIMETOKENS_PER_S
from presence_async.roster.evidence import ServiceClock


def test_the_clock_of_the_service_is_never_thought_to_be_ahead() -> None:
    clock = ServiceClock()
    before = clock.shown_at(100)
    for received_s, late_s in ((100.0, 3.0), (101.0, 0.2), (102.0, 5.0)):
        published = int((received_s + 5000 - late_s) * TIMETOKENS_PER_S)
        clock.record(published, now_s=received_s)

    shown_at = clock.shown_at(110)

    assert before is None
    assert shown_at is not None
    assert shown_at / TIMETOKENS_PER_S == pytest.approx(5110 - 0.2)


def test_the_quickest_event_of_the_last_minute_counts() -> None:
    clock = ServiceClock()
    clock.record(int(1100.0 * TIMETOKENS_PER_S), now_s=100)
    clock.record(int(1161.0 * TIMETOKENS_PER_S) - 3 * TIMETOKENS_PER_S, now_s=161)
    clock.record(int(1162.0 * TIMETOKENS_PER_S) - 3 * TIMETOKENS_PER_S, now_s=162)

    late = clock.shown_at(162)
    clock.forget()
    clock.record(int(1100.0 * TIMETOKENS_PER_S), now_s=100)
    clock.record(int(1150.0 * TIMETOKENS_PER_S) - 3 * TIMETOKENS_PER_S, now_s=150)
    clock.record(int(1161.0 * TIMETOKENS_PER_S) - 3 * TIMETOKENS_PER_S, now_s=161)

    assert late == 1159 * TIMETOKENS_PER_S, "the one before was too long ago"
    assert clock.shown_at(162) == 1162 * TIMETOKENS_PER_S


def test_what_the_clock_has_learned_ages() -> None:
    clock = ServiceClock()
    clock.record(1000 * TIMETOKENS_PER_S, now_s=100)
    for now_s in range(130, 400, 30):
        # The service's clock has been put back by a minute.
        clock.record((now_s + 840) * TIMETOKENS_PER_S, now_s=now_s)

    assert clock.shown_at(400) == 1240 * TIMETOKENS_PER_S
    assert clock.shown_at(1001) is None
