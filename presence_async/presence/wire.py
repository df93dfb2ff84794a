"""What goes to the wire and what comes back: requests to send and their outcomes."""

from __future__ import annotations

import enum
from typing import Any, TypeAlias

import attrs

from ..errors import PresenceError, RequestError, ServiceError
from .claims import Order, OrderKind, Params, Patience, PresenceOperation
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


@attrs.frozen(eq=False, kw_only=True)
class Send:
    """One request for the wire; answer it exactly once.

    Attributes:
        user_id: The user it is about; no other request of that user is under way.
        operation: What to say.
        params: Query parameters beside the client's.
        taken_s: Loop time when it was handed out; it is sent then, or later.
        attempt_s: Seconds it may be on the wire.
        patience: Of the call it belongs to: when it began and has to be over.
        due_s: Since when it has been due.
        order: The order, if it is part of one.
        beat: Which names it announces, if it is a heartbeat for claims.
        is_confirming: Whether it is sent because a cache answered the one before.
    """

    user_id: str
    operation: PresenceOperation
    params: Params
    taken_s: float
    attempt_s: float
    patience: Patience
    due_s: float
    order: Order | None = None
    beat: Beat | None = None
    is_confirming: bool = False

    @property
    def purpose(self) -> Purpose:
        """Why it is sent."""
        if self.order is not None:
            return Purpose.ORDER
        return Purpose.REPEAT if self.beat is None else Purpose.KEEP

    @property
    def is_join(self) -> bool:
        """Return True if it is a first heartbeat of a claim."""
        return self.order is not None and self.order.kind is OrderKind.JOIN

    @property
    def is_pointless(self) -> bool:
        """Return True if, once the engine is closing, only its end is waited for."""
        if self.order is None:
            return self.purpose is Purpose.KEEP
        return self.order.is_done

    @property
    def deadline_s(self) -> float:
        """When the call it belongs to has to be over."""
        return self.patience.deadline_s

    @property
    def attempts(self) -> int:
        """Requests sent for the same call before."""
        return 0 if self.order is None else self.order.attempts


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
        is_about_service: Whether the service itself refused; False if the token
            provider failed.
    """

    error: PresenceError
    channels: tuple[str, ...] = ()
    channel_groups: tuple[str, ...] = ()
    is_about_service: bool = True


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
        is_about_service=is_about_service,
    )
