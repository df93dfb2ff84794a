"""RosterBook: who is on a channel, concluded from events and snapshots. Pure.

Events are quick and may be lost, late, doubled or out of order; a snapshot (the answer
to a here now) is complete and may be some seconds old without saying so. The book lets
each correct the other: of one user the newer event counts; a snapshot counts for
everybody of whom no event is newer than the snapshot may be old.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence

from ...protocol.events import (
    GapEvent,
    IntervalEvent,
    JoinEvent,
    LeaveEvent,
    PresenceEvent,
    StateChangeEvent,
    TimeoutEvent,
    UserEvent,
)
from ...protocol.occupancy import Occupant
from .checksum import Checksum
from .clock import TIMETOKENS_PER_S, ServiceClock
from .plan import SETTLE_S, CheckPlan
from .recent import (
    Recent,
    lacks_state,
    newer_than,
    occupant_of,
)
from .snapshot import Snapshot
from .synthesis import correction, listed, state_change

__all__ = ["RosterBook"]

_QUEUE_S = 1200.0
"""The service keeps a message for about 20 minutes; none comes later."""

_MANY_RECENT = 10_000
"""Of more users than this no event is kept in mind without a snapshot to settle it."""


class RosterBook:
    """The occupants of one channel.

    ``apply`` and ``reconcile`` return what observers are to be told: nobody is ever
    told of two joins, or two leaves, of one user in a row.

    Attributes:
        channel: Which channel.
        plan: When to ask here now, and whether the list is beyond doubt.

    Args:
        channel: Which channel.
        rng: Where the plan's jitter comes from.
    """

    def __init__(self, channel: str, rng: random.Random) -> None:
        self.channel = channel
        self.plan: CheckPlan = CheckPlan(rng)
        self._members: dict[str, Occupant] = {}
        self._recent: dict[str, Recent] = {}
        self._clock = ServiceClock()
        # What was published up to here is in the last snapshot.
        self._settled = -1
        # The newest event so far; what is older comes out of order.
        self._newest = -1
        # Not found by the last snapshot, which was not whole.
        self._missing: frozenset[str] = frozenset()
        self._checksum = Checksum()

    @property
    def members(self) -> Mapping[str, Occupant]:
        """Who is present, by user id; not to be changed."""
        return self._members

    # Events.

    def apply(self, event: PresenceEvent, *, now_s: float) -> Sequence[PresenceEvent]:
        """Take in an event; returns what it changes."""
        if isinstance(event, GapEvent):
            self._note_gap(event, now_s)
            return ()
        if event.channel != self.channel:
            return ()
        self._note_time(event.timetoken, now_s)
        if event.timetoken <= self._settled:
            return ()
        told: Sequence[PresenceEvent] = ()
        match event:
            case UserEvent():
                told = self._apply_to_user(event, now_s)
            case IntervalEvent():
                told = self._apply_interval(event, now_s)
            case _:
                return ()
        self._checksum.note(event)
        self._compare(now_s)
        return told

    def _note_time(self, timetoken: int, now_s: float) -> None:
        self._clock.note(timetoken, now_s=now_s)
        if timetoken < self._newest:
            self.plan.note_trouble(now_s=now_s)
        self._newest = max(self._newest, timetoken)
        if len(self._recent) >= _MANY_RECENT:
            self.plan.ask_soon(now_s=now_s)

    def _note_gap(self, event: GapEvent, now_s: float) -> None:
        self.plan.doubt(now_s=now_s)
        if event.reason == "reconnect":
            # The service may have another clock now, so that old timetokens say
            # nothing about new ones.
            self._clock.forget()
            self._forget_times()

    def _apply_to_user(self, event: UserEvent, now_s: float) -> Sequence[PresenceEvent]:
        if (event.user_id in self._members) is isinstance(event, JoinEvent):
            # What came before it has not been heard.
            self.plan.note_trouble(now_s=now_s)
        match event:
            case JoinEvent():
                return self._join(event)
            case StateChangeEvent():
                return self._change_state(event)
            case _:
                return self._leave(event)

    def _join(self, event: JoinEvent, *, has_state: bool = True) -> list[PresenceEvent]:
        recent = self._recent_of(event.user_id)
        if event.timetoken < recent.presence:
            return []
        recent.presence = event.timetoken
        if event.user_id in self._members:
            if event.state is None or event.timetoken < recent.state:
                return []
            recent.state = event.timetoken
            return self._restate(state_change(event))
        occupant = occupant_of(event)
        if has_state:
            recent.state = max(recent.state, event.timetoken)
            if lacks_state(occupant):
                occupant = Occupant(user_id=event.user_id, state={})
        self._members[event.user_id] = occupant
        change = recent.change
        if change is not None and change.timetoken >= event.timetoken:
            return [event, *self._restate(change)]
        return [event]

    def _leave(self, event: UserEvent) -> list[PresenceEvent]:
        recent = self._recent_of(event.user_id)
        if event.timetoken < recent.presence:
            return []
        recent.presence = event.timetoken
        gone = self._members.pop(event.user_id, None)
        return [] if gone is None else [event]

    def _change_state(self, event: StateChangeEvent) -> list[PresenceEvent]:
        recent = self._recent_of(event.user_id)
        if event.timetoken < recent.newest:
            return []
        recent.state, recent.change = event.timetoken, event
        return self._restate(event) if event.user_id in self._members else []

    def _restate(self, event: StateChangeEvent) -> list[PresenceEvent]:
        """Give a present user the state that an event carries."""
        now = occupant_of(event)
        if now == self._members[event.user_id]:
            return []
        self._members[event.user_id] = now
        return [event]

    def _apply_interval(
        self, event: IntervalEvent, now_s: float
    ) -> list[PresenceEvent]:
        gone = {*event.left, *event.timed_out}
        # Of somebody in both lists it does not say which came last.
        torn = gone.intersection(event.joined)
        told: list[PresenceEvent] = []
        for user_ids, kind in (
            (event.left, LeaveEvent),
            (event.timed_out, TimeoutEvent),
        ):
            for user_id in user_ids:
                if user_id not in torn:
                    occupancy = len(self._members) - 1
                    told += self._leave(listed(kind, user_id, event, occupancy))
        for user_id in event.joined:
            if user_id not in torn:
                join = listed(JoinEvent, user_id, event, len(self._members) + 1)
                told += self._join(join, has_state=False)
        # The lists carry no states; the next snapshot does.
        if torn or event.here_now_refresh or event.joined:
            self.plan.ask_soon(now_s=now_s)
        return told

    def _recent_of(self, user_id: str) -> Recent:
        recent = self._recent.get(user_id)
        if recent is None:
            recent = self._recent[user_id] = Recent()
        return recent

    def _compare(self, now_s: float) -> None:
        if self._checksum.fits(len(self._members)):
            self.plan.trust()
        elif self._checksum.is_interval:
            self.plan.ask_soon(now_s=now_s)
        else:
            self.plan.suspect(now_s=now_s)

    # Snapshots.

    def reconcile(self, snapshot: Snapshot, *, now_s: float) -> list[PresenceEvent]:
        """Take in a snapshot; returns the corrections.

        Nobody is touched of whom an event is newer than the snapshot may be old: it
        may not know of that event yet, and a later snapshot will.
        """
        unsure = self._settle(self._clock.shown_at(snapshot.sent_at_s - SETTLE_S))
        told = self._drop(self._gone(snapshot, unsure), snapshot)
        for occupant in snapshot.occupants.values():
            told += self._adopt(occupant, snapshot, unsure.get(occupant.user_id))
        self.plan.answered(sent_s=snapshot.sent_at_s, found=len(told), now_s=now_s)
        if self._missing:
            self.plan.ask_again()
        self._checksum.settle(self._settled)
        self._compare(now_s)
        return told

    def check_failed(self, *, now_s: float, is_refused: bool = False) -> None:
        """Note that no snapshot could be had; forget what is too old to matter."""
        self.plan.failed(now_s=now_s, is_refused=is_refused)
        horizon = self._clock.shown_at(now_s - _QUEUE_S)
        if horizon is not None:
            self._recent = newer_than(horizon, self._recent)

    def _settle(self, settled: int | None) -> Mapping[str, Recent]:
        """Forget every event that a snapshot knows; returns who has newer ones."""
        if settled is None:
            # No event came for so long that the snapshot knows all there were.
            self._forget_times()
            return self._recent
        self._settled = settled
        self._recent = newer_than(settled, self._recent)
        if self._newest > settled + int(_QUEUE_S * TIMETOKENS_PER_S):
            # Nothing can come from so far ahead; and nothing would ever be newer.
            self._newest = -1
            self._checksum.forget()
        return self._recent

    def _forget_times(self) -> None:
        self._recent = {}
        self._checksum.forget()
        self._settled = self._newest = -1

    def _gone(self, snapshot: Snapshot, unsure: Mapping[str, Recent]) -> list[str]:
        """Return who is no longer there.

        Whoever is missing from a snapshot in pages must be missing from two in a row.
        """
        missing = [
            user_id
            for user_id in self._members
            if user_id not in snapshot.occupants
            and not self._is_newer(unsure.get(user_id))
        ]
        if snapshot.is_whole:
            self._missing = frozenset()
            return missing
        gone = [user_id for user_id in missing if user_id in self._missing]
        self._missing = frozenset(missing).difference(gone)
        return gone

    def _is_newer(self, recent: Recent | None) -> bool:
        """Tell whether an event about a user's presence is newer than the snapshot."""
        return recent is not None and recent.presence > self._settled

    def _drop(self, gone: Iterable[str], snapshot: Snapshot) -> list[PresenceEvent]:
        told: list[PresenceEvent] = []
        for user_id in gone:
            left = self._members.pop(user_id)
            told.append(correction(LeaveEvent, left, snapshot, len(self._members)))
        return told

    def _adopt(
        self, theirs: Occupant, snapshot: Snapshot, recent: Recent | None
    ) -> list[PresenceEvent]:
        """Take over what a snapshot says of somebody who is there."""
        mine = self._members.get(theirs.user_id)
        if recent is not None:
            if mine is None and self._is_newer(recent):
                return []
            if recent.state > self._settled:
                theirs = mine or recent.with_state(theirs)
        if mine == theirs:
            return []
        self._members[theirs.user_id] = theirs
        if mine is not None and lacks_state(mine) and theirs.state == {}:
            return []
        kind = JoinEvent if mine is None else StateChangeEvent
        return [correction(kind, theirs, snapshot, len(self._members))]
