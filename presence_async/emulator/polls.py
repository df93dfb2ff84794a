"""Who waits for which messages: open polls, found by the names they listen to. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import attrs

from ..protocol.names import PRESENCE_SUFFIX, is_wildcard
from ..protocol.subscribe import SubscribeOperation
from .groups import ChannelGroups
from .message_log import MessageLog, Posted

__all__ = ["End", "OpenPolls", "Poll", "matching_names"]

End = Literal["answer", "cut"]
"""How a poll ends: with an answer, or with its connection."""


@attrs.define(eq=False)
class Poll:
    """A subscribe request that waits, or that is about to be answered.

    Attributes:
        operation: What is asked.
        cursor: Everything after it is news.
        present_on: The channels its user became present on by it.
        pending: What it brings: each message with the name that matched.
        on_end: Called when it is to end; ``None`` until somebody waits.
    """

    operation: SubscribeOperation
    cursor: int
    present_on: tuple[str, ...]
    pending: list[tuple[Posted, str]] = attrs.field(factory=list)
    on_end: Callable[[End], None] | None = None

    def bring(self, posted: Posted, name: str) -> None:
        """Add a message, which ends the waiting."""
        self.pending.append((posted, name))
        self.finish("answer")

    def finish(self, how: End) -> None:
        """End the waiting, if anybody waits."""
        if self.on_end is not None:
            self.on_end(how)


def matching_names(channel: str) -> Iterator[str]:
    """Name everything in a list of channels that brings what a channel carries.

    Beside itself that are the wildcards over it, at any depth (the documentation names
    one level and two). ``a.*`` brings also the presence of the channel called ``a.*``,
    as recorded; for other channels' presence one lists ``a.*-pnpres``.
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

    What groups stand for is looked up when a message comes: channels added to a group
    during a poll count at once, as the documentation has it (unverified).
    """

    def __init__(self, groups: ChannelGroups) -> None:
        self._groups = groups
        self._by_channel: dict[str, dict[Poll, None]] = {}
        self._by_group: dict[str, dict[Poll, None]] = {}

    def add(self, poll: Poll) -> None:
        """Open a poll."""
        for index, name in self._places(poll):
            index.setdefault(name, {})[poll] = None

    def remove(self, poll: Poll) -> None:
        """Close a poll; a second time does nothing."""
        for index, name in self._places(poll):
            polls = index.get(name, {})
            polls.pop(poll, None)
            if not polls:
                index.pop(name, None)

    def all(self) -> list[Poll]:
        """Return every open poll."""
        every = [*self._by_channel.values(), *self._by_group.values()]
        return list(dict.fromkeys(poll for polls in every for poll in polls))

    def spread(self, posted: Posted) -> None:
        """Bring a message to everybody who listens, once for each name that matches."""
        channel = posted.channel
        for name in matching_names(channel):
            for poll in self._by_channel.get(name, ()):
                poll.bring(posted, name)
        if self._by_group:
            for name in self._groups_over(channel):
                for poll in self._by_group.get(name, ()):
                    poll.bring(posted, name)

    def catch_up(self, poll: Poll, log: MessageLog, *, now_s: float) -> None:
        """Bring a poll what is in the queues already."""
        for channel, name in self._listened(poll, log):
            poll.pending += [
                (posted, name)
                for posted in log.after(channel, poll.cursor, now_s=now_s)
            ]

    def _listened(self, poll: Poll, log: MessageLog) -> Iterator[tuple[str, str]]:
        """Pair each channel that may hold news with the name that matches it."""
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

    def _places(self, poll: Poll) -> Iterator[tuple[dict[str, dict[Poll, None]], str]]:
        for name in poll.operation.channels:
            yield self._by_channel, name
        for name in poll.operation.channel_groups:
            yield self._by_group, name
