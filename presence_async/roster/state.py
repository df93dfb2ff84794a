"""RosterState: one list of occupants from events and snapshots.

Each witness corrects the other. Of two events about one user the newer one counts. A
snapshot overrides a user's entry unless an event newer than the snapshot's possible age
exists; the next snapshot settles that one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..protocol.events import (
    GapEvent,
    IntervalEvent,
    JoinEvent,
    LeaveEvent,
    PresenceEvent,
    StateChangeEvent,
    TimeoutEvent,
    UserEvent,
)
from ..protocol.occupancy import Occupant
from ..protocol.timetoken import TIMETOKENS_PER_S
from .corrections import correction, listed_user, state_change
from .evidence import (
    LastSeen,
    OccupancyCheck,
    ServiceClock,
    lacks_state,
    newer_than,
    occupant_of,
)
from .schedule import SETTLE_S, SnapshotSchedule
from .snapshot import Snapshot

__all__ = ["RosterState"]

_QUEUE_S = 1200.0
"""The service keeps a message for about 20 minutes; none arrives later."""

_MANY_SEEN = 10_000
"""With unsettled events of more users than this, a snapshot is asked for."""

_UNSEEN = LastSeen()
"""Of a user without recent events; never changed."""


class RosterState:
    """The occupants of one channel.

    ``apply`` and ``reconcile`` return the changes as events for readers: never two
    joins, or two leaves, of one user in a row.

    Attributes:
        channel: The channel.

    Args:
        channel: The channel.
        schedule: Learns what casts doubt on the list or confirms it.
    """

    def __init__(self, channel: str, schedule: SnapshotSchedule) -> None:
        self.channel = channel
        self._schedule = schedule
        self._members: dict[str, Occupant] = {}
        self._seen: dict[str, LastSeen] = {}
        self._clock = ServiceClock()
        self._check = OccupancyCheck()
        # The last snapshot shows everything that was published up to here.
        self._settled = -1
        # The newest event so far; an older one arrives out of order.
        self._newest = -1
        # Absent from the last snapshot, which was not whole.
        self._missing: frozenset[str] = frozenset()

    @property
    def members(self) -> Mapping[str, Occupant]:
        """Who is present, by user ID; not to be changed."""
        return self._members

    # Events.

    def apply(self, event: PresenceEvent, *, now_s: float) -> Sequence[PresenceEvent]:
        """Take in an event and return the changes it makes."""
        if isinstance(event, GapEvent):
            self._record_gap(event, now_s)
            return ()
        if event.channel != self.channel:
            return ()
        self._record_time(event.timetoken, now_s)
        if event.timetoken <= self._settled:
            return ()
        if isinstance(event, UserEvent):
            changes = self._apply_to_user(event, now_s)
        elif isinstance(event, IntervalEvent):
            changes = self._apply_interval(event, now_s)
        else:
            return ()
        self._check.record(event)
        self._compare(now_s)
        return changes

    def _record_time(self, timetoken: int, now_s: float) -> None:
        self._clock.record(timetoken, now_s=now_s)
        if timetoken < self._newest:
            self._schedule.record_trouble(now_s=now_s)
        self._newest = max(self._newest, timetoken)
        if len(self._seen) >= _MANY_SEEN:
            self._schedule.ask_soon(now_s=now_s)

    def _record_gap(self, event: GapEvent, now_s: float) -> None:
        self._schedule.doubt(now_s=now_s)
        if event.reason == "reconnect":
            # The service may have another clock now, so old timetokens prove nothing
            # about new ones.
            self._clock.forget()
            self._forget_times()

    def _apply_to_user(self, event: UserEvent, now_s: float) -> list[PresenceEvent]:
        if (event.user_id in self._members) is isinstance(event, JoinEvent):
            # The event before it has not arrived.
            self._schedule.record_trouble(now_s=now_s)
        match event:
            case JoinEvent():
                return self._join(event)
            case StateChangeEvent():
                return self._change_state(event)
            case _:
                return self._leave(event)

    def _join(self, event: JoinEvent, *, has_state: bool = True) -> list[PresenceEvent]:
        seen = self._seen.setdefault(event.user_id, LastSeen())
        if event.timetoken < seen.presence:
            return []
        seen.presence = event.timetoken
        if event.user_id in self._members:
            if event.state is None or event.timetoken < seen.state:
                return []
            seen.state = event.timetoken
            return self._set_state(state_change(event))
        occupant = occupant_of(event)
        if has_state:
            seen.state = max(seen.state, event.timetoken)
            if lacks_state(occupant):
                occupant = Occupant(user_id=event.user_id, state={})
        self._members[event.user_id] = occupant
        change = seen.change
        if change is not None and change.timetoken >= event.timetoken:
            # A state change that overtook this join.
            return [event, *self._set_state(change)]
        return [event]

    def _leave(self, event: UserEvent) -> list[PresenceEvent]:
        seen = self._seen.setdefault(event.user_id, LastSeen())
        if event.timetoken < seen.presence:
            return []
        seen.presence = event.timetoken
        gone = self._members.pop(event.user_id, None)
        return [] if gone is None else [event]

    def _change_state(self, event: StateChangeEvent) -> list[PresenceEvent]:
        seen = self._seen.setdefault(event.user_id, LastSeen())
        if event.timetoken < seen.newest:
            return []
        seen.state, seen.change = event.timetoken, event
        return self._set_state(event) if event.user_id in self._members else []

    def _set_state(self, event: StateChangeEvent) -> list[PresenceEvent]:
        """Give a present user the state that an event carries."""
        occupant = occupant_of(event)
        if occupant == self._members[event.user_id]:
            return []
        self._members[event.user_id] = occupant
        return [event]

    def _apply_interval(
        self, event: IntervalEvent, now_s: float
    ) -> list[PresenceEvent]:
        # If a user has left and joined, either may have come last.
        ambiguous = {*event.left, *event.timed_out}.intersection(event.joined)
        leaves = [(user_id, LeaveEvent) for user_id in event.left]
        timeouts = [(user_id, TimeoutEvent) for user_id in event.timed_out]
        changes: list[PresenceEvent] = []
        for user_id, kind in (*leaves, *timeouts):
            if user_id not in ambiguous:
                left = listed_user(kind, user_id, event, len(self._members) - 1)
                changes += self._leave(left)
        for user_id in event.joined:
            if user_id not in ambiguous:
                join = listed_user(JoinEvent, user_id, event, len(self._members) + 1)
                changes += self._join(join, has_state=False)
        # The lists carry no states; the next snapshot does.
        if ambiguous or event.here_now_refresh or event.joined:
            self._schedule.ask_soon(now_s=now_s)
        return changes

    def _compare(self, now_s: float) -> None:
        if self._check.fits(len(self._members)):
            self._schedule.trust()
        elif self._check.is_interval:
            self._schedule.ask_soon(now_s=now_s)
        else:
            self._schedule.suspect(now_s=now_s)

    # Snapshots.

    def reconcile(self, snapshot: Snapshot, *, now_s: float) -> list[PresenceEvent]:
        """Take in a snapshot and return the corrections.

        It does not touch users with an event that is newer than the snapshot may be
        old: it may not show that event yet, and a later snapshot will.
        """
        unsettled = self._settle(self._clock.shown_at(snapshot.sent_at_s - SETTLE_S))
        changes = self._remove(self._find_gone(snapshot, unsettled), snapshot)
        for occupant in snapshot.occupants.values():
            seen = unsettled.get(occupant.user_id, _UNSEEN)
            changes += self._adopt(occupant, snapshot, seen)
        self._schedule.answered(
            sent_s=snapshot.sent_at_s, found=len(changes), now_s=now_s
        )
        if self._missing:
            self._schedule.ask_again()
        self._check.settle(self._settled)
        self._compare(now_s)
        return changes

    def forget_old(self, *, now_s: float) -> None:
        """Forget events that are too old to matter, where no snapshot settles them."""
        horizon = self._clock.shown_at(now_s - _QUEUE_S)
        if horizon is not None:
            self._seen = newer_than(horizon, self._seen)

    def _settle(self, settled: int | None) -> Mapping[str, LastSeen]:
        """Forget every event that a snapshot shows; return the users with newer ones.

        Args:
            settled: The snapshot shows everything up to this timetoken; ``None`` if no
                recent event shows the service's time.
        """
        if settled is None:
            # So long without an event, the snapshot shows all there were.
            self._forget_times()
            return self._seen
        self._settled = settled
        self._seen = newer_than(settled, self._seen)
        if self._newest > settled + int(_QUEUE_S * TIMETOKENS_PER_S):
            # No event is from so far ahead; and none would ever count as newer.
            self._newest = -1
            self._check.forget()
        return self._seen

    def _forget_times(self) -> None:
        self._seen = {}
        self._check.forget()
        self._settled = self._newest = -1

    def _find_gone(
        self, snapshot: Snapshot, unsettled: Mapping[str, LastSeen]
    ) -> list[str]:
        """Return the members that a snapshot proves to be gone."""
        missing = [
            user_id
            for user_id in self._members
            if user_id not in snapshot.occupants
            and unsettled.get(user_id, _UNSEEN).presence <= self._settled
        ]
        if snapshot.is_whole:
            self._missing = frozenset()
            return missing
        # Several pages may miss somebody, so they must be absent twice in a row.
        gone = [user_id for user_id in missing if user_id in self._missing]
        self._missing = frozenset(missing).difference(gone)
        return gone

    def _remove(self, gone: Iterable[str], snapshot: Snapshot) -> list[PresenceEvent]:
        changes: list[PresenceEvent] = []
        for user_id in gone:
            left = self._members.pop(user_id)
            changes.append(correction(LeaveEvent, left, snapshot, len(self._members)))
        return changes

    def _adopt(
        self, theirs: Occupant, snapshot: Snapshot, seen: LastSeen
    ) -> list[PresenceEvent]:
        """Take over what a snapshot shows of a user, unless an event is newer."""
        mine = self._members.get(theirs.user_id)
        if mine is None and seen.presence > self._settled:
            return []
        if seen.state > self._settled:
            theirs = mine or seen.with_state(theirs)
        if mine == theirs:
            return []
        self._members[theirs.user_id] = theirs
        if mine is not None and lacks_state(mine) and theirs.state == {}:
            # Unknown until now, and empty: no change for a reader.
            return []
        kind = JoinEvent if mine is None else StateChangeEvent
        return [correction(kind, theirs, snapshot, len(self._members))]
