"""Over which connection each user subscribed last. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import attrs

__all__ = ["LastConnections", "Subscriber"]


@attrs.frozen
class Subscriber:
    """A user whom a subscribe made present on a channel of a subscribe key."""

    subscribe_key: str
    user_id: str
    channel: str


class LastConnections:
    """The connections of those subscribers whose last subscribe came over them."""

    def __init__(self) -> None:
        self._of: dict[Subscriber, Hashable] = {}
        self._over: dict[Hashable, dict[Subscriber, None]] = {}

    def note(self, subscribers: Iterable[Subscriber], connection: Hashable) -> None:
        """Record a subscribe, which ends what a former connection means to them."""
        for subscriber in subscribers:
            former = self._of.get(subscriber)
            if former != connection:
                self._over.get(former, {}).pop(subscriber, None)
                self._of[subscriber] = connection
                self._over.setdefault(connection, {})[subscriber] = None

    def end(self, connection: Hashable) -> list[Subscriber]:
        """Forget a connection that has ended; return the subscribers it leaves."""
        left = list(self._over.pop(connection, {}))
        for subscriber in left:
            del self._of[subscriber]
        return left

    def forget(self, subscribe_key: str) -> None:
        """Forget every subscriber of a subscribe key."""
        for subscriber in [x for x in self._of if x.subscribe_key == subscribe_key]:
            self._over[self._of.pop(subscriber)].pop(subscriber)
