"""A call through the pipeline: its budget, how far it is, and its answer."""

from __future__ import annotations

from typing import Generic, NamedTuple, Protocol, TypeVar

import attrs

from ...errors import RequestError
from ...protocol.exchange import HttpRequest, Operation
from ..auth import AuthToken
from .gates import Admission

__all__ = ["Answer", "Budget", "Call", "Params", "Unclear"]

ReplyT = TypeVar("ReplyT")
Params = tuple[tuple[str, str], ...]


class Budget(NamedTuple):
    """When a call began and when it has to be over, in loop time."""

    started_s: float
    deadline_s: float


class Answer(NamedTuple, Generic[ReplyT]):
    """A reply with the facts about how it came.

    Attributes:
        value: What the operation read.
        sent_at_s: Loop time when the answered attempt was sent; earlier by what the
            machine has slept since.
        age_s: How long the answer had lain in a cache.
    """

    value: ReplyT
    sent_at_s: float
    age_s: float


class Unclear(Protocol):
    """Hears of an attempt whose effect nobody knows."""

    def __call__(self, *, is_pending: bool) -> None:
        """Note it.

        Args:
            is_pending: No reply came, so the service may still act on it later.
        """
        ...


@attrs.define(slots=True)
class Call(Generic[ReplyT]):
    """One call on its way through the pipeline."""

    operation: Operation[ReplyT]
    request: HttpRequest
    stamped: HttpRequest
    user_id: str
    budget: Budget
    gate: Admission
    attempt_timeout_s: float
    params: Params
    on_unclear: Unclear | None
    attempts: int = 0
    failures: int = 0
    last_failure: RequestError | None = None
    token: AuthToken | None = None
    has_new_token: bool = False
    has_new_connection: bool = False

    def note_unclear(self, *, is_pending: bool) -> None:
        """Tell whoever asked that an attempt may have had an effect."""
        if self.on_unclear is not None:
            self.on_unclear(is_pending=is_pending)
