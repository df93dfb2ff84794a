"""What all parts of a world share: the clocks, who waits, and what is under way."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any

import attrs

from presence_async.client.retry import ExponentialRetry
from presence_async.presence.claims import Claim, Patience
from presence_async.presence.engine import PresenceEngine
from presence_async.presence.pace import default_interval_s
from presence_async.presence.settings import Settings
from presence_async.presence.wire import Send

from .service import Service
from .troubles import Fate

__all__ = ["BEGIN_S", "KEY", "Call", "Flight", "Scene", "Setup", "Violation"]

KEY = "sub-c-key"
BEGIN_S = 1000.0


class Violation(AssertionError):  # noqa: N818  # what is broken is a rule
    """The engine has broken a rule."""


@attrs.frozen(kw_only=True)
class Setup:
    """The figures of one world."""

    seed: int = 0
    attempt_timeout_s: float = 10.0
    max_in_flight: int = 64
    max_requests_per_s: float | None = None

    @property
    def is_tight(self) -> bool:
        """Whether requests may have to wait for one another."""
        return self.max_in_flight < 8 or self.max_requests_per_s is not None


@attrs.define(eq=False)
class Call:
    """A caller who waits for a ticket."""

    ticket: int
    user_id: str
    kind: str
    deadline_s: float
    claim: Claim | None = None


@attrs.define(eq=False)
class Flight:
    """A request under way.

    Attributes:
        send: The request.
        fate: How it fares.
        sent_at_s: Loop time when it was put on the wire.
        slept_s: The sleep noticed by then.
        is_over: Whether the engine has been told the outcome.
    """

    send: Send
    fate: Fate
    sent_at_s: float
    slept_s: float
    is_over: bool = False


class Scene:
    """The engine, the service, and what goes on between them.

    Attributes:
        now_s: Loop time.
        slept_s: What the service's clock is ahead of loop time.
        noticed_s: How much of that the engine knows of.
        calls: Who waits, by ticket.
        settled: Those who waited, and the errors they got.
        flights: Requests under way, by user.
        sent: Every request, with the time it was taken.
        events: What happens next: a heap.
        story: What happened, line by line; ``None`` if nobody wants to read it.
    """

    def __init__(self, setup: Setup, *, tells: bool = False) -> None:
        self.setup = setup
        self.rng = random.Random(setup.seed)  # noqa: S311  # repeatable
        self.retry = ExponentialRetry()
        self.engine = PresenceEngine(
            Settings(
                subscribe_key=KEY,
                interval_s=default_interval_s,
                attempt_timeout_s=setup.attempt_timeout_s,
                max_in_flight=setup.max_in_flight,
                max_requests_per_s=setup.max_requests_per_s,
                retry=self.retry,
            ),
            random.Random(setup.seed),  # noqa: S311  # repeatable
        )
        self.service = Service()
        self.now_s = BEGIN_S
        self.slept_s = 0.0
        self.noticed_s = 0.0
        self.calls: dict[int, Call] = {}
        self.settled: list[tuple[Call, Exception | None]] = []
        self.flights: dict[str, Flight] = {}
        self.sent: list[tuple[float, Send]] = []
        self.events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.story: list[str] | None = [] if tells else None
        self._numbers = itertools.count()

    @property
    def service_s(self) -> float:
        """The time of the service's clock."""
        return self.now_s + self.slept_s

    def at(self, when_s: float, what: Callable[..., None], *args: Any) -> None:
        """Let something happen at a loop time."""
        heapq.heappush(self.events, (when_s, next(self._numbers), what, args))

    def patience(self, patience_s: float) -> Patience:
        """Return the patience of a call that begins now."""
        return Patience(self.now_s, self.now_s + patience_s, self.retry)

    def tell(self, line: str) -> None:
        """Add a line to the story."""
        if self.story is not None:
            self.story.append(f"{self.now_s - BEGIN_S:9.3f}  {line}")
