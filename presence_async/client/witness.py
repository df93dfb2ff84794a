"""The witness: turns what engine, feed and clocks report into facts, and keeps them."""

from __future__ import annotations

import asyncio
import math
import os
import platform
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..explain import facts as f
from ..explain.causes import status_of, why
from ..explain.file import FactFile
from ..explain.memory import Memory
from ..explain.moment import unix_s
from ..explain.story import Explanation, explained
from ..presence import changes as c
from ..presence.claims import LeaseHealth, LeaveOrigin, Order, OrderKind
from ..presence.closing import Departure
from ..presence.engine import PresenceEngine
from ..presence.names import names_of
from ..presence.user import UserTable
from ..presence.wire import Acknowledged, Failed, Outcome, Refused, Send
from . import wall_clock
from .config import PresenceConfig
from .overheard import Overheard
from .safe_log import SafeLogger

if TYPE_CHECKING:
    import datetime as dt

__all__ = ["Witness"]

logger: SafeLogger = SafeLogger("presence_async.client")

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
        self._memory = Memory(config.explain_decisions, config.explain_bytes)
        path = config.explain_to
        self._file = None if path is None else FactFile(Path(path))
        self._run = secrets.token_hex(4)
        self._is_unwritable = False
        # Failures that follow others and are written together with the next of them.
        self._unwritten: dict[str, f.Failed] = {}
        self._overheard = Overheard(engine, self._memory)
        self._failed_before = 0
        self._latest_why = ""
        self._is_closing = False
        self._changes: Mapping[type, Callable[[Any], None]] = {
            c.HealthChanged: self._health,
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
        at = _unix_s(change.at_s)
        one = {"at": at, "user": claim.user_id, "names": claim.names}
        match change.health:
            case LeaseHealth.FRESH if was is None:
                # Not in memory, as long as the lease itself tells of it.
                self._write(f.Joined(timeout_s=claim.presence_timeout_s, **one))
            case LeaseHealth.FRESH if was is not LeaseHealth.AT_RISK or not (
                change.is_shared
            ):
                self._keep(f.Back(was=str(was), **one))
            case LeaseHealth.LOST:
                self._keep(f.Lost(until=_unix_s(change.until_s), **one))
            case LeaseHealth.RELEASED:
                self._released(change, at)
            case _:
                # At risk or refused: of that the failed request tells more.
                pass

    def _released(self, change: c.HealthChanged, at: float) -> None:
        claim = change.claim
        joined = _joined(claim)
        if joined is not None:
            self._memory.add(claim.user_id, joined)
        self._keep(
            f.Released(
                at=at,
                user=claim.user_id,
                names=claim.names,
                why=_RELEASED_WHY.get(change.reason, "closed"),
            )
        )

    def _leave_given_up(self, change: c.LeaveGivenUp) -> None:
        reason = why(change.error)
        self._add(f.GaveUp, change.user_id, what=f.What.LEAVE, names=(), why=reason)

    def _held_elsewhere(self, change: c.HeldElsewhere) -> None:
        self._add(f.StillHeld, change.user_id, names=change.names)

    def _turn(self, change: c.TurnChanged) -> None:
        before = self._memory.newest(change.user_id, f.Turn)
        if not change.is_ours or before is not None:
            self._add(f.Turn, change.user_id, is_ours=change.is_ours)

    def _outage_began(self, change: c.OutageBegan) -> None:
        self._failed_before = self._engine.heartbeats_failed
        self._add(f.OutageBegan, users=change.users, why=self._latest_why)

    def _outage_ended(self, change: c.OutageEnded) -> None:
        attempts = self._engine.heartbeats_failed - self._failed_before
        since = wall_clock.now_s() - change.since_s
        self._add(f.OutageEnded, since=since, attempts=attempts)

    def _register_lost(self, change: c.RegisterLost) -> None:
        self._add(f.RegisterLost, why=why(change.error))

    def _register_back(self, change: c.RegisterBack) -> None:
        self._add(f.RegisterBack, away_s=change.away_s)

    # What requests came to.

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
        names = _names(send)
        if what == f.What.JOIN and order is not None and order.is_done:
            self._add(
                f.GaveUp, send.user_id, what=what, names=names, why=self._latest_why
            )
        elif what:
            self._failed(send, outcome, what, names)

    def _acknowledged(self, send: Send, order: Order) -> None:
        user, names = send.user_id, _names(send)
        if order.kind is OrderKind.LEAVE:
            self._add(f.Left, user, names=names, why=_origin(order))
        elif order.kind is OrderKind.HAND_OVER:
            timeout_s = order.operation.presence_timeout_s
            self._add(f.HandedOver, user, names=names, timeout_s=timeout_s)
        elif send.is_join and order.is_done and order.error is None:
            claim = order.its_claim
            if claim.extends is not None:
                timeout_s = claim.presence_timeout_s
                self._add(f.Joined, user, names=claim.names, timeout_s=timeout_s)

    def _failed(
        self, send: Send, outcome: Failed | Refused, what: str, names: f.Names
    ) -> None:
        refused = isinstance(outcome, Refused)
        if isinstance(outcome, Refused):
            named = set(names_of(outcome.channels, outcome.channel_groups))
            names = tuple(n for n in names if n in named) or names
        acked, until = self._told(send.user_id, names)
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
        )

    def _told(self, user_id: str, names: Iterable[str]) -> tuple[float, float]:
        """Return when names were last acknowledged, and until when that lasts."""
        user = self._engine.dispatch.user(user_id)
        told = {} if user is None else user.told
        known = [told[name] for name in names if name in told]
        if not known:
            return 0.0, 0.0
        first = min(known, key=lambda each: each.until_s)
        until = _unix_s(first.until_s)
        return until - first.timeout_s, until

    # What else happens.

    def blocked(self, seconds: float) -> None:
        """Keep that the event loop stood still until now."""
        self._add(f.Blocked, for_s=seconds)

    def slept(self, seconds: float) -> None:
        """Keep that the machine slept until now."""
        self._add(f.Slept, for_s=seconds)

    def new_token(self, user_id: str | None, is_refresh: bool) -> None:  # noqa: FBT001  # called by name
        """Keep that another token is used."""
        self._add(f.NewToken, user_id or "", is_refresh=is_refresh)

    def events(self, events: Sequence[Any]) -> None:
        """Keep events that are news about users of this client."""
        for fact in self._overheard.news_of(events, wall_clock.now_s()):
            self._keep(fact)

    def alive(self) -> None:
        """Write a sign of life, if anybody is kept."""
        for user_id in list(self._unwritten):
            self._write_failures(user_id)
        users = sum(user.has_joined for user in self._engine)
        if users:
            self._write(f.Alive(at=_rounded(wall_clock.now_s()), users=users))

    def close(self, departures: Sequence[Departure]) -> None:
        """Keep who was handed over without a request, and that this is the end."""
        self._is_closing = True
        for gone in departures:
            order = gone.order
            is_done = order is not None and order.is_done and order.error is None
            known = self._memory.newest(gone.user_id, f.HandedOver)
            if gone.is_handed_over and is_done and known is None:
                names = names_of(gone.channels, gone.channel_groups)
                self._add(f.HandedOver, gone.user_id, names=names)
        for user_id in list(self._unwritten):
            self._write_failures(user_id)
        closed = f.Closed(at=_rounded(wall_clock.now_s()))
        self._memory.add("", closed)
        if self._file is not None and self._file.is_open:
            self._write(closed)
            self._file.close()

    # Keeping.

    def _add(self, kind: type[f.Fact], user_id: str = "", **of: Any) -> None:  # noqa: ANN401  # the fact's
        self._keep(kind(at=_rounded(wall_clock.now_s()), user=user_id, **of))

    def _keep(self, fact: f.Fact) -> None:
        is_more = self._memory.add(fact.user, fact)
        if is_more and isinstance(fact, f.Failed):
            before = self._unwritten.get(fact.user)
            both = fact if before is None else f.merged(before, fact)
            if isinstance(both, f.Failed):
                self._unwritten[fact.user] = both
        else:
            self._write_failures(fact.user)
            self._write(fact)

    def _write_failures(self, user_id: str) -> None:
        failed = self._unwritten.pop(user_id, None)
        if failed is not None:
            self._write(failed)

    def _write(self, fact: f.Fact) -> None:
        file = self._file
        if file is None:
            return
        try:
            was_open = file.is_open
            if file.open():
                file.write(self._start(fact.at, is_more=was_open), self._run)
            file.write(fact, self._run)
        except OSError as error:
            if not self._is_unwritable:
                logger.warning("decisions cannot be written to a file: %s", error)
            self._is_unwritable = True
        else:
            self._is_unwritable = False

    def _start(self, at: float, *, is_more: bool) -> f.Started:
        return f.Started(
            at=at,
            host=platform.node(),
            pid=os.getpid(),
            version=metadata.version("presence-async"),
            users=sum(user.has_joined for user in self._engine),
            is_more=is_more,
        )

    # Telling.

    def explain(self, user_id: str, at: dt.datetime | float | None) -> Explanation:
        """Tell the story of a user, as far as it is known."""
        now = wall_clock.now_s()
        known = [*self._memory.everybody, *self._memory.of(user_id)]
        user = self._engine.dispatch.user(user_id)
        if user is not None:
            known += [*_joins(user, known), *_standing(user)]
        return explained(
            user_id,
            known,
            at=None if at is None else unix_s(at),
            now=now,
            is_complete=self._memory.is_whole(user_id),
        )


