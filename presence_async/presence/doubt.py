"""Requests given up without a reply, and what they may still undo.

The service applies requests in the order they reach it, and one whose reply was given
up may reach it late. So whatever is acknowledged while an older, different request is
in doubt is said once more, ``after_s`` later, less the names that still newer requests
were about.
"""

from __future__ import annotations

import math

from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.leave import LeaveOperation
from ..protocol.user_state import SetStateOperation
from .claims import Params, PresenceOperation

__all__ = ["Doubts"]

_MOST_DOUBTS = 16


class Doubts:
    """The doubts about one user and the repeats that follow from them."""

    __slots__ = ("_given_up", "repeats")

    def __init__(self) -> None:
        self._given_up: list[tuple[PresenceOperation, float]] = []
        self.repeats: list[tuple[float, PresenceOperation, Params]] = []

    def give_up(self, operation: PresenceOperation, until_s: float) -> None:
        """Note a request that the service may still apply until a time.

        Attempts of one and the same request count once, so that those of a leave do
        not push out the heartbeat that it has to undo.
        """
        others = [doubt for doubt in self._given_up if doubt[0] != operation]
        self._given_up = [*others[1 - _MOST_DOUBTS :], (operation, until_s)]

    def may_undo(self, operation: PresenceOperation, sent_at_s: float) -> bool:
        """Return True if a request given up may still undo one sent at a time.

        Names do not matter, since groups overlap channels unseen by the client. The
        same request applied again changes nothing.
        """
        return any(
            until_s > sent_at_s and given_up != operation
            for given_up, until_s in self._given_up
        )

    def repeat(self, operation: PresenceOperation, params: Params, at_s: float) -> None:
        """Say an operation once more at a time."""
        self.repeats.append((at_s, operation, params))

    def supersede(self, newer: PresenceOperation) -> None:
        """Drop what a newer operation is about from the repeats."""
        self.repeats = [
            (at_s, rest, params)
            for at_s, operation, params in self.repeats
            if (rest := _still_valid(operation, newer)) is not None
        ]

    def bring_forward(self, by_s: float) -> None:
        """Repeat everything by a time, as closing needs it."""
        self.repeats = [
            (min(at_s, by_s), operation, params)
            for at_s, operation, params in self.repeats
        ]

    def next_s(self, now_s: float) -> float:
        """Return when a repeat is due or the last doubt ends, whichever is first."""
        ends_s = [until_s for _, until_s in self._given_up if until_s > now_s]
        due_s = min((at_s for at_s, _, _ in self.repeats), default=math.inf)
        return min(due_s, max(ends_s, default=math.inf))

    def pop_due(self, now_s: float) -> tuple[PresenceOperation, Params] | None:
        """Remove and return a repeat that is due, if any."""
        for number, (at_s, operation, params) in enumerate(self.repeats):
            if at_s <= now_s:
                del self.repeats[number]
                return operation, params
        return None

    def is_over(self, now_s: float) -> bool:
        """Return True if nothing is in doubt and nothing is left to repeat."""
        return not self.repeats and all(end <= now_s for _, end in self._given_up)


def _still_valid(
    old: PresenceOperation, newer: PresenceOperation
) -> PresenceOperation | None:
    """Return what of an older operation still holds after a newer one."""
    if isinstance(newer, SetStateOperation) and isinstance(old, HeartbeatOperation):
        named = {*newer.channels, *newer.channel_groups}
        kept = {n: state for n, state in (old.state or {}).items() if n not in named}
        return old.with_state(kept or None)
    if isinstance(newer, SetStateOperation) and isinstance(old, LeaveOperation):
        return old
    said_channels, said_groups = newer.channels, newer.channel_groups
    if isinstance(newer, HeartbeatOperation) and isinstance(old, SetStateOperation):
        # Only where the heartbeat carries a state.
        states = newer.state or {}
        said_channels = tuple(c for c in said_channels if c in states)
        said_groups = tuple(g for g in said_groups if g in states)
    channels = tuple(c for c in old.channels if c not in said_channels)
    groups = tuple(g for g in old.channel_groups if g not in said_groups)
    if not channels and not groups:
        return None
    return old.about(channels, groups)
