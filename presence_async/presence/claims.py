"""What callers want said about users: claims that are kept, orders that are said once.

Everything here is a plain record. A ``Claim`` is written by the engine alone; the
``Lease`` that a user of the library holds reads it.
"""

from __future__ import annotations

import enum
import math
import random
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeAlias

import attrs

from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.json_codec import Json
from ..protocol.leave import LeaveOperation
from ..protocol.user_state import SetStateOperation

__all__ = [
    "Claim",
    "LeaseHealth",
    "Name",
    "Order",
    "OrderKind",
    "Params",
    "Patience",
    "PresenceOperation",
    "RetryPolicy",
    "State",
    "channels_of",
    "groups_of",
    "names_of",
    "text_of",
]

Params: TypeAlias = tuple[tuple[str, str], ...]
State: TypeAlias = Mapping[str, Json]
Name: TypeAlias = str
"""A channel, or a channel group with a comma in front, which no name contains.

The two have separate name spaces. A plain string, since every user has some.
"""
PresenceOperation: TypeAlias = HeartbeatOperation | LeaveOperation | SetStateOperation


class LeaseHealth(enum.StrEnum):
    """The health of a lease, as far as the client can know."""

    FRESH = "fresh"
    """The last heartbeat was acknowledged."""
    AT_RISK = "at_risk"
    """A heartbeat failed; the presence timeout has not passed."""
    LOST = "lost"
    """The presence timeout has passed; the client keeps trying and will join again."""
    REFUSED = "refused"
    """The service refuses the heartbeat, which will not change by itself."""
    RELEASED = "released"
    """Left, or the client is closed; final."""


class RetryPolicy(Protocol):
    """Decides how long to wait before the next attempt of one call."""

    def delay_s(self, failures: int, rng: random.Random) -> float | None:
        """Return the seconds to wait, or ``None`` to give up.

        Args:
            failures: How many attempts have failed so far, 1 or more.
            rng: The source of jitter.
        """
        ...


@attrs.frozen
class Patience:
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
        latest: The latest change of its health, as the engine reported it.
        owner: What the caller wants to find again with the claim; the engine never
            looks at it.
        is_announced: True from when the first heartbeat is handed to the wire; False
            again if it certainly never reached the service.
    """

    __slots__ = (
        "channel_groups",
        "channels",
        "extends",
        "health",
        "is_announced",
        "latest",
        "linger_s",
        "owner",
        "params",
        "presence_timeout_s",
        "state",
        "state_version",
        "user_id",
    )

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
        self.channel_groups: tuple[str, ...] = channel_groups
        self.presence_timeout_s: int = presence_timeout_s
        self.state: State | None = state
        self.state_version: int = 0
        self.params: Params = params
        self.linger_s: float = linger_s or 0  # mostly, and then no float of its own
        self.extends: Claim | None = extends
        self.health: LeaseHealth | None = None
        self.is_announced: bool = False
        self.latest: Any = None
        self.owner: Any = None

    def __repr__(self) -> str:
        return (
            f"<Claim of {self.user_id!r} on {list(self.channels)!r}"
            f" groups {list(self.channel_groups)!r}: {self.health}>"
        )

    @property
    def is_joined(self) -> bool:
        """Return True if the first heartbeat was acknowledged and it is still held."""
        return self.health is not None and self.health is not LeaseHealth.RELEASED

    @property
    def names(self) -> list[Name]:
        """The channels, then the groups."""
        return names_of(self.channels, self.channel_groups)


class OrderKind(enum.Enum):
    """The five things that callers ask for."""

    JOIN = "join"
    """The first heartbeat of a claim, which travels alone."""
    HEARTBEAT = "heartbeat"
    """One heartbeat without a claim."""
    STATE = "set state"
    """A state for fixed names."""
    CLAIM_STATE = "set state of a claim"
    """The state of a claim as it is when its turn comes."""
    LEAVE = "leave"
    """The end of presence on names; kept until it is said or pointless."""


@attrs.define(eq=False, kw_only=True)
class Order:
    """One thing to say about a user, in sequence with the user's other orders.

    Attributes:
        kind: What it is.
        user_id: The user it is about.
        patience: How long to try. A leave outlives it and goes on at a slow pace.
        caller: Of a leave at the close: the patience of a caller whose time is up
            before that of the close, who hears of it then.
        claim: Of a join or a claim's state.
        operation: Of a heartbeat, a state or a leave: what to say.
        params: Query parameters beside the client's.
        not_before_s: Loop time of the next attempt.
        until_s: Of a leave: when the service will have timed the user out anyway.
        tickets: Numbers of the callers who wait for the result.
        has_begun: Whether an attempt was made; later orders then wait for its end.
        is_last: Of a leave: the client is closing and this is the last round.
        is_overdue: Of a leave: its caller has been told that it failed.
        is_done: Whether it is over, well or not.
        was_heard: Of a join: whether the service may have applied a heartbeat of it.
        version: Of a state: its version.
        is_patch: Of a claim's state: whether it still gathers patches, or did.
        is_known: Of a leave: whether a caller waits for it, and hears of its failure.
        attempts: Requests sent so far.
        failures: Attempts failed in a row.
        error: What the last attempt ran into.
        parts: What is still to be sent, once the order is split into requests.
        replies: Replies to the parts sent so far.
    """

    kind: OrderKind
    user_id: str
    patience: Patience
    caller: Patience | None = None
    claim: Claim | None = None
    operation: Any = None
    params: Params = ()
    not_before_s: float = 0.0
    until_s: float = math.inf
    tickets: list[int] = attrs.field(factory=list)
    has_begun: bool = False
    is_last: bool = False
    is_overdue: bool = False
    is_done: bool = False
    was_heard: bool = False
    version: int = -1
    is_patch: bool = False
    is_known: bool = False
    attempts: int = 0
    failures: int = 0
    error: Exception | None = None
    parts: Any = None
    replies: list[Any] = attrs.field(factory=list)

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
    def is_endless_join(self) -> bool:
        """Return True if it is a join that only a refusal or its caller can end."""
        return self.kind is OrderKind.JOIN and self.patience.is_endless

    @property
    def is_about_state(self) -> bool:
        """Return True if it tells the service a state."""
        return self.kind in {OrderKind.STATE, OrderKind.CLAIM_STATE}

    @property
    def name(self) -> str:
        """The name of the operation."""
        kind = self.kind
        return "set state" if kind is OrderKind.CLAIM_STATE else kind.value


def names_of(channels: Iterable[str], channel_groups: Iterable[str]) -> list[Name]:
    """Return channels and groups as names."""
    if not channel_groups:
        return list(channels)
    return [*channels, *(f",{group}" for group in channel_groups)]


def channels_of(names: Iterable[Name]) -> tuple[str, ...]:
    """Return the channels among names."""
    return tuple(name for name in names if name[0] != ",")


def groups_of(names: Iterable[Name]) -> tuple[str, ...]:
    """Return the channel groups among names."""
    return tuple(name[1:] for name in names if name[0] == ",")


def text_of(name: Name) -> str:
    """Return a name as the service knows it."""
    return name.removeprefix(",")
