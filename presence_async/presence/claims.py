"""What callers want said about users: claims that are kept, orders that are said once.

Everything here is a plain record. A ``Claim`` is written by the engine alone; the
``Lease`` that a user of the library holds reads it.
"""

from __future__ import annotations

import enum
import math
import random
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.json_codec import Json
from ..protocol.leave import LeaveOperation
from ..protocol.user_state import SetStateOperation
from .names import Name, names_of
from .rarely import Rarely

__all__ = [
    "AT_RISK",
    "FRESH",
    "LOST",
    "REFUSED",
    "RELEASED",
    "Claim",
    "LeaseHealth",
    "LeaveOrigin",
    "Order",
    "OrderKind",
    "Params",
    "Patience",
    "PresenceOperation",
    "RetryPolicy",
    "State",
]

Params: TypeAlias = tuple[tuple[str, str], ...]
State: TypeAlias = Mapping[str, Json]
PresenceOperation: TypeAlias = HeartbeatOperation | LeaveOperation | SetStateOperation


class LeaseHealth(enum.StrEnum):
    """The health of a lease, as far as the client can know."""

    FRESH = "fresh"
    """The last heartbeat was acknowledged."""
    AT_RISK = "at_risk"
    """A heartbeat failed; the presence timeout has not passed."""
    LOST = "lost"
    """The presence timeout has passed, or somebody else has left the user, as an event
    told; the client keeps trying and will join again."""
    REFUSED = "refused"
    """The service refuses the heartbeat, which will not change by itself."""
    RELEASED = "released"
    """Left, or the client is closed; final."""


# Looked up in the class, a member costs 0.17 us, as much as a call.
FRESH: Final = LeaseHealth.FRESH
AT_RISK: Final = LeaseHealth.AT_RISK
LOST: Final = LeaseHealth.LOST
REFUSED: Final = LeaseHealth.REFUSED
RELEASED: Final = LeaseHealth.RELEASED


class RetryPolicy(Protocol):
    """Decides how long to wait before the next attempt of one call."""

    def delay_s(self, failures: int, rng: random.Random) -> float | None:
        """Return the seconds to wait, or ``None`` to give up.

        Args:
            failures: How many attempts have failed so far, 1 or more.
            rng: The source of jitter.
        """
        ...


class Patience(NamedTuple):
    """How long and how often a caller wants something tried.

    Attributes:
        started_s: When the call began.
        deadline_s: When it has to be over; ``math.inf`` for a join that never gives up.
        retry: Decides about further attempts before the deadline.
    """

    started_s: float
    deadline_s: float
    retry: RetryPolicy

    @property
    def is_endless(self) -> bool:
        """Return True if only a refusal ends the attempts."""
        return self.deadline_s == math.inf

    def ending(self, by_s: float) -> Patience:
        """Return the same patience, ending by a time."""
        return self._replace(deadline_s=min(self.deadline_s, by_s))

    def later(self, seconds: float) -> Patience:
        """Return the same patience, beginning later."""
        return Patience(self.started_s + seconds, self.deadline_s + seconds, self.retry)


class Claim:
    """What one lease wants: names, timeout, state and parameters.

    Attributes:
        user_id: The user to keep present.
        channels: Channels to be present on.
        channel_groups: Channel groups to be present on.
        presence_timeout_s: Seconds until the service should report a timeout.
        state: State for each of the names; ``None`` says nothing about state.
        state_version: Grows with each state set; the highest of a user's claims on a
            name is the one that is sent.
        params: Query parameters beside the client's.
        linger_s: Seconds the leave waits after a release.
        extends: The claim that takes over the names once they are acknowledged;
            ``lease.add`` is a join of this kind.
        health: ``None`` until the first heartbeat is acknowledged.
        latest: The latest change of its health, as the engine reported it; ``None``
            while it is fresh and nobody follows it.
        is_followed: Whether somebody wants every change of its health.
        owner: What the caller wants to find again with the claim; the engine never
            looks at it.
        rare: Whatever of this differs from its default.
    """

    __slots__ = ("channels", "health", "owner", "presence_timeout_s", "rare", "user_id")

    channel_groups: Rarely[tuple[str, ...]] = Rarely(())
    state: Rarely[State | None] = Rarely(None)
    state_version: Rarely[int] = Rarely(0)
    params: Rarely[Params] = Rarely(())
    linger_s: Rarely[float] = Rarely(0)
    extends: Rarely[Claim | None] = Rarely(None)
    latest: Rarely[Any] = Rarely(None)
    is_followed: Rarely[bool] = Rarely(default=False)

    def __init__(
        self,
        *,
        user_id: str,
        channels: tuple[str, ...] = (),
        channel_groups: tuple[str, ...] = (),
        presence_timeout_s: int = 300,
        state: State | None = None,
        params: Params = (),
        linger_s: float = 0,
        extends: Claim | None = None,
    ) -> None:
        self.user_id: str = user_id
        self.channels: tuple[str, ...] = channels
        self.presence_timeout_s: int = presence_timeout_s
        self.health: LeaseHealth | None = None
        self.owner: Any = None
        self.rare: dict[str, Any] | None = None
        if channel_groups or params or linger_s:
            self.channel_groups = channel_groups
            self.params = params
            self.linger_s = linger_s
        if state is not None:
            self.state = state
        if extends is not None:
            self.extends = extends

    def __repr__(self) -> str:
        return (
            f"<Claim of {self.user_id!r} on {list(self.channels)!r}"
            f" groups {list(self.channel_groups)!r}: {self.health}>"
        )

    @property
    def is_joined(self) -> bool:
        """Return True if the first heartbeat was acknowledged and it is still held."""
        health = self.health
        return health is not None and health is not RELEASED

    @property
    def names(self) -> tuple[Name, ...]:
        """The channels, then the groups."""
        if self.rare is None:
            return self.channels
        return names_of(self.channels, self.channel_groups)


