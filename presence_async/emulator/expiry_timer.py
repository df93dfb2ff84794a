"""The one timer that applies what is due in a service."""

from __future__ import annotations

import asyncio
import math

from .service import Service

__all__ = ["ExpiryTimer"]


class ExpiryTimer:
    """Expires users and sends events of a service when they are due.

    Args:
        service: The service.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = math.inf
        self._is_stopped = True

    def start(self) -> None:
        """Set the timer, and let ``arm`` set it from now on."""
        self._is_stopped = False
        self.arm()

    def stop(self) -> None:
        """Cancel the timer; ``arm`` does nothing from now on."""
        self._is_stopped = True
        self._disarm()

    def arm(self) -> None:
        """Set the timer if something is due sooner than it is set for."""
        due_s = self._service.next_deadline_s()
        if due_s < self._due_s and not self._is_stopped:
            self._disarm()
            self._due_s = due_s
            loop = asyncio.get_running_loop()
            loop_s = due_s - self._service.jumped_s
            self._timer = loop.call_at(loop_s, self._expire, loop)

    def reset(self) -> None:
        """Set the timer anew, after the service's time has jumped."""
        self._disarm()
        self.arm()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._due_s = None, math.inf

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        # A timer may fire up to the clock's resolution early.
        now_s = max(self._due_s, loop.time() + self._service.jumped_s)
        self._disarm()
        self._service.expire(now_s)
        self.arm()
