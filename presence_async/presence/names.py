"""Channels and channel groups as one kind of name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

__all__ = ["Name", "channels_of", "groups_of", "names_of", "text_of"]

Name: TypeAlias = str
"""A channel, or a channel group with a comma in front, which no name contains.

The two have separate name spaces. A plain string, since every user has some.
"""


def names_of(
    channels: tuple[str, ...], channel_groups: tuple[str, ...]
) -> tuple[Name, ...]:
    """Return channels and groups as names."""
    if not channel_groups:
        return channels
    return (*channels, *(f",{group}" for group in channel_groups))


def channels_of(names: Iterable[Name]) -> tuple[str, ...]:
    """Return the channels among names."""
    return tuple(name for name in names if name[0] != ",")


def groups_of(names: Iterable[Name]) -> tuple[str, ...]:
    """Return the channel groups among names."""
    return tuple(name[1:] for name in names if name[0] == ",")


def text_of(name: Name) -> str:
    """Return a name as the service knows it."""
    return name.removeprefix(",")
