"""The way from the engine to the service and back: what goes wrong, goes wrong here."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any

from presence_async.errors import ConnectionLostError, DeadlineError
from presence_async.presence.wire import Acknowledged, Outcome, Send, judged

from .rules import Rules
from .scene import Flight, Scene
from .service import Spot
from .troubles import NEVER, TROUBLES, Fate, Meeting, Trouble, calm

__all__ = ["Network"]


class Network:
    """Carries requests, loses them, delays them, and answers the engine.

    Args:
        scene: Everything.
        rules: Watches.
        pump: Called when the engine has something to do.

    Attributes:
        troubles: What goes wrong, or will not any more.
        script: How the next requests fare, whatever the troubles.
    """

    def __init__(self, scene: Scene, rules: Rules, pump: Callable[[], object]) -> None:
        self.troubles: list[Trouble] = []
        self.script: deque[Fate] = deque()
        self._scene = scene
        self._rules = rules
        self._pump = pump
        self._watched: dict[Spot, float] = {}
        self._last_applied: dict[str, tuple[Any, float]] = {}

    def start(self, send: Send) -> None:
        self._rules.taken(send)
        self._scene.sent.append((self._scene.now_s, send))
        fate = self._fate(send)
        flight = Flight(send, fate, self._scene.now_s, self._scene.noticed_s)
        self._scene.flights[send.user_id] = flight
        if fate.needs_token_s:
            self._scene.engine.places.park(send)
            self._scene.tell(f"  {told(send)}: waits for a token")
            if self._scene.now_s + fate.needs_token_s < send.deadline_s:
                self._scene.at(
                    self._scene.now_s + fate.needs_token_s, self._got_token, flight
                )
            else:
                self._scene.at(send.deadline_s, self._gave_up, flight)
        else:
            self._put_on_wire(flight)

    def _fate(self, send: Send) -> Fate:
        if self.script:
            return self.script.popleft()
        for trouble in self.troubles:
            if trouble.until_s > self._scene.now_s and trouble.meets(
                send, self._scene.rng
            ):
                fate = TROUBLES[trouble.kind](Meeting(send, trouble, self._scene.rng))
                return self._from_cache(send, fate) if fate.is_cached else fate
        return calm(self._scene.rng)

    def _from_cache(self, send: Send, fate: Fate) -> Fate:
        """Return the fate if a cache may answer: once any, twice only the truth."""
        last = self._last_applied.get(send.user_id)
        is_true = last is not None and last[0] == send.operation
        if send.is_confirming and not is_true:
            return calm(self._scene.rng)
        return fate._replace(applied_after_s=NEVER)

    def _got_token(self, flight: Flight) -> None:
        if flight.is_over:
            return
        places = self._scene.engine.places
        entry_s = places.entry_s(flight.send, self._scene.now_s)
        if entry_s > self._scene.now_s:
            self._scene.at(entry_s, self._enter, flight)
        else:
            self._enter(flight)

    def _enter(self, flight: Flight) -> None:
        if not flight.is_over:
            self._rules.entered()
            self._scene.engine.places.unpark(flight.send)
            flight.sent_at_s, flight.slept_s = self._scene.now_s, self._scene.noticed_s
            flight.fate = flight.fate._replace(needs_token_s=0.0)
            self._put_on_wire(flight)
            self._pump()

    def _put_on_wire(self, flight: Flight) -> None:
        send, fate, now_s = flight.send, flight.fate, self._scene.now_s
        limit_s = min(now_s + send.attempt_s, send.deadline_s)
        if self._scene.story is not None:
            self._scene.tell(f"  {told(send)}: {fate_told(fate)}")
        if fate.applied_after_s < NEVER:
            self._scene.at(now_s + fate.applied_after_s, self._apply, flight)
        answered_s = now_s + fate.answered_after_s
        if answered_s < limit_s:
            self._scene.at(answered_s, self._answer, flight)
        else:
            self._scene.at(limit_s, self._gave_up, flight)

    def _apply(self, flight: Flight) -> None:
        send, is_late = flight.send, flight.is_over
        operation = send.operation
        spots = self._scene.service.apply(operation, self._scene.service_s)
        self._last_applied[send.user_id] = (operation, self._scene.service_s)
        if is_late:
            self._scene.tell(f"  {told(send)}: applied late")
        for spot in spots:
            until_s = self._scene.service.until_s.get(spot)
            if until_s is not None:
                self._watch(spot, until_s)
        self._rules.applied(send, spots, is_late=is_late)

    def _watch(self, spot: Spot, until_s: float) -> None:
        """Look after a user's presence when it runs out, as observers do."""
        when_s = until_s - self._scene.slept_s
        if when_s < self._watched.get(spot, math.inf):
            self._watched[spot] = when_s
            self._scene.at(when_s, self.expire, spot)

    def expire(self, spot: Spot) -> None:
        self._watched.pop(spot, None)
        if self._scene.service.expire(spot, self._scene.service_s):
            self._scene.tell(f"  {spot} timed out")
            self._rules.timed_out(spot)
        elif (until_s := self._scene.service.until_s.get(spot)) is not None:
            self._watch(spot, until_s)

    def _answer(self, flight: Flight) -> None:
        fate = flight.fate
        if fate.error is not None:
            outcome: Outcome = judged(
                fate.error,
                has_effect=fate.has_effect,
                is_in_doubt=fate.is_in_doubt,
                is_about_service=fate.is_about_service,
            )
        else:
            age_s = 0.0
            if fate.is_cached:
                last = self._last_applied.get(flight.send.user_id)
                age_s = (
                    1.0 if last is None else max(0.01, self._scene.service_s - last[1])
                )
            sent_at_s = flight.sent_at_s - (self._scene.noticed_s - flight.slept_s)
            outcome = Acknowledged(
                sent_at_s, age_s, flight.send.operation, fate.is_in_doubt
            )
        self._end(flight, outcome)

    def _gave_up(self, flight: Flight) -> None:
        was_sent = not flight.fate.needs_token_s
        outcome = judged(
            DeadlineError("no answer"),
            has_effect=was_sent,
            is_in_doubt=was_sent,
            is_about_service=was_sent,
        )
        self._end(flight, outcome)

    def cut(self, flight: Flight) -> None:
        """End a request whose caller is gone, as the shell does."""
        if not flight.is_over and flight.fate.applied_after_s == NEVER:
            comes_late = (
                self._scene.rng.random() < 0.5 and not flight.fate.needs_token_s
            )
            flight.fate = flight.fate._replace(comes_late=comes_late)
        outcome = judged(
            ConnectionLostError("it was cancelled"),
            has_effect=True,
            is_in_doubt=True,
            is_about_service=False,
        )
        self._end(flight, outcome)

    def _end(self, flight: Flight, outcome: Outcome) -> None:
        if flight.is_over:
            return
        flight.is_over = True
        send = flight.send
        del self._scene.flights[send.user_id]
        if flight.fate.needs_token_s:
            self._scene.engine.places.unpark(send)
        if flight.fate.comes_late:
            late_s = self._scene.rng.uniform(0, self._scene.setup.attempt_timeout_s)
            self._scene.at(self._scene.now_s + late_s, self._apply, flight)
        if self._scene.story is not None and not isinstance(outcome, Acknowledged):
            self._scene.tell(
                f"  {told(send)}: {type(outcome).__name__} {outcome.error!r}"
            )
        self._rules.answered(send, outcome)
        self._scene.engine.answered(send, outcome, self._scene.now_s)
        self._pump()
        self._rules.check(send.user_id)


def told(send: Send) -> str:
    """Return a request in a few words."""
    operation = send.operation
    names = ",".join((*operation.channels, *operation.channel_groups))
    timeout_s = getattr(operation, "presence_timeout_s", "")
    state = getattr(operation, "state", None) or ""
    return (
        f"{send.purpose}: {operation.name} {operation.user_id} on {names}"
        f" {timeout_s} {state}".rstrip()
    )


def fate_told(fate: Fate) -> str:
    """Return in a few words how a request fares."""
    words = []
    if fate.applied_after_s < NEVER:
        words.append(f"applied after {fate.applied_after_s:.2f} s")
    if fate.answered_after_s < NEVER:
        words.append(f"outcome after {fate.answered_after_s:.2f} s")
    if fate.comes_late:
        words.append("a copy comes late")
    if fate.is_cached:
        words.append("out of a cache")
    return ", ".join(words) or "lost"
