"""A request on its way to a reply. Pure."""

from __future__ import annotations

from typing import Any

import attrs

from ..errors import InvalidArgumentError
from ..protocol.encoding import split_list
from ..protocol.exchange import HttpReply, HttpRequest, Operation
from . import refusals
from .faults import Fault
from .journal import JournalEntry
from .request_guard import MAX_TARGET_CHARS, TIME_PATH
from .router import TIME

__all__ = ["PendingReply", "entry_of", "faulty_reply"]

_KEPT_CHARS = 2048


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


def faulty_reply(fault: Fault) -> HttpReply:
    """Return the reply that a fault puts in the place of the true one."""
    status = 200 if fault.status is None else fault.status
    reply = refusals.injected(status)
    if fault.body is not None:
        reply = refusals.raw(fault.body, status=status)
    return refusals.with_headers(
        reply, retry_after=fault.retry_after_s, age=fault.age_s
    )


def entry_of(
    request: HttpRequest, method: str, operation: Operation[Any] | None, now_s: float
) -> JournalEntry:
    """Return the entry of a request in the journal; its operation may be unknown.

    Of a target that is too long for the service only the start is kept.
    """
    if len(request.target) > MAX_TARGET_CHARS:
        start, query = request.path[:_KEPT_CHARS], request.query[:_KEPT_CHARS]
        request = HttpRequest(path=start, query=query)
    try:
        params = request.params()
    except InvalidArgumentError:
        params = {}
    name = operation.name if operation is not None else ""
    return JournalEntry(
        at_s=now_s,
        method=method,
        operation=TIME if request.path == TIME_PATH else name,
        subscribe_key=operation.subscribe_key if operation is not None else "",
        path=request.path,
        query=request.query,
        params=params,
        user_id=params.get("uuid"),
        channels=getattr(operation, "channels", ()),
        channel_groups=split_list(params.get("channel-group", "")),
    )