def _unix_s(loop_s: float) -> float:
    """Return the Unix time of a loop time, by what the clocks say now."""
    now_s = asyncio.get_running_loop().time()
    return _rounded(wall_clock.now_s() - (now_s - loop_s))


def _rounded(unix_s: float) -> float:
    """Return a time in whole milliseconds: clocks that are compared differ by more."""
    return round(unix_s, 3)


def _names(send: Send) -> f.Names:
    if send.beat is not None:
        return send.beat.names
    operation = send.operation
    return names_of(operation.channels, operation.channel_groups)


def _origin(order: Order) -> str:
    if order.origin:
        return order.origin
    if order.is_last:
        return "closed"
    return "lingered" if order.present_until_s else ""


def _joined(claim: Any, but: Iterable[str] = ()) -> f.Joined | None:  # noqa: ANN401  # a claim
    at = getattr(claim.owner, "joined_at", 0.0)
    names = tuple(name for name in claim.names if name not in but)
    if not at or not names:
        return None
    timeout_s = claim.presence_timeout_s
    return f.Joined(at=at, user=claim.user_id, names=names, timeout_s=timeout_s)


def _joins(user: UserTable, known: Iterable[f.Fact]) -> list[f.Joined]:
    """Return the joins of leases that are held; names added later have their own."""
    later = {n for fact in known if isinstance(fact, f.Joined) for n in fact.names}
    joins = [_joined(claim, later) for claim in user.claims if claim.is_joined]
    return [each for each in joins if each is not None]


def _standing(user: UserTable) -> list[f.Kept]:
    """Return how the user stands now, while the client is open."""
    held = {name for claim in user.joined for name in claim.names}
    told = [each for name, each in user.told.items() if name in held]
    told = [each for each in told if each.trouble is None]
    if not told:
        return []
    first = min(told, key=lambda each: each.until_s)
    acked = _unix_s(first.until_s - first.timeout_s)
    due = _unix_s(user.due_s) if user.due_s < math.inf else 0.0
    now = wall_clock.now_s()
    names = tuple(each.name for each in told)
    return [f.Kept(at=now, user=user.user_id, names=names, acked=acked, due=due)]
