"""RosterSync: keeps the list of one channel in sync."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import ClassVar

from ..protocol.events import PresenceEvent
from ..protocol.occupancy import Occupant
from ..roster.snapshot import Snapshot
from ..roster.state import RosterState
from .call import Params
from .channel_sync import ChannelSync
from .event_buffer import EventBuffer
from .feed.feed import PresenceFeed
from .pipeline import Budget
from .snapshot_requests import SnapshotRequests

__all__ = ["RosterSync"]


class RosterSync(ChannelSync[Snapshot]):
    """The machine behind one roster; ``ChannelSync`` has its arguments.

    Attributes:
        state: Who is here.
        readers: The buffers that receive every change.
    """

    kind: ClassVar[str] = "roster"

    def __init__(
        self,
        feed: PresenceFeed,
        snapshots: SnapshotRequests,
        *,
        channel: str,
        params: Params,
    ) -> None:
        super().__init__(feed, snapshots, channel=channel, params=params)
        self.state: RosterState = RosterState(channel, self.schedule)
        self.readers: weakref.WeakSet[EventBuffer] = weakref.WeakSet()
        # Made when they are asked for, until the next change.
        self._occupants: tuple[Occupant, ...] | None = None
        self._user_ids: frozenset[str] | None = None

    @property
    def occupancy(self) -> int:
        """How many are here."""
        return len(self.state.members)

    @property
    def occupants(self) -> tuple[Occupant, ...]:
        """Who is here."""
        if self._occupants is None:
            self._occupants = tuple(self.state.members.values())
        return self._occupants

    @property
    def user_ids(self) -> frozenset[str]:
        """The IDs of everybody who is here."""
        if self._user_ids is None:
            self._user_ids = frozenset(self.state.members)
        return self._user_ids

    def _apply(self, events: Sequence[PresenceEvent], *, now_s: float) -> None:
        changes: list[PresenceEvent] = []
        for event in events:
            changes += self.state.apply(event, now_s=now_s)
        self._publish(changes)

    async def _ask(self, budget: Budget | None) -> Snapshot:
        return await self._snapshots.ask(self.channel, self._params, budget=budget)

    def _reconcile(self, answer: Snapshot, *, now_s: float) -> None:
        self._publish(self.state.reconcile(answer, now_s=now_s))

    def _forget_old(self, *, now_s: float) -> None:
        self.state.forget_old(now_s=now_s)

    def _publish(self, changes: Sequence[PresenceEvent]) -> None:
        if changes:
            for reader in list(self.readers):
                reader.put(changes)

    def _wake_waiters(self) -> None:
        self._occupants = self._user_ids = None
        super()._wake_waiters()

    def _start_over(self) -> None:
        for reader in list(self.readers):
            reader.start_over()

    def _end_readers(self) -> None:
        for reader in list(self.readers):
            reader.end()
