"""Short stories, each of which a rule once did not survive."""

from __future__ import annotations

import math

import pytest

from presence_async.errors import LeaseReleasedError, ReplyFormatError
from presence_async.presence.claims import LeaseHealth
from presence_async.presence.overview import next_heartbeat_s
from presence_async.presence.wire import Purpose
from presence_async.protocol.heartbeat import HeartbeatOperation
from presence_async.protocol.leave import LeaveOperation

from .scene import Setup
from .troubles import NEVER, Fate
from .world import World

FINE = Fate(0.02, 0.04)
SLOW = Fate(0.02, 1.0)
LOST = Fate()
LOST_REPLY = Fate(0.02)
NO_TOKEN = Fate(0.02, 0.04, needs_token_s=NEVER)


@pytest.fixture
def world() -> World:
    return World(Setup())


def sent(world: World, kind: type, since: int = 0) -> list[float]:
    """Return when requests of a kind were sent, seconds from the begin."""
    return [
        at_s - 1000
        for at_s, send in world.scene.sent[since:]
        if isinstance(send.operation, kind)
    ]


def test_a_user_whose_last_repeat_is_due_is_forgotten_only_after_it(
    world: World,
) -> None:
    world.network.script.append(LOST)
    world.join(0, "u", ("a",))
    world.run_for(1)
    world.give_up(0)

    world.run_for(60)

    # The leave, and once more when the lost heartbeat cannot come any more.
    assert sent(world, LeaveOperation) == pytest.approx([1, 11], abs=0.1)
    assert list(world.scene.engine) == []


def test_a_join_whose_names_are_left_meanwhile_returns_a_released_lease(
    world: World,
) -> None:
    world.network.script.append(SLOW)
    world.join(0, "u", ("a",))
    world.run_for(0.5)
    world.leave("u", ("a",))

    world.run_for(2)

    call, error = world.scene.settled[0]
    assert (call.kind, error) == ("join", None)
    assert call.claim is not None
    assert call.claim.health is LeaseHealth.RELEASED


def test_a_join_whose_names_are_left_before_it_is_acknowledged_fails(
    world: World,
) -> None:
    world.network.script.append(LOST)
    world.join(0, "u", ("a",))
    world.run_for(0.5)
    world.leave("u", ("a",))

    world.run_for(30)

    errors = {call.kind: error for call, error in world.scene.settled}
    assert isinstance(errors["join"], LeaseReleasedError)
    assert errors["leave"] is None


def test_an_add_that_is_taken_back_leaves_only_what_it_added(world: World) -> None:
    world.join(0, "u", ("a",))
    world.run_for(1)
    world.add(0, ("b", "c"), 30)
    world.add(0, ("c", "d"), 30)
    world.run_for(1)
    call, _ = world.scene.settled[-1]
    assert call.claim is not None

    world.scene.engine.take_back(call.claim, world.scene.now_s)
    world.run_for(1)

    assert world.leases[0].channels == ("a", "b", "c")
    assert set(world.scene.service.until_s) == {("u", c) for c in "abc"}


def test_nothing_is_due_for_a_user_released_while_a_heartbeat_fails(
    world: World,
) -> None:
    engine = world.scene.engine
    world.join(0, "u", ("a",), timeout_s=300)
    world.run_for(1)
    due_s = next_heartbeat_s(engine)
    world.network.script.append(LOST)
    world.run_until(due_s + 1)
    engine.close(world.scene.patience(10), world.scene.now_s, leave=True)

    world.run_until(due_s + 10)

    assert next_heartbeat_s(engine) == math.inf


def test_names_of_the_same_leases_are_refused_together_and_once(
    world: World,
) -> None:
    world.join(0, "u", ("a",), timeout_s=60)
    world.join(1, "u", ("a",), timeout_s=60)
    world.run_for(1)
    before = len(world.scene.sent)
    world.trouble("refused without names", 32)

    world.run_for(32)

    assert len(world.scene.sent) == before + 1
    assert world.leases[0].health is LeaseHealth.REFUSED
    assert world.leases[1].health is LeaseHealth.REFUSED


def test_a_lease_is_refused_without_those_it_shares_some_names_with(
    world: World,
) -> None:
    world.join(0, "u", ("a",), timeout_s=60)
    world.join(1, "u", ("a", "b"), timeout_s=60)
    world.run_for(1)
    world.trouble("refused without names", 32, names=("b",))

    world.run_for(32)

    assert world.leases[0].health is LeaseHealth.FRESH
    assert world.leases[1].health is LeaseHealth.REFUSED


def test_a_join_without_deadline_that_waits_for_a_token_holds_no_heartbeat_up(
    world: World,
) -> None:
    world.join(0, "u", ("a",), timeout_s=60)
    world.run_for(1)
    world.network.script.append(NO_TOKEN)
    world.join(1, "u", ("b",), timeout_s=60, patience_s=math.inf)

    world.run_for(120)

    assert world.scene.service.timeouts == 0
    assert world.leases[1].health is LeaseHealth.FRESH


