"""Who is told what the presence engine reports: callers, leases, observers, logs.

The heartbeat loop drains the engine's changes into this; each goes to everybody whom
it concerns, and a failure with one concerns nobody else.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable

from ..presence import overview
from ..presence.changes import Change, HealthChanged, Settled, UserForgotten
from ..presence.claims import Claim, LeaseHealth
from ..presence.engine import PresenceEngine
from ..presence.wire import Outcome, Send
from .clock_watch import ClockReport
from .observers import Observers
from .presence_log import log_blocked, log_change, log_slept
from .recorder import Recorder
from .safe_log import SafeLogger

__all__ = ["PresenceNews"]

logger: SafeLogger = SafeLogger("presence_async.client")


class PresenceNews:
    """Tells whoever waits, follows or watches.

    Args:
        engine: Reports the changes.
        observers: Told of heartbeats, of leases and of a blocked loop.
        on_forgotten: Called with a user for whom there is nothing left to do.

    Attributes:
        recorder: Notes decisions for ``explain``, if they are kept; set before the
            start.
        waiting: The futures of callers, by the tickets of their wishes.
    """

    def __init__(
        self,
        engine: PresenceEngine,
        observers: Observers,
        on_forgotten: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._observers = observers
        self._on_forgotten = on_forgotten
        self.recorder: Recorder | None = None
        self.waiting: dict[int, asyncio.Future[Settled]] = {}
        # Those of callers who wait, by ticket; for observers of requests alone.
        self._contexts: dict[int, contextvars.Context] = {}
        self._followers: dict[Claim, asyncio.Event] = {}

    # Who waits.

    def expect(self, ticket: int) -> asyncio.Future[Settled]:
        """Return a future of what comes of a wish; ``forget`` it in the end."""
        if self._observers.on_request is not None:
            self._contexts[ticket] = contextvars.copy_context()
        future = self.waiting[ticket] = asyncio.get_running_loop().create_future()
        return future

    def forget(self, ticket: int) -> None:
        """Wait no longer."""
        self.waiting.pop(ticket, None)
        self._contexts.pop(ticket, None)

    def context_of(self, send: Send) -> contextvars.Context | None:
        """Return the context of a caller who waits for a request."""
        if not self._contexts or send.order is None or not send.order.tickets:
            return None
        return self._contexts.get(send.order.tickets[0])

    async def changed(self, claim: Claim) -> None:
        """Wait until the health of a claim has changed.

        Cancellation: loses nothing.
        """
        await self._followers.setdefault(claim, asyncio.Event()).wait()

    # What there is to tell.

    def tell(self) -> None:
        """Tell of every change, also after one that cannot be told."""
        for change in self._engine.drain():
            try:
                self._publish(change)
            except Exception:
                name = type(change).__name__
                logger.critical("telling of %s crashed", name, exc_info=True)
            if self.recorder is not None:
                self.recorder.change(change)

    def _publish(self, change: Change) -> None:
        if isinstance(change, Settled):
            future = self.waiting.pop(change.ticket, None)
            if future is not None and not future.done():
                future.set_result(change)
        elif isinstance(change, UserForgotten):
            self._on_forgotten(change.user_id)
        else:
            if isinstance(change, HealthChanged):
                if change.claim.owner is None:
                    return
                followers = self._followers.pop(change.claim, None)
                if followers is not None:
                    followers.set()
                if self._observers.on_lease is not None:
                    self._observers.on_lease(change)
            log_change(change)

    def answered(self, send: Send, outcome: Outcome, now_s: float) -> None:
        """Tell observers of a request that has ended; before the engine takes it in."""
        if self._observers.on_heartbeat is not None:
            self._observers.on_heartbeat(send, outcome, now_s)

    def unseen(self, report: ClockReport, now_s: float) -> None:
        """Tell of time that went by unseen; a sleep after the engine knows of it."""
        slept_s = report.slept_s
        blocked_s = 0.0 if slept_s else report.blocked_s
        if not blocked_s and not slept_s:
            return
        users, lost = overview.late(self._engine, now_s)
        if slept_s:
            log_slept(slept_s)
        else:
            log_blocked(blocked_s, users, lost)
        if self._observers.on_unseen is not None:
            self._observers.on_unseen(blocked_s, slept_s, users, lost, now_s)

    def tell_present(self, observers: Observers, clock: Callable[[], float]) -> None:
        """Tell observers the health of every lease; ``tell`` comes before.

        Args:
            observers: Whom to tell.
            clock: Returns the loop time; asked if there are leases, and thus a loop.
        """
        if observers.on_lease is not None:
            for claim in overview.claims(self._engine):
                observers.on_lease(self._as_it_stands(claim, clock()))

    def _as_it_stands(self, claim: Claim, now_s: float) -> HealthChanged:
        return HealthChanged(
            claim=claim,
            previous=None,
            health=claim.health or LeaseHealth.LOST,
            reason="held before",
            at_s=now_s,
            until_s=self._engine.expires_s(claim),
            is_shared=False,
        )
