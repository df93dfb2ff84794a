"""Split operations with more names than one request can carry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from .exchange import Operation

__all__ = ["Mergeable", "split"]

ReplyT = TypeVar("ReplyT")

_TARGET_BYTES = 28 * 1024
"""The most bytes of path and own query; leaves room for the common parameters."""


class Mergeable(Operation[ReplyT], Protocol[ReplyT]):
    """An operation about names that can be sent in parts."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that it is about."""
        ...

    @property
    def channel_groups(self) -> tuple[str, ...]:
        """The channel groups that it is about."""
        ...

    @property
    def is_divisible(self) -> bool:
        """Whether the replies to its parts add up to the reply to the whole."""
        ...

    def about(
        self, channels: tuple[str, ...], channel_groups: tuple[str, ...]
    ) -> Mergeable[ReplyT]:
        """Return the same operation about other names."""
        ...

    def merged(self, replies: Sequence[ReplyT]) -> ReplyT:
        """Return the value of the whole from those of all parts."""
        ...


def split(operation: Mergeable[ReplyT]) -> list[Mergeable[ReplyT]]:
    """Return the operation alone if it fits into one request, else its parts."""
    channels, groups = operation.channels, operation.channel_groups
    if len(channels) + len(groups) <= 1 or not operation.is_divisible:
        return [operation]
    if len(operation.to_request().target) <= _TARGET_BYTES:
        return [operation]
    halves = [operation.about(*half) for half in _halves(channels, groups)]
    return [part for half in halves for part in split(half)]


def _halves(
    channels: tuple[str, ...], groups: tuple[str, ...]
) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    if channels and groups:
        return [(channels, ()), ((), groups)]
    if channels:
        middle = len(channels) // 2
        return [(channels[:middle], ()), (channels[middle:], ())]
    middle = len(groups) // 2
    return [((), groups[:middle]), ((), groups[middle:])]
