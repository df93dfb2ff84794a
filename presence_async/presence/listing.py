"""The third column of a user: how a register lists this client as a holder.

A register is asked in the user's lane, like the service: while it has not answered,
nothing else is said about the user.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from .claims import Claim, Order, State
from .names import Name

__all__ = ["Ask", "AskKind", "Listing", "Other", "Wishes"]

Wishes = Mapping[Name, tuple[int, int]]
"""For each name the presence timeout that is wanted, and the version of the state."""


class Other(NamedTuple):
    """What other workers want of one name.

    Attributes:
        timeout_s: The shortest timeout; 0: none of them holds it.
        version: The register's, of their state; -1: they have none.
        rank: The engine's own version of that state, newer than what it had before.
        state: The state.
    """

    timeout_s: int
    version: int
    rank: int
    state: State | None


class Listing:
    """How a register lists this client for one user.

    Attributes:
        life: The client's life in which it was listed; only the present one counts.
        claim: The only claim, as long as that is all there is; else ``None``.
        channels: The channels of that claim that are listed.
        timeout_s: The timeout that is listed for them.
        wishes: What is listed, if it is more than that.
        versions: The register's versions of the states listed.
        others: What other workers want, if anything.
        has_turn: Whether the next heartbeats are this client's to send.
        is_leading: Whether the last ones were.
        is_doubted: Whether the register did not know it when it was asked last.
        behind_s: When the register last wanted something else than was said.
        pause_s: Seconds until it was said again then.
        repeat_s: Until when a leave of another worker may be on its way.
    """

    __slots__ = (
        "behind_s",
        "channels",
        "claim",
        "has_turn",
        "is_doubted",
        "is_leading",
        "life",
        "others",
        "pause_s",
        "repeat_s",
        "timeout_s",
        "versions",
        "wishes",
    )

    def __init__(self) -> None:
        self.life: int = 0
        self.claim: Claim | None = None
        self.channels: tuple[str, ...] = ()
        self.timeout_s: int = 0
        self.wishes: Wishes | None = None
        self.versions: dict[Name, int] | None = None
        self.others: dict[Name, Other] | None = None
        self.has_turn: bool = False
        self.is_leading: bool = False
        self.is_doubted: bool = False
        self.behind_s: float = -math.inf
        self.pause_s: float = 0.0
        self.repeat_s: float = -math.inf

    def is_plainly_of(self, claim: Claim) -> bool:
        """Return True if it lists just what a claim without any extras wants."""
        return (
            self.claim is claim
            and self.channels is claim.channels
            and self.timeout_s == claim.presence_timeout_s
        )

    def listed(self) -> Wishes:
        """Return what is listed, name by name."""
        if self.wishes is not None:
            return self.wishes
        return dict.fromkeys(self.channels, (self.timeout_s, -1))

    def list_claim(self, claim: Claim) -> None:
        """List a claim without any extras."""
        self.claim, self.wishes, self.versions = claim, None, None
        self.channels, self.timeout_s = claim.channels, claim.presence_timeout_s

    def list_wishes(self, wishes: Wishes) -> None:
        """List names one by one."""
        self.claim, self.channels, self.timeout_s = None, (), 0
        self.wishes = dict(wishes)


class AskKind:
    """What a register is asked about a user."""

    HOLD: Final = "hold"
    CLAIM: Final = "claim"
    RELEASE: Final = "release"


class Ask:
    """One question to the register; answer it exactly once.

    Attributes:
        kind: What it asks, one of ``AskKind``.
        user_id: The user it is about.
        value: The question: a ``Holding``, ``Claiming`` or ``Release``.
        taken_s: Loop time when it was asked.
        order: The order that waits for the answer, if one does.
        wishes: Of a hold: what is listed by it.
    """

    __slots__ = ("kind", "order", "taken_s", "user_id", "value", "wishes")

    purpose: Final = "ask"
    deadline_s: Final = math.inf

    def __init__(
        self,
        kind: str,
        value: Any,  # noqa: ANN401  # by the kind
        taken_s: float,
        order: Order | None = None,
        wishes: Wishes | None = None,
    ) -> None:
        self.kind: str = kind
        self.user_id: str = value.user_id
        self.value: Any = value
        self.taken_s: float = taken_s
        self.order: Order | None = order
        self.wishes: Wishes | None = wishes
