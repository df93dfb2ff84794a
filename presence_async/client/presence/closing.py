"""Closing: the last leaves of a client, and the report on them."""

from __future__ import annotations

import asyncio

import attrs

from ..config import PresenceConfig
from ..lease import LeaseHealth
from ..reports import ClosedPresence, CloseReport
from .leaves import LeaveDesk, OwedLeave
from .user_presence import UserPresence

__all__ = ["Closing"]


class Closing:
    """What becomes of each presence when the client closes.

    Args:
        config: Whether to leave, and how often to try.
        leaves: Sends them.
    """

    def __init__(self, config: PresenceConfig, leaves: LeaveDesk) -> None:
        self._config = config
        self._leaves = leaves
        self._leaving: list[tuple[ClosedPresence, OwedLeave]] = []
        self._skipped: list[ClosedPresence] = []

    def begin(self, presences: list[UserPresence], timeout_s: float) -> None:
        """Release every lease and send all leaves, those still owed included."""
        for presence in presences:
            # One leave for what is held, whatever waits to be left as well.
            held = presence.held()
            self._leaves.drop(presence.user_id, held.channels, held.channel_groups)
        self._leaving = [
            (_closed(leave.user_id, leave.channels, leave.channel_groups), leave)
            for leave in self._leaves
        ]
        for presence in presences:
            self._close(presence, timeout_s)
        self._leaves.hasten(timeout_s)

    def report(self) -> CloseReport:
        """Say which presences were left and which were not."""
        left = [was for was, leave in self._leaving if leave.error is None]
        failed = [
            attrs.evolve(was, error=leave.error)
            for was, leave in self._leaving
            if leave.error is not None
        ]
        return CloseReport(
            left=tuple(left), failed=tuple(failed), skipped=tuple(self._skipped)
        )

    def _close(self, presence: UserPresence, timeout_s: float) -> None:
        told = [x for x in presence.leases if x.is_joined or x.is_announced]
        channels = tuple(dict.fromkeys(c for x in told for c in x.channels))
        groups = tuple(dict.fromkeys(g for x in told for g in x.channel_groups))
        for lease in presence.joined:
            lease.turn(LeaseHealth.RELEASED, "the client was closed")
        if not told:
            return
        was = _closed(presence.user_id, channels, groups)
        if not self._config.leave_on_close:
            self._skipped.append(was)
            return
        leave = OwedLeave(
            user_id=presence.user_id,
            channels=channels,
            channel_groups=groups,
            until_s=asyncio.get_running_loop().time() + timeout_s,
            timeout_s=timeout_s,
            retry=self._config.retry,
            params=told[0].params,
            is_last=True,
        )
        self._leaving.append((was, self._leaves.owe(leave)))


def _closed(
    user_id: str, channels: tuple[str, ...], channel_groups: tuple[str, ...]
) -> ClosedPresence:
    return ClosedPresence(
        user_id=user_id, channels=channels, channel_groups=channel_groups
    )
