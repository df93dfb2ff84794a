"""States and single heartbeats, beside the regular ones or before them."""

from __future__ import annotations

import pytest

from presence_async.errors import (
    LeaseReleasedError,
)
from presence_async.presence.wire import Purpose
from presence_async.protocol.leave import LeaveOperation

from .direct import Direct, heartbeat, operation_of, say, state_of


@pytest.fixture
def direct() -> Direct:
    return Direct()


def test_patches_gather_in_one_request_which_has_the_last_state(
    direct: Direct,
) -> None:
    claim = direct.join("u", "a", state={"n": 0})
    direct.engine.drain()
    set_state = direct.engine.set_claim_state
    first = set_state(claim, {"n": 1}, direct.patience(), direct.now_s, gather_s=0.05)
    direct.now_s += 0.03
    second = set_state(claim, {"n": 2}, direct.patience(), direct.now_s, gather_s=0.05)
    assert direct.has_nothing

    direct.now_s = 1000.05
    send = direct.take()
    third = set_state(claim, {"n": 3}, direct.patience(), direct.now_s, gather_s=0.05)
    direct.acknowledge(send)

    assert operation_of(send).state == {"n": 2}
    assert direct.settled() == {first: None, second: None}
    assert operation_of(direct.take_next()).state == {"n": 3}
    assert third not in direct.settled()


def test_a_patch_goes_on_without_its_caller(direct: Direct) -> None:
    claim = direct.join("u", "a")
    ticket = direct.engine.set_claim_state(
        claim, {"n": 1}, direct.patience(), direct.now_s, gather_s=0.05
    )

    assert direct.engine.give_up("u", ticket, direct.now_s) is None

    assert operation_of(direct.take_next()).state == {"n": 1}


def test_a_state_of_a_lease_released_meanwhile_fails(direct: Direct) -> None:
    claim = direct.join("u", "a")
    first = say(direct, state_of("a", n=1))
    ticket = direct.engine.set_claim_state(
        claim, {"n": 2}, direct.patience(), direct.now_s
    )
    send = direct.take()
    direct.engine.release(claim, direct.patience(), direct.now_s)
    direct.engine.drain()

    direct.acknowledge(send)
    leave = direct.take()

    assert isinstance(leave.operation, LeaveOperation)
    settled = direct.settled()
    assert settled[first] is None
    assert isinstance(settled[ticket], LeaseReleasedError)


def test_a_released_lease_can_be_changed_no_more(direct: Direct) -> None:
    claim = direct.join("u", "a")
    direct.engine.release(claim, direct.patience(), direct.now_s)
    patience = direct.patience()

    with pytest.raises(LeaseReleasedError):
        direct.engine.set_claim_state(claim, {}, patience, direct.now_s)
    with pytest.raises(LeaseReleasedError):
        direct.engine.narrow(claim, ("a",), patience, direct.now_s)
    assert direct.engine.release(claim, patience, direct.now_s) is None


def test_a_state_for_many_channels_is_sent_in_parts(direct: Direct) -> None:
    channels = [f"{number:03}" + "x" * 80 for number in range(600)]
    ticket = say(direct, state_of(*channels, n=1))

    sent: list[str] = []
    while ticket not in direct.settled():
        send = direct.take()
        assert len(send.operation.to_request().target) <= 28 * 1024
        sent += send.operation.channels
        direct.acknowledge(send)

    assert sent == channels


def test_a_heartbeat_with_a_short_timeout_makes_the_lease_due(direct: Direct) -> None:
    claim = direct.join("u", "a")
    ticket = say(direct, heartbeat("a", timeout_s=20))

    direct.acknowledge(direct.take())

    assert direct.settled()[ticket] is None
    assert direct.engine.expires_s(claim) == direct.now_s + 20
    beat = direct.take()
    assert (beat.purpose, operation_of(beat).presence_timeout_s) == (Purpose.KEEP, 300)
    direct.acknowledge(beat)
    assert direct.engine.expires_s(claim) == direct.now_s + 300
    assert direct.has_nothing


def test_a_heartbeat_that_changes_nothing_makes_nothing_due(direct: Direct) -> None:
    direct.join("u", "a", state={"n": 1})
    say(direct, heartbeat("a"))

    direct.acknowledge(direct.take())

    assert direct.has_nothing
