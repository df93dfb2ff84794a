"""A request on its way to a reply. Pure."""

from __future__ import annotations

from typing import Any

import attrs

from ..protocol.exchange import HttpReply, HttpRequest, Operation
from .faults import Fault
from .journal import JournalEntry

__all__ = ["PendingReply"]


@attrs.frozen(kw_only=True)
class PendingReply:
    """A request that has arrived and is neither applied nor answered yet.

    Attributes:
        request: The request.
        entry: Its entry in the journal.
        operation: What it asks for; ``None`` if it was refused before that was known.
        refusal: The answer if it must not take effect, else ``None``.
        fault: The fault that hits it, or ``None``.
    """

    request: HttpRequest
    entry: JournalEntry
    operation: Operation[Any] | None
    refusal: HttpReply | None
    fault: Fault | None

    def finish(self, reply: HttpReply | None) -> None:
        """Record the reply in the journal; ``None``: the connection had none."""
        self.entry.status = "cut" if reply is None else reply.status
