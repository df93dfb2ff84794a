"""What is about more names than one request can carry, sent in parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from .exchange import Operation

__all__ = ["Mergeable", "split"]

ReplyT = TypeVar("ReplyT")

_TARGET_BYTES = 28 * 1024
"""Of path and own query; leaves room for what every request carries."""


class Mergeable(Operation[ReplyT], Protocol[ReplyT]):
    """A question about names, or a statement, which can be sent in parts."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels it is about."""
        ...

    @property
    def channel_groups(self) -> tuple[str, ...]:
        """The channel groups it is about."""
        ...

    @property
    def is_divisible(self) -> bool:
        """Whether the answers about parts come to the answer about all."""
        ...

    def about(
        self, channels: tuple[str, ...], channel_groups: tuple[str, ...]
    ) -> Mergeable[ReplyT]:
        """Ask the same about other names."""
        ...

    def merged(self, replies: Sequence[ReplyT]) -> ReplyT:
        """Put the answers of all parts together."""
        ...


def split(operation: Mergeable[ReplyT]) -> list[Mergeable[ReplyT]]:
    """Return the operation itself if it fits into one request, else its parts."""
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
