"""Observers: whom a client tells what it does. Nobody, as a rule, which costs nothing.

What is told, and by whom, is in ``telling.py``, which loads with the first observer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..errors import RequestError
    from ..presence.changes import HealthChanged
    from ..presence.wire import Outcome, Send
    from .call import Answer, Call
    from .feed.listener import Listener, StreamHealth

__all__ = ["Observers"]


class Observers:
    """What to call when something happens; ``None``: nobody wants to know.

    Attributes:
        on_request: A request has ended: the call, its seconds, and the answer or what
            it ran into.
        on_heartbeat: A request of the presence engine has ended: what it was, its
            outcome, the loop time.
        on_lease: The health of a lease has changed.
        on_stream: The health of a listener has changed: the listener, the health
            before and now, the failure behind it, the loop time.
        on_unseen: Time went by unseen: seconds blocked, seconds slept, users whose
            heartbeats are late, how many of these have run out, the loop time.
    """

    __slots__ = ("on_heartbeat", "on_lease", "on_request", "on_stream", "on_unseen")

    def __init__(self) -> None:
        self.on_request: (
            Callable[[Call[Any], float, Answer[Any] | BaseException], None] | None
        ) = None
        self.on_heartbeat: Callable[[Send, Outcome, float], None] | None = None
        self.on_lease: Callable[[HealthChanged], None] | None = None
        self.on_stream: (
            Callable[
                [
                    Listener,
                    StreamHealth | None,
                    StreamHealth,
                    RequestError | None,
                    float,
                ],
                None,
            ]
            | None
        ) = None
        self.on_unseen: (
            Callable[[float, float, Sequence[str], int, float], None] | None
        ) = None