def test_a_join_that_failed_with_a_short_timeout_ends_no_other_lease(
    world: World,
) -> None:
    world.join(0, "u", ("a",), timeout_s=300)
    world.run_for(1)
    world.network.script.append(LOST_REPLY)
    world.join(1, "u", ("a",), timeout_s=12, patience_s=9)
    world.run_for(11)

    world.run_for(60)

    assert world.scene.service.timeouts == 0
    assert world.scene.service.until_s["u", "a"] > world.scene.now_s + 200


def test_a_heartbeat_without_a_lease_that_failed_ends_no_lease(world: World) -> None:
    world.join(0, "u", ("a",), timeout_s=300)
    world.run_for(1)
    world.network.script.append(LOST_REPLY)
    world.say_heartbeat("u", ("a",), 12)

    world.run_for(60)

    assert world.scene.service.timeouts == 0


def test_a_leave_of_a_group_that_failed_makes_the_other_names_due(
    world: World,
) -> None:
    world.join(0, "u", ("c",), timeout_s=300)
    world.join(1, "u", (), ("g",), timeout_s=300)
    world.run_for(1)
    world.network.script.append(Fate(0.02, 0.04, ReplyFormatError("html")))
    world.release(1)

    world.run_for(1)

    assert ("u", "c") in world.scene.service.until_s


def test_leaving_a_channel_of_a_group_that_is_held_makes_the_group_due(
    world: World,
) -> None:
    world.join(0, "u", ("c",), timeout_s=300)
    world.join(1, "u", (), ("g",), timeout_s=300)
    world.run_for(1)
    world.release(0)

    world.run_for(1)

    assert ("u", "c") in world.scene.service.until_s


def test_health_follows_the_first_of_several_heartbeats_of_a_join(
    world: World,
) -> None:
    world.join(0, "u", ("a",), timeout_s=20)
    world.run_for(1)
    world.trouble("cut", 60)
    world.run_for(60)
    healths = [world.leases[0].health]
    world.network.script += [FINE, SLOW]
    world.join(1, "u", ("a", "b"), timeout_s=300)

    world.run_for(0.1)

    healths.append(world.leases[0].health)
    assert healths == [LeaseHealth.LOST, LeaseHealth.FRESH]


def test_what_a_join_announced_in_doubt_is_said_again(world: World) -> None:
    world.network.script += [LOST, LOST]
    world.join(0, "u", ("a",), timeout_s=60)
    world.run_for(1)
    world.give_up(0)
    world.run_for(1)
    world.join(1, "u", ("a",), timeout_s=300)
    world.run_for(10)

    world.run_for(12)

    # The join, and once more when the leave lost before it cannot come any more.
    assert sent(world, HeartbeatOperation)[1:] == pytest.approx([11.1, 21.1], abs=0.3)
    assert world.scene.sent[-1][1].purpose is Purpose.KEEP


def test_a_state_set_for_a_channel_that_is_being_added_stays(world: World) -> None:
    world.join(0, "u", ("a",), timeout_s=60, state=True)
    world.run_for(1)
    world.network.script.append(SLOW)
    world.add(0, ("b",), 30)
    world.run_for(0.5)
    world.say_state("u", ("b",))

    world.run_for(60)

    assert world.scene.service.states["u", "b"] == {"n": 2}


def test_presence_outlasts_a_cache_that_answers_for_less_than_the_timeout(
    world: World,
) -> None:
    world.join(0, "u", ("a",), timeout_s=60)
    world.run_for(1)
    world.run_until(next_heartbeat_s(world.scene.engine) + 1)
    world.trouble("cached", 57.7)

    world.run_for(120)

    assert world.scene.service.timeouts == 0


def test_presence_is_back_soon_after_a_cache_has_answered_everything(
    world: World,
) -> None:
    world.join(0, "u", ("a",), timeout_s=300)
    world.run_for(1)
    world.trouble("cached", 400)
    world.run_for(400)
    healths = [world.leases[0].health]

    world.run_for(15)

    healths.append(world.leases[0].health)
    assert healths == [LeaseHealth.LOST, LeaseHealth.FRESH]


def test_a_lease_stays_at_risk_after_a_sleep_until_its_own_heartbeat(
    world: World,
) -> None:
    world.join(0, "u", ("a",), timeout_s=60)
    world.run_for(1)
    world.network.script += [SLOW, SLOW]
    world.say_heartbeat("u", ("b",), 60)
    world.run_for(0.5)
    world.scene.engine.slept(5, world.scene.now_s)

    world.run_for(1)

    # The heartbeat without a lease is answered, the lease's own is under way.
    healths = [world.leases[0].health]
    world.run_for(1)
    healths.append(world.leases[0].health)
    assert healths == [LeaseHealth.AT_RISK, LeaseHealth.FRESH]


def test_a_lease_that_ran_out_unseen_is_lost_whatever_happens_first(
    world: World,
) -> None:
    world.join(0, "u", ("a",), timeout_s=20)
    world.run_for(1)
    engine, late_s = world.scene.engine, world.scene.now_s + 60

    # The event loop was blocked; a caller comes before the engine is asked again.
    patience = world.scene.patience(100)
    engine.set_claim_state(world.leases[0], {"n": 1}, patience, late_s)

    assert world.leases[0].health is LeaseHealth.LOST
