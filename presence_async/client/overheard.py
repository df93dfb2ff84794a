"""Which events about users of this client tell that somebody else acts for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..explain.facts import Fact, HandedOver, Joined, Left, Lost, Released, Seen
from ..explain.memory import Memory
from ..presence.claims import OrderKind
from ..presence.engine import PresenceEngine
from ..presence.user import UserTable
from ..protocol.events import (
    IntervalEvent,
    JoinEvent,
    LeaveEvent,
    PresenceEvent,
    TimeoutEvent,
)

__all__ = ["Overheard"]

_OWN_S = 10.0
"""How long after a request of ours its event may come."""
_TWICE_S = 2.0
_LATE_S = 5.0


class Overheard:
    """Finds, among events, those about users of this client that it did not cause.

    Args:
        engine: Knows who is held.
        memory: Knows of whom anything is remembered.
    """

    def __init__(self, engine: PresenceEngine, memory: Memory) -> None:
        self._engine = engine
        self._memory = memory

    def news_of(self, events: Iterable[PresenceEvent], now: float) -> Iterator[Seen]:
        """Return what is news in events that have just been received."""
        for event in events:
            for action, user_id in _parts(event):
                user = self._engine.dispatch.user(user_id)
                if user is None and user_id not in self._memory:
                    continue
                name = event.channel or ""
                if self._is_news(action, user_id, user, name, now):
                    is_held = user is not None and name in user.held()
                    at = _when(event, now)
                    yield Seen(
                        at=at, user=user_id, action=action, name=name, is_held=is_held
                    )

    def _is_news(
        self, action: str, user_id: str, user: UserTable | None, name: str, now: float
    ) -> bool:
        seen = self._newest(user_id, Seen, name)
        is_same = isinstance(seen, Seen) and seen.action == action
        if is_same and seen is not None and now - seen.at < _TWICE_S:
            return False
        if action == "timeout":
            return True
        own = self._newest(user_id, (Left, HandedOver, Released), name)
        is_recent = own is not None and now - own.at < _OWN_S
        if action == "leave":
            return not is_recent and not _has(user, OrderKind.LEAVE)
        was_away = isinstance(seen, Seen) and seen.action != "join"
        lost = self._newest(user_id, (Lost, Joined), name)
        was_away |= isinstance(lost, Lost)
        is_ours = user is not None and (user.has_joined or bool(user.orders))
        return not is_recent and (was_away or not is_ours)

    def _newest(
        self, user_id: str, kinds: type[Fact] | tuple[type[Fact], ...], name: str
    ) -> Fact | None:
        return next(
            (
                fact
                for fact in reversed(self._memory.of(user_id))
                if isinstance(fact, kinds)
                and name
                in (getattr(fact, "names", None) or (getattr(fact, "name", name),))
            ),
            None,
        )


def _has(user: UserTable | None, kind: str) -> bool:
    return user is not None and any(order.kind is kind for order in user.orders)


def _parts(event: PresenceEvent) -> Iterator[tuple[str, str]]:
    match event:
        case JoinEvent() | LeaveEvent() | TimeoutEvent():
            yield event.action, event.user_id
        case IntervalEvent():
            yield from (("join", user) for user in event.joined)
            yield from (("leave", user) for user in event.left)
            yield from (("timeout", user) for user in event.timed_out)
        case _:
            pass


def _when(event: PresenceEvent, now: float) -> float:
    """Return when it happened: by our clock, unless it was long on its way."""
    happened = event.timestamp_ms / 1000
    return happened if now - happened > _LATE_S else now
