"""The engine between callers and a simulated service, in a time of their own.

The world does what the shell does: it sends what ``take`` returns, bounds it, answers
it and comes back at ``next_s``. ``rules`` watches over every step.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from typing import Any

from presence_async.presence.claims import Claim, Order, OrderKind
from presence_async.presence.names import names_of
from presence_async.protocol.heartbeat import HeartbeatOperation
from presence_async.protocol.user_state import SetStateOperation

from .network import Network
from .rules import Rules
from .scene import KEY, Call, Scene, Setup, Violation
from .troubles import Trouble

__all__ = ["World"]

_MOST_AT_ONCE = 500
_PATIENCE_S = 30.0


class World:
    """Time, and what callers do; each step of a schedule is a method.

    Attributes:
        scene: The engine, the service, and what goes on between them.
        rules: What must hold.
        network: The way between engine and service.
        leases: Claims by the number that steps call them by.
    """

    def __init__(self, setup: Setup, *, tells: bool = False) -> None:
        self.scene = Scene(setup, tells=tells)
        self.rules = Rules(self.scene)
        self.network = Network(self.scene, self.rules, self.pump)
        self.leases: dict[int, Claim] = {}
        self._states = itertools.count(1)
        self._next_s = math.inf

    # Time.

    def run_until(self, end_s: float) -> None:
        """Let time go by."""
        scene, events = self.scene, self.scene.events
        self.pump()
        while True:
            next_s = self._next_s
            is_event = bool(events) and events[0][0] <= next_s
            if is_event:
                next_s = events[0][0]
            if next_s > end_s:
                scene.now_s = end_s
                return
            scene.now_s = max(scene.now_s, next_s)
            if is_event:
                _, _, what, args = heapq.heappop(events)
                what(*args)
            elif not self.pump():
                # An alarm of the engine.
                self.rules.check_all()

    def run_for(self, seconds: float) -> None:
        """Let some seconds go by."""
        self.run_until(self.scene.now_s + seconds)

    def pump(self) -> int:
        """Do what the shell does when something has changed; return what it sent."""
        engine, now_s = self.scene.engine, self.scene.now_s
        self.drain()
        sent = 0
        while (send := engine.take(now_s)) is not None:
            sent += 1
            if sent > _MOST_AT_ONCE:
                raise Violation("requests without end at one instant")
            self.network.start(send)
        self.drain()
        self._next_s = engine.next_s
        if self._next_s <= now_s:
            raise Violation("next_s has passed, yet there is nothing to take")
        return sent

    def drain(self) -> None:
        """Hear what the engine reports."""
        for change in self.scene.engine.drain():
            if self.scene.story is not None:
                self.scene.tell(f"    {change}")
            self.rules.changed(change)

    # What callers do. Each step of a schedule is one of these.

    def join(
        self,
        lease: int,
        user_id: str,
        channels: tuple[str, ...] = (),
        groups: tuple[str, ...] = (),
        timeout_s: int = 300,
        *,
        state: bool = False,
        patience_s: float = 30.0,
        linger_s: float = 0.0,
    ) -> None:
        claim = Claim(
            user_id=user_id,
            channels=channels,
            channel_groups=groups,
            presence_timeout_s=timeout_s,
            state=self.new_state() if state else None,
            linger_s=linger_s,
        )
        self.leases[lease] = claim
        self.rules.wanted(claim)
        self._call(user_id, "join", patience_s, claim, self.scene.engine.join, claim)

    def add(self, lease: int, channels: tuple[str, ...], patience_s: float) -> None:
        held = self._held(lease)
        if held is None:
            return
        new = tuple(c for c in channels if c not in held.channels)
        if not new:
            return
        claim = Claim(
            user_id=held.user_id,
            channels=new,
            presence_timeout_s=held.presence_timeout_s,
            extends=held,
        )
        self.rules.wanted(claim)
        self._call(
            held.user_id, "add", patience_s, claim, self.scene.engine.join, claim
        )

    def narrow(self, lease: int, channels: tuple[str, ...]) -> None:
        held = self._held(lease)
        if held is None:
            return
        gone = tuple(c for c in held.channels if c in channels)
        if gone and (held.channel_groups or len(gone) < len(held.channels)):
            call = self.scene.engine.narrow
            self._call(held.user_id, "narrow", _PATIENCE_S, None, call, held, gone)
            self.rules.forget_states(held.user_id)

    def release(self, lease: int) -> None:
        held = self._held(lease)
        if held is not None:
            call = self.scene.engine.release
            self._call(held.user_id, "release", _PATIENCE_S, None, call, held)

    def leave(
        self, user_id: str, channels: tuple[str, ...], groups: tuple[str, ...] = ()
    ) -> None:
        patience = self.scene.patience(_PATIENCE_S)
        ticket = self.scene.engine.leave(
            user_id,
            channels,
            groups,
            params=(),
            patience=patience,
            now_s=self.scene.now_s,
        )
        self.rules.named(user_id, names_of(channels, groups))
        self._wait(Call(ticket, user_id, "leave", patience.deadline_s))
        self.rules.forget_states(user_id)

    def set_state(self, lease: int, *, gathers: bool = False) -> None:
        held = self._held(lease)
        if held is not None:
            state = self.new_state()
            self.rules.state_set(held, state)
            patience = self.scene.patience(_PATIENCE_S)
            ticket = self.scene.engine.set_claim_state(
                held,
                state,
                patience,
                self.scene.now_s,
                gather_s=0.05 if gathers else None,
            )
            self._wait(Call(ticket, held.user_id, "state", patience.deadline_s))

    def say_heartbeat(
        self, user_id: str, channels: tuple[str, ...], timeout_s: int
    ) -> None:
        operation = HeartbeatOperation(
            subscribe_key=KEY,
            user_id=user_id,
            channels=channels,
            presence_timeout_s=timeout_s,
        )
        self.rules.named(user_id, names_of(channels, ()))
        self._say(OrderKind.HEARTBEAT, user_id, operation)

    def say_state(self, user_id: str, channels: tuple[str, ...]) -> None:
        operation = SetStateOperation(
            subscribe_key=KEY,
            user_id=user_id,
            channels=channels,
            state=self.new_state(),
            acting_user_id=user_id,
        )
        self.rules.state_said(user_id, channels, operation.state)
        self._say(OrderKind.STATE, user_id, operation)

    def _say(self, kind: str, user_id: str, operation: object) -> None:
        patience = self.scene.patience(_PATIENCE_S)
        order = Order(
            kind=kind, user_id=user_id, patience=patience, operation=operation
        )
        ticket = self.scene.engine.say(order, self.scene.now_s)
        self._wait(Call(ticket, user_id, kind, patience.deadline_s))

    def give_up(self, number: int) -> None:
        """Cancel one of the callers who wait."""
        waiting = list(self.scene.calls.values())
        if not waiting:
            return
        call = waiting[number % len(waiting)]
        del self.scene.calls[call.ticket]
        self.scene.tell(f"  the caller of {call.kind} of {call.user_id} is cancelled")
        send = self.scene.engine.give_up(call.user_id, call.ticket, self.scene.now_s)
        if call.claim is not None:
            self.rules.dropped(call.claim)
        flight = self.scene.flights.get(call.user_id)
        if send is not None:
            assert flight is not None
            assert flight.send is send
            self.scene.at(self.scene.now_s, self.network.cut, flight)

    def retry_refused(self, user_id: str | None = None) -> None:
        self.scene.engine.retry_refused(user_id, self.scene.now_s)

    def sleep(self, seconds: float, notice_s: float) -> None:
        """Let the machine sleep; it notices a little later."""
        self.scene.slept_s += seconds
        for spot in list(self.scene.service.until_s):
            self.network.expire(spot)
        for flight in list(self.scene.flights.values()):
            if self.scene.rng.random() < 0.5:
                self.scene.at(self.scene.now_s, self.network.cut, flight)
        self.scene.at(self.scene.now_s + notice_s, self._notice, seconds)

    def _notice(self, seconds: float) -> None:
        self.scene.noticed_s += seconds
        self.scene.tell(f"  the sleep of {seconds:g} s is noticed")
        self.scene.engine.slept(seconds, self.scene.now_s)
        self.pump()
        self.rules.check_all()

    def forget(self) -> None:
        """Let the service lose everybody."""
        self.rules.forgotten(list(self.scene.service.until_s))
        self.scene.service.forget()

    def trouble(
        self,
        kind: str,
        lasts_s: float,
        probability: float = 1.0,
        users: tuple[str, ...] = (),
        names: tuple[str, ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        self.network.troubles.append(
            Trouble(
                kind=kind,
                until_s=self.scene.now_s + lasts_s,
                probability=probability,
                users=users,
                names=names,
                retry_after_s=retry_after_s,
            )
        )

    def hang_up(self) -> None:
        """Cut whatever is under way after the end; nobody hears of it."""
        for flight in self.scene.flights.values():
            flight.is_over = True
        self.scene.flights.clear()

    # Shorthands.

    def new_state(self) -> dict[str, int]:
        return {"n": next(self._states)}

    def _held(self, lease: int) -> Claim | None:
        claim = self.leases.get(lease)
        if claim is None or not claim.is_joined or not self.scene.engine.holds(claim):
            return None
        return claim

    def _call(
        self,
        user_id: str,
        kind: str,
        patience_s: float,
        claim: Claim | None,
        wish: Callable[..., int | None],
        *args: Any,
    ) -> None:
        patience = self.scene.patience(patience_s)
        ticket = wish(*args, patience, self.scene.now_s)
        if ticket is not None:
            self._wait(Call(ticket, user_id, kind, patience.deadline_s, claim))

    def _wait(self, call: Call) -> None:
        if call.ticket in self.scene.calls:
            raise Violation("a ticket was given twice")
        self.scene.calls[call.ticket] = call
