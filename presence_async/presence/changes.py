"""What the engine reports: leases, callers, logs and statistics read one list.

Each change carries its reason, so that nobody has to ask the engine why.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from .claims import Claim, LeaseHealth
from .names import Name

__all__ = [
    "Change",
    "HealthChanged",
    "HeldElsewhere",
    "LeaveGivenUp",
    "Narrowed",
    "OutageBegan",
    "OutageEnded",
    "OutageGoesOn",
    "RegisterBack",
    "RegisterLost",
    "Settled",
    "TurnChanged",
    "UserForgotten",
]


class HealthChanged(NamedTuple):
    """The health of a claim changed.

    Attributes:
        claim: The claim; its ``health`` may have changed again since.
        previous: The health before; ``None`` when it has just joined.
        health: The health now.
        reason: Why, in a few words.
        at_s: Loop time of the change.
        until_s: When the presence ran out, as it was known then.
        is_shared: Whether everybody is affected, as in an outage, so that one line
            about all of them says more than one about each.
        names: What the claim held; of one that is released: held last.
    """

    claim: Claim
    previous: LeaseHealth | None
    health: LeaseHealth
    reason: str
    at_s: float
    until_s: float
    is_shared: bool
    names: tuple[Name, ...] = ()

    @property
    def remaining_s(self) -> float:
        """Seconds of presence that were left."""
        return max(0.0, self.until_s - self.at_s)


class Narrowed(NamedTuple):
    """A claim that goes on holds fewer names than before.

    Attributes:
        claim: The claim.
        names: What it held before.
    """

    claim: Claim
    names: tuple[Name, ...]


class Settled(NamedTuple):
    """What a caller waited for has happened, or failed.

    Attributes:
        ticket: The number the caller waits for.
        error: Why it failed; ``None`` if it did not.
        value: The reply to what was said, where it has one.
    """

    ticket: int
    error: Exception | None
    value: Any


class LeaveGivenUp(NamedTuple):
    """A leave will not be sent any more; the user times out instead.

    Attributes:
        user_id: Who stays present for a while.
        error: What the last attempt ran into.
        is_known: Whether a caller has been told already.
        is_shared: As in ``HealthChanged``.
        names: What it named.
    """

    user_id: str
    error: Exception
    is_known: bool
    is_shared: bool
    names: tuple[Name, ...]


class HeldElsewhere(NamedTuple):
    """No leave is sent for names, since other clients still hold them."""

    user_id: str
    names: tuple[Name, ...]


class TurnChanged(NamedTuple):
    """The register gave the turn to send heartbeats to this client, or to another."""

    user_id: str
    is_ours: bool


class OutageBegan(NamedTuple):
    """The heartbeats of several users failed in a row; one at a time goes on trying."""

    users: int
    at_risk: int
    lost: int


class OutageGoesOn(NamedTuple):
    """How an outage stands, once a minute."""

    users: int
    at_risk: int
    lost: int
    since_s: float


class OutageEnded(NamedTuple):
    """A heartbeat came through; everybody who waited is sent one now."""

    users: int
    lost: int
    since_s: float


class RegisterLost(NamedTuple):
    """The register is away; every client goes on by itself, leaves wait."""

    error: Exception


class RegisterBack(NamedTuple):
    """The register answers again, or has lost its memory; users are held again."""

    users: int
    away_s: float


class UserForgotten(NamedTuple):
    """Nothing is wanted for a user any more and nothing is left to be said."""

    user_id: str


Change: TypeAlias = (
    HealthChanged
    | Narrowed
    | Settled
    | LeaveGivenUp
    | HeldElsewhere
    | TurnChanged
    | OutageBegan
    | OutageGoesOn
    | OutageEnded
    | RegisterLost
    | RegisterBack
    | UserForgotten
)
