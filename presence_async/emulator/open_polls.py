"""Open polls, found by the names they listen to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..protocol.names import PRESENCE_SUFFIX, is_wildcard
from .channel_groups import ChannelGroups
from .message_log import MessageLog, QueuedMessage
from .pending_poll import PendingPoll

__all__ = ["OpenPolls", "matching_names"]


def matching_names(channel: str) -> Iterator[str]:
    """Yield every name by which a poll receives the messages of a channel.

    Beside the channel itself these are the wildcards over it, at any depth (the
    documentation names one level and two). ``a.*`` also receives the presence events of
    the channel called ``a.*``, as recorded; ``a.*-pnpres`` those of the others.
    """
    yield channel
    base = channel.removesuffix(PRESENCE_SUFFIX)
    suffix = channel[len(base) :]
    if suffix and base.endswith(".*"):
        yield base
    dot = base.find(".")
    while dot >= 0:
        pattern = f"{base[:dot]}.*"
        if pattern != base:
            yield pattern + suffix
        dot = base.find(".", dot + 1)


class OpenPolls:
    """The polls of one subscribe key.

    Groups are resolved when a message comes: channels added to a group during a poll
    count at once, as documented (unverified).
    """

    def __init__(self, groups: ChannelGroups) -> None:
        self._groups = groups
        self._by_channel: dict[str, dict[PendingPoll, None]] = {}
        self._by_group: dict[str, dict[PendingPoll, None]] = {}

    def add(self, poll: PendingPoll) -> None:
        """Open a poll."""
        for index, name in self._indexes(poll):
            index.setdefault(name, {})[poll] = None

    def remove(self, poll: PendingPoll) -> None:
        """Close a poll; a second time does nothing."""
        for index, name in self._indexes(poll):
            polls = index.get(name, {})
            polls.pop(poll, None)
            if not polls:
                index.pop(name, None)

    def all(self) -> list[PendingPoll]:
        """Return every open poll."""
        every = [*self._by_channel.values(), *self._by_group.values()]
        return list(dict.fromkeys(poll for polls in every for poll in polls))

    def deliver(self, queued: QueuedMessage) -> None:
        """Deliver a message to every listener, once for each name that matches."""
        channel = queued.channel
        for name in matching_names(channel):
            for poll in self._by_channel.get(name, ()):
                poll.deliver(queued, name)
        if self._by_group:
            for name in self._groups_over(channel):
                for poll in self._by_group.get(name, ()):
                    poll.deliver(queued, name)

    def catch_up(self, poll: PendingPoll, log: MessageLog, *, now_s: float) -> None:
        """Add the messages that are queued already."""
        for channel, name in self._listened(poll, log):
            poll.pending += [
                (queued, name)
                for queued in log.after(channel, poll.cursor, now_s=now_s)
                if poll.wants(queued)
            ]

    def _listened(
        self, poll: PendingPoll, log: MessageLog
    ) -> Iterator[tuple[str, str]]:
        """Yield each channel that may hold news, with the name that matches it."""
        for name in poll.operation.channels:
            if not is_wildcard(name):
                yield name, name
                continue
            for channel in log.channels():
                if name in matching_names(channel):
                    yield channel, name
        for name in poll.operation.channel_groups:
            group = name.removesuffix(PRESENCE_SUFFIX)
            for channel in self._groups.channels(group):
                yield channel + name[len(group) :], name

    def _groups_over(self, channel: str) -> Iterable[str]:
        base = channel.removesuffix(PRESENCE_SUFFIX)
        suffix = channel[len(base) :]
        return [group + suffix for group in self._groups.groups_of(base)]

    def _indexes(
        self, poll: PendingPoll
    ) -> Iterator[tuple[dict[str, dict[PendingPoll, None]], str]]:
        for name in poll.operation.channels:
            yield self._by_channel, name
        for name in poll.operation.channel_groups:
            yield self._by_group, name