class OrderKind:
    """What callers ask for, and what closing does."""

    JOIN: Final = "join"
    """The first heartbeat of a claim, which travels alone."""
    HEARTBEAT: Final = "heartbeat"
    """One heartbeat without a claim."""
    STATE: Final = "set state"
    """A state for fixed names."""
    CLAIM_STATE: Final = "set state of a claim"
    """The state of a claim as it is when its turn comes."""
    LEAVE: Final = "leave"
    """The end of presence on names; kept until it is said or pointless."""
    HAND_OVER: Final = "last heartbeat"
    """The last heartbeat of a client that closes, instead of a leave."""


class LeaveOrigin:
    """Whom a leave is owed to, if not to somebody who let go of the names."""

    OTHERS: Final = "others"
    """To workers that are gone."""
    UNDONE: Final = "undone"
    """To a join that is taken back."""


class Order:
    """One thing to say about a user, in sequence with the user's other orders.

    Most of it keeps the default of the class, since most orders are said once and
    well: so one costs 0.5 us to make, where a slot for each field costs 1.7 us.

    Attributes:
        kind: What it is, one of ``OrderKind``.
        user_id: The user it is about.
        patience: How long to try. A leave outlives it and goes on at a slow pace.
        caller: Of a leave at the close: the patience of a caller whose time is up
            before that of the close, who hears of it then.
        claim: Of a join or a claim's state.
        operation: Of a heartbeat, a state or a leave: what to say.
        params: Query parameters beside the client's.
        not_before_s: Loop time of the next attempt.
        until_s: Of a leave: when the service will have timed the user out anyway.
        present_until_s: Of a leave that lingers: when the user may time out.
        tickets: Numbers of the callers who wait for the result.
        has_begun: Whether an attempt was made; later orders then wait for its end.
        is_last: Of a leave: the client is closing and this is the last round.
        is_overdue: Of a leave: its caller has been told that it failed.
        is_done: Whether it is over, well or not.
        is_announced: Of a join: whether a heartbeat was handed to the wire; False
            again if none certainly reached the service.
        was_heard: Of a join: whether the service may have applied a heartbeat of it.
        version: Of a state: its version.
        is_patch: Of a claim's state: whether it still gathers patches, or did.
        is_known: Of a leave: whether a caller waits for it, and hears of its failure.
        attempts: Requests sent so far.
        failures: Attempts failed in a row.
        error: What the last attempt ran into.
        parts: What is still to be sent, once the order is split into requests.
        replies: Replies to the parts sent so far.
        granted: Of a leave: the names that the register allows to leave now; ``None``:
            it has to be asked.
        granted_s: Loop time when it was asked.
        may_be_late: Of a leave: whether an attempt may have left names that another
            worker has held since.
        is_waiting: Of a leave: whether it waits for the register to be back.
        origin: Of a leave: one of ``LeaveOrigin``; empty: the usual one.
        hand_over_s: Of a last one: seconds for which the register keeps the user.
        versions: Of a heartbeat on behalf of others: the register's versions of the
            states that it carries.
    """

    caller: Patience | None = None
    not_before_s: float = 0.0
    present_until_s: float = 0.0
    tickets: tuple[int, ...] = ()
    has_begun: bool = False
    is_last: bool = False
    is_overdue: bool = False
    is_done: bool = False
    is_announced: bool = False
    was_heard: bool = False
    version: int = -1
    is_patch: bool = False
    is_known: bool = False
    attempts: int = 0
    failures: int = 0
    error: Exception | None = None
    parts: Any = None
    replies: tuple[Any, ...] = ()
    granted: tuple[Name, ...] | None = None
    granted_s: float = 0.0
    may_be_late: bool = False
    is_waiting: bool = False
    origin: str = ""
    hand_over_s: float = 0.0
    versions: tuple[int, ...] = ()

    def __init__(  # noqa: PLR0917  # by name it costs 0.3 us more
        self,
        kind: str,
        user_id: str,
        patience: Patience,
        claim: Claim | None = None,
        operation: Any = None,  # noqa: ANN401  # by the kind
        params: Params = (),
        until_s: float = math.inf,
    ) -> None:
        self.kind: str = kind
        self.user_id: str = user_id
        self.patience: Patience = patience
        self.claim: Claim | None = claim
        self.operation: Any = operation
        self.params: Params = params
        self.until_s: float = until_s

    @property
    def its_claim(self) -> Claim:
        """The claim of an order that is about one."""
        if self.claim is None:
            raise TypeError(f"{self.name} is about no claim")
        return self.claim

    @property
    def told_by_s(self) -> float:
        """When a caller has to be told whose time is up before the order's."""
        if self.caller is None or not self.tickets:
            return math.inf
        return self.caller.deadline_s

    @property
    def is_leave(self) -> bool:
        """Return True if it ends presence."""
        return self.kind is OrderKind.LEAVE

    @property
    def is_endless_join(self) -> bool:
        """Return True if it is a join that only a refusal or its caller can end."""
        return self.kind is OrderKind.JOIN and self.patience.is_endless

    @property
    def is_about_state(self) -> bool:
        """Return True if it tells the service a state."""
        return self.kind is OrderKind.STATE or self.kind is OrderKind.CLAIM_STATE

    @property
    def name(self) -> str:
        """The name of the operation."""
        kind = self.kind
        return "set state" if kind is OrderKind.CLAIM_STATE else kind
