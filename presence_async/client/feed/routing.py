"""RoutingTable: which listener receives which message. Pure, no clock and no task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from ...protocol.events import GapEvent, PresenceEvent
from ...protocol.messages import Message, read_event
from .subscription import EventKey, Listed, Subscription, WireName, as_listed

__all__ = ["EventWitness", "RoutingTable"]

EventWitness = Callable[[Sequence[PresenceEvent], Callable[[int], float]], None]
"""Takes events, and what turns their timetokens into loop time."""


class RoutingTable:
    """The names of one poll, and for each name who listens to it, and since when.

    Attributes:
        subscriptions: Who listens, each with the number of its names in this table.
        size: Bytes that the names take in a request.
    """

    def __init__(self) -> None:
        # For each name its subscriptions, with the timetoken they listen from.
        self._since: dict[WireName, dict[Subscription, int]] = {}
        self.subscriptions: dict[Subscription, int] = {}
        self.size: int = 0
        self._listed: Listed | None = None

    def __len__(self) -> int:
        return len(self._since)

    def __contains__(self, name: object) -> bool:
        return name in self._since

    def __iter__(self) -> Iterator[WireName]:
        return iter(self._since)

    # Who listens.

    def add(self, name: WireName, subscription: Subscription, since: int) -> None:
        """Let a subscription receive what is published on a name after a timetoken."""
        routes = self._since.get(name)
        if routes is None:
            routes = self._since[name] = {}
            self.size += name.size
            self._listed = None
        if subscription not in routes:
            count = self.subscriptions.get(subscription, 0)
            self.subscriptions[subscription] = count + 1
        routes[subscription] = since

    def remove(self, subscription: Subscription) -> bool:
        """Remove a subscription; return True if names are gone with it."""
        before = len(self._since)
        for name in subscription.names:
            self._discard(name, subscription)
        return len(self._since) < before

    def move(self, names: Iterable[WireName], to: RoutingTable) -> None:
        """Move names, with everybody who listens to them, to another table."""
        for name in list(names):
            for subscription, since in list(self._since[name].items()):
                to.add(name, subscription, since)
                self._discard(name, subscription)

    def clear(self) -> None:
        """Remove all names."""
        self._since.clear()
        self.subscriptions.clear()
        self.size = 0
        self._listed = None

    def start_over(self) -> None:
        """Forget since when anybody listens, as timetokens begin again."""
        for routes in self._since.values():
            for subscription in routes:
                routes[subscription] = 0

    def _discard(self, name: WireName, subscription: Subscription) -> None:
        routes = self._since.get(name, {})
        if routes.pop(subscription, None) is None:
            return
        self.subscriptions[subscription] -= 1
        if not self.subscriptions[subscription]:
            del self.subscriptions[subscription]
        if not routes:
            del self._since[name]
            self.size -= name.size
            self._listed = None

    # The names.

    def listed(self) -> Listed:
        """Return channels and groups as a request lists them."""
        if self._listed is None:
            self._listed = as_listed(self._since)
        return self._listed

    def find(
        self, channels: Iterable[str], channel_groups: Iterable[str]
    ) -> list[WireName]:
        """Return the names of this table among some, with or without ``-pnpres``."""
        given = [WireName(x, is_group=False) for x in channels]
        given += [WireName(x, is_group=True) for x in channel_groups]
        names = dict.fromkeys(name.with_suffix() for name in given)
        return [name for name in names if name in self._since]

    # Delivery.

    def deliver(
        self,
        messages: Iterable[Message],
        witness: Callable[[Sequence[PresenceEvent]], None] | None = None,
    ) -> bool:
        """Deliver messages to everybody they concern; return True if any was new.

        Args:
            messages: The messages.
            witness: Is told of the events that are new to any listener.
        """
        # All are read before any counts as seen: a crash in between would lose them.
        routed = [
            (read_event(message), _key(message), routes)
            for message in messages
            if (routes := self._routes(message))
        ]
        batches: dict[Subscription, list[PresenceEvent]] = {}
        news: dict[EventKey, PresenceEvent] = {}
        for event, key, routes in routed:
            for subscription, since in routes.items():
                is_old = 0 < event.timetoken <= since
                if not is_old and subscription.is_new(key):
                    batches.setdefault(subscription, []).append(event)
                    news[key] = event
        if news and witness is not None:
            witness(list(news.values()))
        for subscription, events in batches.items():
            subscription.deliver(events)
        return bool(batches)

    def emit_gap(self, event: GapEvent, *, before: int | None = None) -> None:
        """Deliver a gap.

        Args:
            event: The gap.
            before: Only to those who listen since before this timetoken; ``None``: to
                everybody.
        """
        for subscription in list(self.subscriptions):
            if before is None or self._listens_since(subscription) < before:
                subscription.deliver((event,))

    def _listens_since(self, subscription: Subscription) -> int:
        return min(
            self._since[name][subscription]
            for name in subscription.names
            if subscription in self._since.get(name, ())
        )

    def _routes(self, message: Message) -> Mapping[Subscription, int]:
        channel, match = message.channel, message.subscription
        if not channel:
            # Unreadable, so it may have been for anybody.
            return dict.fromkeys(self.subscriptions, 0)
        if match is None or match == channel:
            return self._since.get(WireName(channel, is_group=False), {})
        # A group, or a wildcard, which recordings show without the suffix. One name may
        # be both, and then the message is for both.
        group = WireName(match, is_group=True).with_suffix()
        wildcard = WireName(match, is_group=False).with_suffix()
        through_group = self._since.get(group, {})
        through_wildcard = self._since.get(wildcard, {})
        if through_group and through_wildcard:
            return {**through_group, **through_wildcard}
        return through_group or through_wildcard


def _key(message: Message) -> EventKey:
    return message.channel, message.published.t, hash(bytes(message.payload))
