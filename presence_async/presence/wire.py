"""What goes to the wire and what comes back: requests to send and their outcomes."""

from __future__ import annotations

import enum
from typing import Any, TypeAlias

import attrs

from ..errors import PresenceError, RequestError, ServiceError
from .claims import Order, Params, PresenceOperation
from .merging import Beat

__all__ = [
    "Acknowledged",
    "Failed",
    "Outcome",
    "Purpose",
    "Refused",
    "Send",
    "judged",
]


class Purpose(enum.Enum):
    """Why a request is sent."""

    KEEP = "keep"
    """A heartbeat for the claims of a user."""
    ORDER = "order"
    """What a caller asked for."""
    REPEAT = "repeat"
    """What was acknowledged while an older request could still undo it."""


@attrs.frozen(eq=False)
class Send:
    """One request for the wire; answer it exactly once.

    Attributes:
        user_id: The user it is about; no other request of that user is under way.
        operation: What to say.
        params: Query parameters beside the client's.
        taken_s: Loop time when it was handed out; it is sent then, or later.
        attempt_s: Seconds it may be on the wire.
        started_s: When the call it belongs to began.
        deadline_s: When that call has to be over.
        due_s: Since when it has been due.
        purpose: Why it is sent.
        order: The order, if it is part of one.
        beat: Which claims it keeps, if it is one of the regular heartbeats.
        attempts: Requests sent for the same call before.
        is_confirming: Whether it is sent because a cache answered the one before.
    """

    user_id: str
    operation: PresenceOperation
    params: Params
    taken_s: float
    attempt_s: float
    started_s: float
    deadline_s: float
    due_s: float
    purpose: Purpose
    order: Order | None = None
    beat: Beat | None = None
    attempts: int = 0
    is_confirming: bool = False


@attrs.frozen
class Acknowledged:
    """The service said yes.

    Attributes:
        sent_at_s: Loop time when the answered request was sent.
        age_s: How long the answer had lain in a cache.
        value: What the reply said.
        is_in_doubt: Whether an earlier copy of the request was lost on its way and
            may still be applied.
    """

    sent_at_s: float
    age_s: float = 0.0
    value: Any = None
    is_in_doubt: bool = False


@attrs.frozen
class Refused:
    """The service said no, or no request can carry it; asking again will not help.

    Attributes:
        error: What the caller is told.
        channels: The channels it named, if any.
        channel_groups: The groups it named, if any.
    """

    error: PresenceError
    channels: tuple[str, ...] = ()
    channel_groups: tuple[str, ...] = ()


@attrs.frozen
class Failed:
    """No answer, or one that may change by itself.

    Attributes:
        error: What the caller is told.
        has_effect: Whether the service may have applied the request.
        is_in_doubt: Whether the service may still apply it later.
        is_about_service: Whether it says anything about other users' chances; a token
            provider that fails does not.
    """

    error: RequestError
    has_effect: bool = True
    is_in_doubt: bool = False
    is_about_service: bool = True

    @property
    def retry_after_s(self) -> float | None:
        """Seconds the service asked to wait."""
        error = self.error
        return error.retry_after_s if isinstance(error, ServiceError) else None


Outcome: TypeAlias = Acknowledged | Refused | Failed


def judged(
    error: PresenceError,
    *,
    has_effect: bool,
    is_in_doubt: bool,
    is_about_service: bool = True,
) -> Refused | Failed:
    """Return the one verdict on a failed request.

    Args:
        error: What the request ran into.
        has_effect: Whether the service may have applied it.
        is_in_doubt: Whether the service may still apply it.
        is_about_service: Whether it concerns other users, too.
    """
    if isinstance(error, RequestError) and error.is_transient:
        return Failed(
            error,
            has_effect=has_effect,
            is_in_doubt=is_in_doubt,
            is_about_service=is_about_service,
        )
    return Refused(
        error,
        tuple(getattr(error, "channels", ())),
        tuple(getattr(error, "channel_groups", ())),
    )
