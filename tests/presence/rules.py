"""What must hold at every moment, whatever goes wrong."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Any

from presence_async.presence.changes import (
    Change,
    HealthChanged,
    LeaveGivenUp,
    Narrowed,
    OutageBegan,
    OutageEnded,
    Settled,
    UserForgotten,
)
from presence_async.presence.claims import Claim, LeaseHealth
from presence_async.presence.names import Name, channels_of, groups_of, names_of
from presence_async.presence.wire import Acknowledged, Outcome, Purpose, Send
from presence_async.protocol.heartbeat import HeartbeatOperation
from presence_async.protocol.leave import LeaveOperation

from .scene import Scene, Violation
from .service import Spot, members

__all__ = ["Rules"]

_ALMOST = 1e-6
_MOST_PER_S = 40
_STARVING_S = 60.0
_OVER = {LeaseHealth.LOST, LeaseHealth.REFUSED}


class Rules:
    """Watches a scene.

    Attributes:
        claims: The claims of each user, those that only extend another left out.
        ghosts: Users who may stay present for a while without a lease: their leave was
            given up, or a repeat failed, or a heartbeat was sent without a lease.
        undone: When a request given up was applied all the same, and where.
        is_down: Whether the engine says that the service cannot be reached.
        forbids_timeouts: Whether nothing that happens excuses a timeout.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.claims: dict[str, list[Claim]] = {}
        self.ghosts: set[str] = set()
        self.is_down = False
        self.forbids_timeouts = False
        self.healths: dict[Claim, LeaseHealth] = {}
        self.states: dict[Claim, dict[str, int]] = {}
        self.named_states: dict[tuple[str, str], dict[str, int]] = {}
        self._names: dict[str, set[Name]] = {}
        self._shared: dict[str, set[str]] = {}
        self.undone: dict[Spot, float] = {}
        self._forgotten: set[Spot] = set()
        self._sent: dict[str, deque[float]] = {}
        self._last_sent_s = 0.0
        self._down_since_s = 0.0
        self._rounds: dict[str, tuple[float, float]] = {}

    # What is wanted.

    def wanted(self, claim: Claim) -> None:
        if claim.extends is None:
            self.claims.setdefault(claim.user_id, []).append(claim)
            if claim.state is not None:
                self.states[claim] = dict(claim.state)  # type: ignore[arg-type]  # numbers
        self.named(claim.user_id, claim.names)

    def dropped(self, claim: Claim) -> None:
        """Forget a claim that has ended or will never be joined."""
        if claim in self.claims.get(claim.user_id, ()):
            self.claims[claim.user_id].remove(claim)
        # Also of a claim that only extends another, which is not among them.
        self.forget_states(claim.user_id)

    def named(self, user_id: str, names: Iterable[Name]) -> None:
        """Note names; the engine cannot know that two of them mean one channel."""
        known = self._names.setdefault(user_id, set())
        if known.issuperset(names):
            return
        known.update(names)
        counts: dict[str, int] = {}
        for name in known:
            for member in members(channels_of([name]), groups_of([name])):
                counts[member] = counts.get(member, 0) + 1
        self._shared[user_id] = {c for c, count in counts.items() if count > 1}

    def spots(self, claim: Claim, *, shared: bool = False) -> list[Spot]:
        """Return where a claim wants its user; shared channels only on demand."""
        user_id = claim.user_id
        hidden = () if shared else self._shared.get(user_id, ())
        named = members(claim.channels, claim.channel_groups)
        return [(user_id, channel) for channel in named if channel not in hidden]

    def state_set(self, claim: Claim, state: dict[str, int]) -> None:
        self.states[claim] = state

    def state_said(self, user_id: str, channels: tuple[str, ...], state: Any) -> None:
        """Note a state set for channels: leases that are meant as a whole keep it.

        For the rest it is kept by channel, as long as any lease holds that.
        """
        self.named(user_id, names_of(channels, ()))
        meant = set(channels)
        for table in [x for x in self.scene.engine if x.user_id == user_id]:
            for claim in table.claims:
                is_whole = not claim.channel_groups and meant >= set(claim.channels)
                if is_whole and claim.extends is None:
                    self.states[claim] = state
                else:
                    for channel in meant.intersection(claim.channels):
                        self.named_states[user_id, channel] = state

    def newest_state(self, user_id: str, channel: str) -> dict[str, int] | None:
        """Return the newest state set through any lease that is held."""
        found = [
            self.states[claim]
            for claim in self.claims.get(user_id, ())
            if claim.is_joined and channel in claim.channels and claim in self.states
        ]
        if (user_id, channel) in self.named_states:
            found.append(self.named_states[user_id, channel])
        return max(found, key=lambda state: state["n"], default=None)

    def forget_states(self, user_id: str) -> None:
        """Forget states of channels that no lease holds or is about to hold."""
        waiting = [c for c in self.scene.calls.values() if c.user_id == user_id]
        joining = [call.claim for call in waiting if call.claim is not None]
        claims = [*self.claims.get(user_id, ()), *joining]
        held = {channel for claim in claims for channel in claim.channels}
        for key in [k for k in self.named_states if k[0] == user_id]:
            if key[1] not in held:
                del self.named_states[key]

    # The wire.

    def taken(self, send: Send) -> None:
        """Hold a request against the bounds of the wire."""
        scene, now_s = self.scene, self.scene.now_s
        _require(send.user_id not in scene.flights, "two requests of one user")
        if len(scene.flights) >= scene.setup.max_in_flight:
            on_wire = [f for f in scene.flights.values() if not f.fate.needs_token_s]
            _require(
                len(on_wire) < scene.setup.max_in_flight, "too many requests at once"
            )
        longest_s = scene.setup.attempt_timeout_s
        _require(0 < send.attempt_s <= longest_s, f"an attempt of {send.attempt_s} s")
        _require(send.deadline_s > now_s, "sent after its deadline")
        self.entered()
        sent = self._sent.setdefault(send.user_id, deque(maxlen=_MOST_PER_S))
        if len(sent) == _MOST_PER_S:
            _require(sent[0] < now_s - 1, "a storm of requests of one user")
        sent.append(now_s)
        if send.purpose is Purpose.KEEP:
            self._count_probes(send.user_id)
        self._hold_against_wishes(send)

    def entered(self) -> None:
        """Hold the time of a request against the rate."""
        rate, now_s = self.scene.setup.max_requests_per_s, self.scene.now_s
        if rate is not None:
            is_late = now_s - self._last_sent_s >= 1 / rate - _ALMOST
            _require(is_late, "more requests a second than allowed")
        self._last_sent_s = now_s

    def _count_probes(self, user_id: str) -> None:
        """Hold rounds that begin in an outage against the rule of one at a time."""
        now_s, down_since_s = self.scene.now_s, self._down_since_s
        began_s, last_s = self._rounds.get(user_id, (now_s, now_s))
        if last_s < now_s:
            began_s = now_s
        self._rounds[user_id] = (began_s, math.inf)
        if self.is_down and began_s >= down_since_s:
            probing = [
                x
                for x, (began_s, last_s) in self._rounds.items()
                if last_s == math.inf
                and began_s >= down_since_s
                and x != user_id
                # One that waits for its token is none.
                and not self.scene.flights[x].fate.needs_token_s
            ]
            _require(not probing, "two probes")

    def _hold_against_wishes(self, send: Send) -> None:
        operation = send.operation
        claims = self.claims.get(send.user_id, ())
        held = {n for c in claims if c.is_joined for n in c.names}
        names = set(names_of(operation.channels, operation.channel_groups))
        if isinstance(operation, LeaveOperation):
            _require(not names & held, "a leave of names that a lease holds")
        elif send.purpose is Purpose.KEEP and not send.is_confirming:
            _require(names <= held, "a heartbeat for names that no lease holds")

    def applied(self, send: Send, spots: list[Spot], *, is_late: bool) -> None:
        if is_late:
            self.undone.update(dict.fromkeys(spots, self.scene.now_s))
        elif isinstance(send.operation, HeartbeatOperation):
            for spot in spots:
                self.undone.pop(spot, None)
                self._forgotten.discard(spot)
        if isinstance(send.operation, HeartbeatOperation):
            is_kept = send.purpose is Purpose.KEEP
            is_join = send.order is not None and send.order.claim is not None
            if not is_kept and not is_join:
                self.ghosts.add(send.user_id)

    def answered(self, send: Send, outcome: Outcome) -> None:
        if send.purpose is Purpose.KEEP:
            began_s, _ = self._rounds[send.user_id]
            self._rounds[send.user_id] = (began_s, self.scene.now_s)
        if send.purpose is Purpose.REPEAT and not isinstance(outcome, Acknowledged):
            self.ghosts.add(send.user_id)

    def timed_out(self, spot: Spot) -> None:
        _require(not self.forbids_timeouts, "a short outage was seen as a timeout")
        self.check(spot[0])

    def forgotten(self, spots: Iterable[Spot]) -> None:
        self._forgotten.update(spots)

    # What the engine reports.

    def changed(self, change: Change) -> None:
        match change:
            case Settled():
                self._settled(change)
            case HealthChanged(claim=claim):
                known = self.healths.get(claim)
                _require(change.previous is known, "a change of health was not told")
                _require(change.health is not known, "no change of health was told")
                self.healths[claim] = change.health
                if change.health is LeaseHealth.RELEASED:
                    self.dropped(claim)
            case LeaveGivenUp():
                self.ghosts.add(change.user_id)
            case OutageBegan():
                _require(not self.is_down, "an outage began twice")
                self.is_down, self._down_since_s = True, self.scene.now_s
            case OutageEnded():
                _require(self.is_down, "no outage ended")
                self.is_down = False
            case UserForgotten(user_id=user_id):
                is_left = not self.claims.get(user_id)
                _require(is_left, "a user with a lease was forgotten")
                waits = any(c.user_id == user_id for c in self.scene.calls.values())
                _require(not waits, "a user was forgotten while a caller waits")
            case _:
                is_fine = self.is_down or isinstance(change, Narrowed)
                _require(is_fine, "an outage goes on that never began")

    def _settled(self, change: Settled) -> None:
        call = self.scene.calls.pop(change.ticket, None)
        if call is None:
            raise Violation("a ticket was settled twice, or after its caller was gone")
        self.scene.settled.append((call, change.error))
        _require(self.scene.now_s <= call.deadline_s + _ALMOST, "settled too late")
        claim = call.claim
        if claim is None:
            return
        if change.error is not None:
            self.dropped(claim)
        elif call.kind == "join":
            # A lease whose names were all left meanwhile comes back released.
            is_left = claim.health is LeaseHealth.RELEASED and not claim.names
            _require(claim.is_joined or is_left, "a join succeeded without a lease")
        else:
            lease = claim.extends
            is_held = lease is not None and set(claim.channels) <= set(lease.channels)
            _require(is_held, "channels were added to no lease")

    # Every moment.

    def check_all(self) -> None:
        for user_id in self.claims:
            self.check(user_id)

    def check(self, user_id: str) -> None:
        """Hold what the engine believes of a user against the truth."""
        claims = self.claims.get(user_id)
        if not claims:
            return
        scene = self.scene
        now_s, engine = scene.now_s, scene.engine
        is_blind = user_id in scene.flights or scene.slept_s != scene.noticed_s
        for claim in claims:
            if claim.health is None:
                continue
            expires_s = engine.expires_s(claim)
            if expires_s <= now_s:
                _require(claim.health in _OVER, "a lease ran out and is not lost")
                continue
            _require(claim.health is not LeaseHealth.LOST, "lost before its time")
            if not is_blind:
                self._compare(claim, expires_s)

    def _compare(self, claim: Claim, expires_s: float) -> None:
        until_s, ahead_s = self.scene.service.until_s, self.scene.slept_s
        for spot in self.spots(claim):
            real_s = until_s.get(spot, 0.0) - ahead_s
            if real_s < expires_s - _ALMOST and not self.is_excused(spot, claim):
                is_there = spot in until_s
                what = (
                    "remaining_s is too long" if is_there else "absent, though not lost"
                )
                raise Violation(f"{what}: {claim.health} {spot}")

    def is_excused(self, spot: Spot, claim: Claim) -> bool:
        """Return True if the engine cannot know the truth about a spot yet."""
        if spot in self._forgotten:
            return True
        undone_s = self.undone.get(spot)
        if undone_s is None:
            return False
        longest_s = 3 * self.scene.setup.attempt_timeout_s
        if self.scene.setup.is_tight:
            longest_s += _STARVING_S
        is_fresh = claim.health is LeaseHealth.FRESH
        return not is_fresh or self.scene.now_s <= undone_s + longest_s


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise Violation(rule)
