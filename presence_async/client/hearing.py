"""What streams and rosters tell of the client's own users: somebody else left them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from ..presence.names import Name, names_of
from ..presence.returning import Returning
from ..protocol.events import IntervalEvent, LeaveEvent, PresenceEvent, TimeoutEvent
from .heartbeat_loop import HeartbeatLoop
from .presence_log import log_gone
from .safe_log import SafeLogger

__all__ = ["Hearing"]

logger: SafeLogger = SafeLogger("presence_async.client")

_ENDS: Final = (LeaveEvent, TimeoutEvent, IntervalEvent)
"""The events that may be about the end of somebody's presence."""


class Hearing:
    """Hears every event of a client once, whoever listens to it.

    Most are about users of others, and cost the look at their kind, or at most a look
    into a dict.

    Args:
        heartbeats: Keep the users, and note what happens to them.
    """

    def __init__(self, heartbeats: HeartbeatLoop) -> None:
        self._heartbeats = heartbeats
        engine = heartbeats.engine
        self._returning = Returning(engine.shared, engine.dispatch)

    def hear(
        self, events: Sequence[PresenceEvent], loop_s: Callable[[int], float]
    ) -> None:
        """Take in events that have just been received; never raises.

        Args:
            events: The events.
            loop_s: Turns their timetokens into loop time.
        """
        recorder = self._heartbeats.news.recorder
        if recorder is not None:
            recorder.events(events)
        try:
            ends = [event for event in events if isinstance(event, _ENDS)]
            gone = [user_id for event in ends for user_id in self._gone(event, loop_s)]
        except Exception:
            # Raised, it would keep the events from whoever listens to them.
            logger.critical("hearing of users of our own crashed", exc_info=True)
            return
        if gone:
            log_gone(list(dict.fromkeys(gone)))

    def _gone(
        self, event: PresenceEvent, loop_s: Callable[[int], float]
    ) -> Iterator[str]:
        """Return the users of this client who are offline by an event."""
        for user_id, is_timeout in _ended(event):
            if self._heartbeats.engine.dispatch.user(user_id) is None:
                continue
            is_over = self._returning.gone(
                user_id,
                _names(event),
                is_timeout=is_timeout,
                happened_s=loop_s(event.timetoken),
                now_s=self._heartbeats.now_s(),
            )
            self._heartbeats.pump()
            if is_over:
                yield user_id


def _ended(event: PresenceEvent) -> Iterator[tuple[str, bool]]:
    """Return whose presence has ended, and whether it timed out."""
    match event:
        case LeaveEvent() | TimeoutEvent():
            yield event.user_id, isinstance(event, TimeoutEvent)
        case IntervalEvent():
            # Who also joined within the interval may be there again.
            back = set(event.joined)
            yield from ((user, False) for user in event.left if user not in back)
            yield from ((user, True) for user in event.timed_out if user not in back)
        case _:
            pass


def _names(event: PresenceEvent) -> tuple[Name, ...]:
    channels = () if event.channel is None else (event.channel,)
    groups = () if event.subscription is None else (event.subscription,)
    return names_of(channels, groups)
