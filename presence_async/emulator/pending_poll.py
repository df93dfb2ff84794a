"""A subscribe request that waits for messages. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal

import attrs

from ..protocol.subscribe import SubscribeOperation
from .message_log import QueuedMessage
from .stream_filter import StreamFilter

__all__ = ["End", "PendingPoll"]

End = Literal["answer", "cut"]
"""How a poll ends: with an answer, or with its connection."""


@attrs.define(eq=False)
class PendingPoll:
    """A subscribe request that waits, or that is about to be answered.

    Attributes:
        operation: The request.
        cursor: The position after which messages are news to it.
        present_on: The channels on which it made its user present.
        filter: Which messages it wants; ``None``: all.
        pending: The messages to deliver, each with the name that matched.
        on_end: Called to end the waiting; ``None`` while nobody waits.
    """

    operation: SubscribeOperation
    cursor: int
    present_on: tuple[str, ...]
    filter: StreamFilter | None = None
    pending: list[tuple[QueuedMessage, str]] = attrs.field(factory=list)
    on_end: Callable[[End], None] | None = None

    def wants(self, queued: QueuedMessage) -> bool:
        """Return True if the filter lets a message pass."""
        if self.filter is None:
            return True
        fields = json.loads(queued.message().text + "}")
        return self.filter.passes(meta=fields.get("u"), data=fields["d"])

    def deliver(self, queued: QueuedMessage, name: str) -> None:
        """Add a message, which ends the waiting, unless the filter is against it."""
        if self.wants(queued):
            self.pending.append((queued, name))
            self.finish("answer")

    def finish(self, end: End) -> None:
        """End the waiting, if anybody waits."""
        if self.on_end is not None:
            self.on_end(end)
