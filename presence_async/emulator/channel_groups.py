"""The channel-group registry: the channels of each group. Pure.

Groups are resolved when a request is processed, as recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

__all__ = ["ChannelGroups"]

ValueT = TypeVar("ValueT")


class ChannelGroups:
    """The channel groups of one subscribe key."""

    def __init__(self) -> None:
        self._channels: dict[str, dict[str, None]] = {}
        self._groups_of: dict[str, dict[str, None]] = {}

    def add(self, group: str, channels: Iterable[str]) -> None:
        """Add channels to a group, which is created if need be."""
        members = self._channels.setdefault(group, {})
        for channel in channels:
            members[channel] = None
            self._groups_of.setdefault(channel, {})[group] = None

    def remove(self, group: str, channels: Iterable[str]) -> None:
        """Remove channels; a group that has none left ceases to exist."""
        members = self._channels.get(group, {})
        for channel in channels:
            members.pop(channel, None)
            groups = self._groups_of.get(channel, {})
            groups.pop(group, None)
            if not groups:
                self._groups_of.pop(channel, None)
        if not members:
            self._channels.pop(group, None)

    def delete(self, group: str) -> None:
        """Delete a group; deleting an unknown one is not an error."""
        self.remove(group, self.channels(group))

    def groups_of(self, channel: str) -> tuple[str, ...]:
        """Return the groups that a channel is in."""
        return tuple(self._groups_of.get(channel, ()))

    def channels(self, group: str) -> tuple[str, ...]:
        """Return the channels of a group, none for an unknown one."""
        return tuple(self._channels.get(group, ()))

    def names(self) -> tuple[str, ...]:
        """Return every group."""
        return tuple(self._channels)

    def expand(
        self, channels: Iterable[str], channel_groups: Iterable[str]
    ) -> tuple[str, ...]:
        """Return the channels and those of the groups, each once."""
        members = [c for group in channel_groups for c in self.channels(group)]
        return tuple(dict.fromkeys([*channels, *members]))

    def spread(self, values: Mapping[str, ValueT]) -> dict[str, ValueT]:
        """Give the value of each group to its channels; a channel's own value wins."""
        spread = {
            channel: value
            for name, value in values.items()
            for channel in self.channels(name)
        }
        return {**spread, **values}
