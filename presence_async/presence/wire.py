"""What goes to the wire and what comes back: requests to send and their outcomes."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

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


class Purpose:
    """Why a request is sent.

    Attributes:
        KEEP: A heartbeat for the claims of a user.
        ORDER: What a caller asked for.
        REPEAT: What was acknowledged while an older request could still undo it.
    """

    KEEP: Final = "keep"
    ORDER: Final = "order"
    REPEAT: Final = "repeat"


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

    __slots__ = (
        "attempt_s",
        "beat",
        "due_s",
        "is_confirming",
        "operation",
        "order",
        "params",
        "patience",
        "taken_s",
        "user_id",
    )

    def __init__(  # noqa: PLR0917  # by name it costs 0.4 us more
        self,
        user_id: str,
        operation: PresenceOperation,
        params: Params,
        taken_s: float,
        attempt_s: float,
        patience: Patience,
        due_s: float,
        order: Order | None = None,
        beat: Beat | None = None,
    ) -> None:
        self.user_id: str = user_id
        self.operation: PresenceOperation = operation
        self.params: Params = params
        self.taken_s: float = taken_s
        self.attempt_s: float = attempt_s
        self.patience: Patience = patience
        self.due_s: float = due_s
        self.order: Order | None = order
        self.beat: Beat | None = beat
        self.is_confirming: bool = False

    def confirming(self, taken_s: float, patience: Patience) -> Send:
        """Return the same request, sent again since a cache answered it."""
        again = Send(
            self.user_id,
            self.operation,
            self.params,
            taken_s,
            self.attempt_s,
            patience,
            self.due_s,
            self.order,
            self.beat,
        )
        again.is_confirming = True
        return again

    @property
    def purpose(self) -> str:
        """Why it is sent, one of ``Purpose``."""
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


class Acknowledged:
    """The service said yes.

    Attributes:
        sent_at_s: Loop time when the answered request was sent.
        age_s: How long the answer had lain in a cache.
        value: What the reply said.
        is_in_doubt: Whether an earlier copy of the request was lost on its way and
            may still be applied.
    """

    __slots__ = ("age_s", "is_in_doubt", "sent_at_s", "value")

    def __init__(
        self,
        sent_at_s: float,
        age_s: float = 0.0,
        value: Any = None,  # noqa: ANN401  # the reply's own type
        is_in_doubt: bool = False,  # noqa: FBT001, FBT002  # the last of four facts
    ) -> None:
        self.sent_at_s: float = sent_at_s
        self.age_s: float = age_s
        self.value: Any = value
        self.is_in_doubt: bool = is_in_doubt


class Refused:
    """The service said no, or no request can carry it; asking again will not help.

    Attributes:
        error: What the caller is told.
        channels: The channels it named, if any.
        channel_groups: The groups it named, if any.
        is_about_service: Whether the service itself refused; False if the token
            provider failed.
    """

    __slots__ = ("channel_groups", "channels", "error", "is_about_service")

    def __init__(
        self,
        error: PresenceError,
        channels: tuple[str, ...] = (),
        channel_groups: tuple[str, ...] = (),
        *,
        is_about_service: bool = True,
    ) -> None:
        self.error: PresenceError = error
        self.channels: tuple[str, ...] = channels
        self.channel_groups: tuple[str, ...] = channel_groups
        self.is_about_service: bool = is_about_service


class Failed:
    """No answer, or one that may change by itself.

    Attributes:
        error: What the caller is told.
        has_effect: Whether the service may have applied the request.
        is_in_doubt: Whether the service may still apply it later.
        is_about_service: Whether it says anything about other users' chances; a token
            provider that fails does not.
    """

    __slots__ = ("error", "has_effect", "is_about_service", "is_in_doubt")

    def __init__(
        self,
        error: RequestError,
        *,
        has_effect: bool = True,
        is_in_doubt: bool = False,
        is_about_service: bool = True,
    ) -> None:
        self.error: RequestError = error
        self.has_effect: bool = has_effect
        self.is_in_doubt: bool = is_in_doubt
        self.is_about_service: bool = is_about_service

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
