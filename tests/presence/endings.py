"""What must hold once nothing goes wrong any more, and after the end."""

from __future__ import annotations

from presence_async.presence.claims import Claim, LeaseHealth
from presence_async.presence.overview import leaving
from presence_async.presence.pace import default_interval_s

from .scene import Violation
from .service import Spot, members
from .world import World

__all__ = ["calm_down", "close", "release_all"]

_RECOVERY_S = 15.0
_LATENCY_S = 2.0
_LONGEST_NOTICE_S = 5.0
_LONGEST_LINGER_S = 10.0
_LEAVE_PACE_S = 5.0
_LONGEST_PATIENCE_S = 30.0
_STARVING_S = 40.0
_CLOSE_S = 10.0


def calm_down(world: World) -> None:
    """Let nothing go wrong any more; everything must be right again soon."""
    hampered = _hampered(world)
    calm_s = max([
        world.scene.now_s,
        *(trouble.until_s for trouble in world.network.troubles),
    ])
    world.run_until(calm_s)
    if world.scene.slept_s != world.scene.noticed_s:
        world.run_until(calm_s + _LONGEST_NOTICE_S)
        calm_s = world.scene.now_s
    world.run_until(calm_s + _RECOVERY_S + _LATENCY_S)
    if not world.scene.setup.is_tight:
        for claim in _joined(world):
            if claim.user_id not in hampered:
                _check_back(world, claim, "not back 15 s after the outage")
    world.run_until(max(world.scene.now_s, calm_s + _settling_s(world)))
    for claim in _joined(world):
        _check_back(world, claim, "not back an interval after the trouble")
    _check_states(world)
    _check_ghosts(world)
    if world.scene.calls:
        waiting = [(c.kind, c.user_id) for c in world.scene.calls.values()]
        raise Violation(f"callers still wait: {waiting}")


def _hampered(world: World) -> set[str]:
    """Return users whose recovery depends on more than the service's."""
    kinds = {"refused", "refused without names", "no token", "token hangs"}
    users: set[str] = set()
    for trouble in world.network.troubles:
        if trouble.kind in kinds:
            users |= {*(trouble.users or world.rules.claims)}
    return users


def _settling_s(world: World) -> float:
    longest_s = max(
        (default_interval_s(c.presence_timeout_s) for c in _joined(world)), default=0.0
    )
    settling_s = longest_s + 2 * world.scene.setup.attempt_timeout_s + _LEAVE_PACE_S
    if world.scene.setup.is_tight:
        settling_s += _STARVING_S
    if any(trouble.kind == "token hangs" for trouble in world.network.troubles):
        # A caller may wait for a token as long as it likes.
        settling_s += _LONGEST_PATIENCE_S + _LONGEST_LINGER_S
    return settling_s + _LATENCY_S


def _joined(world: World) -> list[Claim]:
    return [c for claims in world.rules.claims.values() for c in claims if c.is_joined]


def _check_back(world: World, claim: Claim, rule: str) -> None:
    if claim.health is not LeaseHealth.FRESH:
        raise Violation(f"{rule}: {claim}")
    for spot in world.rules.spots(claim):
        is_excused = world.rules.is_excused(spot, claim)
        if spot not in world.scene.service.until_s and not is_excused:
            raise Violation(f"{rule}: {spot} is absent")


def _check_states(world: World) -> None:
    for claim in _joined(world):
        for spot in world.rules.spots(claim):
            newest = world.rules.newest_state(*spot)
            known = world.scene.service.states.get(spot)
            if newest is not None and known != newest and not claim.channel_groups:
                raise Violation(f"an old state: {spot} has {known}, not {newest}")


def _check_ghosts(world: World) -> None:
    """Nobody stays present without a lease, but those who may."""
    claims = _joined(world)
    held = {spot for c in claims for spot in world.rules.spots(c, shared=True)}
    for spot in world.scene.service.until_s:
        if spot not in held and spot[0] not in world.rules.ghosts:
            raise Violation(f"{spot} is present without a lease")


def release_all(world: World) -> None:
    """End every lease; nothing may be left of anybody."""
    for number in list(world.leases):
        world.release(number)
    rest_s = 2 * world.scene.setup.attempt_timeout_s + _LONGEST_LINGER_S + _LATENCY_S
    if world.scene.setup.is_tight:
        rest_s += _STARVING_S
    world.run_until(world.scene.now_s + rest_s)
    _check_ghosts(world)
    engine = world.scene.engine
    left = [user.user_id for user in engine]
    if left or engine.next_s < float("inf") or leaving(engine):
        raise Violation(f"the engine remembers {left}, next at {engine.next_s}")
    if world.scene.calls:
        raise Violation("callers still wait")


def close(world: World, *, leave: bool) -> None:
    """Close in whatever weather it is; the report must be true."""
    held = {
        spot
        for claims in world.rules.claims.values()
        for claim in claims
        if claim.is_joined
        for spot in world.rules.spots(claim, shared=True)
    }
    engine = world.scene.engine
    deadline_s = world.scene.now_s + _CLOSE_S
    patience = world.scene.patience(_CLOSE_S)
    engine.close(patience, world.scene.now_s, leave=leave)
    world.run_until(world.scene.now_s)
    while not engine.is_done and world.scene.now_s < deadline_s:
        world.run_until(min(world.scene.now_s + 0.1, deadline_s))
    is_cut_short = bool(leaving(engine))
    engine.abort(world.scene.now_s)
    world.drain()
    if world.scene.calls:
        raise Violation("callers still wait after the close")
    world.hang_up()
    world.run_until(world.scene.now_s + world.scene.setup.attempt_timeout_s)
    if not is_cut_short:
        _check_report(world, held)


def _check_report(world: World, held: set[Spot]) -> None:
    left: set[Spot] = set()
    not_left: set[Spot] = set()
    for departure in world.scene.engine.departures:
        named = members(departure.channels, departure.channel_groups)
        spots = {(departure.user_id, channel) for channel in named}
        order = departure.order
        is_left = order is not None and order.error is None
        (left if is_left else not_left).update(spots)
    for spot in held - left - not_left:
        raise Violation(f"{spot} is missing from the report")
    # The close does not wait as long as a request given up may take to be applied.
    excused = not_left | world.rules.undone.keys()
    for spot in left - excused:
        if spot in world.scene.service.until_s and spot[0] not in world.rules.ghosts:
            raise Violation(f"{spot} is said to have left and is present")
