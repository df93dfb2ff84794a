"""The witness: turns what engine, feed and clocks report into facts, and keeps them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..explain import circumstances as w
from ..explain import facts as f
from ..explain import moment
from ..explain.causes import status_of, why
from ..explain.story import Explanation, explained
from ..presence import changes as c
from ..presence.claims import Claim, LeaseHealth, Order, OrderKind
from ..presence.closing import Departure
from ..presence.engine import PresenceEngine
from ..presence.names import names_of
from ..presence.returning import LEFT, TIMED_OUT
from ..presence.user import UserTable
from ..presence.wire import Acknowledged, Failed, Outcome, Refused, Send
from . import join_times
from .config import PresenceConfig
from .fact_keeper import FactKeeper, unix_now_s
from .overheard import Overheard
from .standing import gone, joined, recovered, standing, still_held, told, unix_s
from .unclear import Unclear, names_in

__all__ = ["Witness"]

_RELEASED_WHY = {"left": "left", "its names were left": "names"}
_TRIED = {
    OrderKind.JOIN: f.What.JOIN,
    OrderKind.LEAVE: f.What.LEAVE,
    OrderKind.HAND_OVER: f.What.LAST_HEARTBEAT,
}


class Witness:
    """Keeps facts in memory and, if asked to, in a file.

    Args:
        config: Says how much is kept, and where.
        engine: Decides.
    """

    def __init__(self, config: PresenceConfig, engine: PresenceEngine) -> None:
        self._engine = engine
        self._keeper = FactKeeper(config, self._count_users)
        self._memory = self._keeper.memory
        self._overheard = Overheard(engine, self._memory)
        self._unclear = Unclear(engine, config.attempt_timeout_s)
        self._failed_before = 0
        self._latest_why = ""
        self._is_closing = False
        self._changes: Mapping[type, Callable[[Any], None]] = {
            c.HealthChanged: self._health,
            c.Narrowed: self._narrowed,
            c.LeaveGivenUp: self._leave_given_up,
            c.HeldElsewhere: self._held_elsewhere,
            c.TurnChanged: self._turn,
            c.OutageBegan: self._outage_began,
            c.OutageEnded: self._outage_ended,
            c.RegisterLost: self._register_lost,
            c.RegisterBack: self._register_back,
        }

    # What the engine reports.

    def change(self, change: c.Change) -> None:
        """Keep a change."""
        keep = self._changes.get(type(change))
        if keep is not None:
            keep(change)

    def _health(self, change: c.HealthChanged) -> None:
        claim, was = change.claim, change.previous
        if claim.owner is None:
            return
        at = unix_s(change.at_s)
        one: dict[str, Any] = {"at": at, "user": claim.user_id, "names": change.names}
        one["late_s"] = self.late_s(change)
        match change.health:
            case LeaseHealth.FRESH if was is None:
                # Not in memory, as long as the lease itself tells of it.
                self._keeper.write(f.Joined(timeout_s=claim.presence_timeout_s, **one))
            case LeaseHealth.FRESH if was is not LeaseHealth.AT_RISK or not (
                change.is_shared
            ):
                self._keeper.add(f.Back(was=str(was), **one))
            case LeaseHealth.LOST if change.reason not in {LEFT, TIMED_OUT}:
                user, later_s = self._user(claim.user_id), self._unclear.later_s
                for lost in gone(user, change.names, at, later_s):
                    self._keeper.add(lost)
            case LeaseHealth.RELEASED:
                self._released(change, at)
            case _:
                # Of anything else the failed request, or the event, tells more.
                pass

    def _released(self, change: c.HealthChanged, at: float) -> None:
        claim = change.claim
        self._remember_join(claim, change.names)
        until = told(self._user(claim.user_id), change.names)[1]
        if change.until_s > change.at_s:
            until = unix_s(change.until_s)
        self._keeper.add(
            f.Released(
                at=at,
                user=claim.user_id,
                names=change.names,
                why=_RELEASED_WHY.get(change.reason, "closed"),
                linger_s=claim.linger_s if change.reason == "left" else 0,
                until=until,
                late_s=self._unclear.later_s(claim.user_id, change.names, until),
                still=still_held(self._user(claim.user_id), change.names),
            )
        )

    def late_s(self, change: c.HealthChanged) -> float:
        """Return how late the heartbeat was acknowledged that a change is due to."""
        claim, until = change.claim, unix_s(change.until_s)
        return self._unclear.later_s(claim.user_id, change.names, until)

    def _narrowed(self, change: c.Narrowed) -> None:
        self._remember_join(change.claim, change.names)

    def _remember_join(self, claim: Claim, names: f.Names) -> None:
        """Keep a join in memory before its lease can tell of it no more."""
        for join in joined(claim, names):
            self._memory.add(claim.user_id, join)
            join_times.forget(claim.owner)

    def _leave_given_up(self, change: c.LeaveGivenUp) -> None:
        reason = why(change.error)
        gave_up = {"what": f.What.LEAVE, "names": change.names, "why": reason}
        self._add(f.GaveUp, change.user_id, **gave_up)

    def _held_elsewhere(self, change: c.HeldElsewhere) -> None:
        self._add(f.StillHeld, change.user_id, names=change.names)

    def _turn(self, change: c.TurnChanged) -> None:
        user_id, is_ours = change.user_id, change.is_ours
        turn = f.Turn(at=unix_now_s(), user=user_id, is_ours=is_ours)
        if is_ours or user_id in self._memory:
            self._keeper.add(turn)
        else:
            # As long as all is well it is enough to know whose turn it is now.
            self._keeper.write(turn)

    def _outage_began(self, change: c.OutageBegan) -> None:
        self._failed_before = self._engine.heartbeats_failed
        self._add(w.OutageBegan, users=change.users, why=self._latest_why)

    def _outage_ended(self, change: c.OutageEnded) -> None:
        attempts = self._engine.heartbeats_failed - self._failed_before
        since = unix_now_s() - change.since_s
        self._add(w.OutageEnded, since=since, attempts=attempts)

    def _register_lost(self, change: c.RegisterLost) -> None:
        self._add(w.RegisterLost, why=why(change.error))

    def _register_back(self, change: c.RegisterBack) -> None:
        self._add(w.RegisterBack, away_s=change.away_s)

    # What requests came to.

    def hears(self, send: Send, outcome: Outcome, now_s: float) -> None:
        """Take in what an outcome leaves open, before the engine takes it in."""
        self._unclear.hears(send, outcome, now_s)

    def answered(self, send: Send, outcome: Outcome) -> None:
        """Keep what became of a request, unless that is what is expected of it."""
        order = send.order
        if isinstance(outcome, Acknowledged):
            if order is not None:
                self._acknowledged(send, order)
            return
        self._latest_why = why(outcome.error)
        what = f.What.HEARTBEAT if order is None else _TRIED.get(order.kind, "")
        if order is None and (send.beat is None or self._is_closing):
            return
        if order is not None and order.error is not outcome.error:
            # Nobody waited for it any more.
            return
        names = names_in(send)
        if what == f.What.JOIN and order is not None and order.is_done:
            gave_up = {"what": what, "names": names, "why": self._latest_why}
            self._add(f.GaveUp, send.user_id, **gave_up, **self._unclear.open)
        elif what:
            self._failed(send, outcome, what, names)

    def _acknowledged(self, send: Send, order: Order) -> None:
        user, late_s = send.user_id, self._unclear.late_s
        names = names_in(send)
        if order.kind is OrderKind.LEAVE:
            self._add(f.Left, user, names=names, why=_origin(order), late_s=late_s)
        elif order.kind is OrderKind.HAND_OVER:
            of = {"timeout_s": order.operation.presence_timeout_s, "late_s": late_s}
            self._add(f.HandedOver, user, names=names, **of)
        elif send.is_join and order.is_done and order.error is None:
            self._extended(order.its_claim, late_s)

    def _extended(self, claim: Claim, late_s: float) -> None:
        if claim.extends is None or not claim.names:
            return
        lease = claim.extends
        before = tuple(name for name in lease.names if name not in claim.names)
        self._remember_join(lease, before)
        more = {"names": claim.names, "timeout_s": claim.presence_timeout_s}
        self._add(f.Joined, claim.user_id, is_more=True, late_s=late_s, **more)

    def _failed(
        self, send: Send, outcome: Failed | Refused, what: str, names: f.Names
    ) -> None:
        acked, until, past = self._unclear.told
        refused = isinstance(outcome, Refused)
        if isinstance(outcome, Refused):
            named = set(names_of(outcome.channels, outcome.channel_groups))
            names = tuple(n for n in names if n in named) or names
            for back in recovered(self._user(send.user_id), self._memory):
                self._keeper.add(back)
            acked, until, past = told(self._user(send.user_id), names)
        self._add(
            f.Failed,
            send.user_id,
            what=what,
            names=names,
            why=self._latest_why,
            status=status_of(outcome.error),
            is_refused=refused,
            acked=acked,
            until=until,
            gone=past,
            late_s=self._unclear.later_s(send.user_id, names, until),
            **self._unclear.open,
        )

    # What else happens.

    def blocked(self, seconds: float) -> None:
        """Keep that the event loop stood still until now."""
        self._add(w.Blocked, for_s=seconds)

    def slept(self, seconds: float) -> None:
        """Keep that the machine slept until now."""
        self._unclear.slept(seconds)
        self._add(w.Slept, for_s=seconds)

    def new_token(self, user_id: str | None, is_refresh: bool) -> None:  # noqa: FBT001  # called by name
        """Keep that another token is used."""
        self._add(f.NewToken, user_id or "", is_refresh=is_refresh)

    def events(self, events: Sequence[Any]) -> None:
        """Keep events that are news about users of this client."""
        for fact in self._overheard.news_of(events, unix_now_s()):
            self._keeper.add(fact)

    def alive(self) -> None:
        """Give a sign of life."""
        self._keeper.alive()

    def close(self, departures: Sequence[Departure]) -> None:
        """Keep who was handed over without a request, and that this is the end."""
        self._is_closing = True
        for each in departures:
            order = each.order
            is_done = order is not None and order.is_done and order.error is None
            known = self._memory.newest(each.user_id, f.HandedOver)
            if each.is_handed_over and is_done and known is None:
                names = names_of(each.channels, each.channel_groups)
                self._add(f.HandedOver, each.user_id, names=names)
        self._keeper.close()

    # Telling.

    def explain(self, user_id: str, at: dt.datetime | float | None) -> Explanation:
        """Tell the story of a user, as far as it is known."""
        known = [*self._memory.everybody, *self._memory.of(user_id)]
        user = self._user(user_id)
        return explained(
            user_id,
            known if user is None else [*known, *standing(user)],
            at=None if at is None else moment.unix_s(at),
            now=unix_now_s(),
            since=self._memory.since(user_id),
        )

    def _user(self, user_id: str) -> UserTable | None:
        return self._engine.dispatch.user(user_id)

    def _count_users(self) -> int:
        return sum(user.has_joined for user in self._engine)

    def _add(self, kind: type[f.Fact], user_id: str = "", **of: Any) -> None:  # noqa: ANN401  # the fact's
        self._keeper.add(kind(at=unix_now_s(), user=user_id, **of))


def _origin(order: Order) -> str:
    if order.origin:
        return order.origin
    if order.is_last:
        return "closed"
    return "lingered" if order.present_until_s else ""
