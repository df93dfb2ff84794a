"""What a register knows about one user, and the rules of its operations. Pure.

This is the reference: the memory and SQLite registers run it, the scripts of the Valkey
register say the same in Lua, and a test holds them against each other. Times are whole
milliseconds of the register's clock. A time that lies further ahead than it ever can is
void, since clocks are set back now and then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from .values import (
    CALM,
    UNKNOWN,
    WITHDRAWN,
    Again,
    Beaten,
    Claimed,
    Claiming,
    Holding,
    Release,
    Released,
    Standing,
    Wish,
)

__all__ = ["Due", "Entry", "Holder", "Record", "ms", "seconds"]

Due = int | None
"""When a departure has to be looked at; ``None``: there is none."""

_NEVER: Final = 0
_TIMEOUTS_HELD = 2
_TIMEOUTS_KEPT = 4
_KEPT_LONGER = 60_000
_COMING_FORWARD = 20_000


def ms(seconds_: float) -> int:
    """Return seconds as whole milliseconds."""
    return round(seconds_ * 1000)


def seconds(milliseconds: float) -> float:
    """Return milliseconds as seconds."""
    return milliseconds / 1000


def _due(at: float) -> Due:
    return None if at == math.inf else int(at)


class Holder:
    """What one worker wants of a user.

    Attributes:
        until: When the worker counts as gone unless it has claimed or held before.
        life: The worker's life that said so; 0: it has to hold again.
        wishes: The presence timeout for each name.
    """

    __slots__ = ("life", "until", "wishes")

    def __init__(self, until: int, life: int, wishes: dict[str, int]) -> None:
        self.until: int = until
        self.life: int = life
        self.wishes: dict[str, int] = wishes


class Entry:
    """What is known about one name. Times are ``_NEVER`` if there is none.

    Attributes:
        beat: When the last acknowledged heartbeat was sent.
        timeout: The seconds it carried.
        said: The version of the state that the service was told last; -1 for none.
        beater: Who sent it.
        claimed: Until when somebody's heartbeat may be on its way.
        claimer: Whose.
        linger: When the name is to be left unless somebody holds it.
        leaving: Until when a leave may be on its way.
        leaver: Whose.
        version: Of the state that counts; -1 if there is none.
        author: Who set it.
        state: The state as JSON.
    """

    __slots__ = (
        "author",
        "beat",
        "beater",
        "claimed",
        "claimer",
        "leaver",
        "leaving",
        "linger",
        "said",
        "state",
        "timeout",
        "version",
    )

    def __init__(self) -> None:
        self.beat: int = _NEVER
        self.timeout: int = 0
        self.said: int = -1
        self.beater: str = ""
        self.claimed: int = _NEVER
        self.claimer: str = ""
        self.linger: int = _NEVER
        self.leaving: int = _NEVER
        self.leaver: str = ""
        self.version: int = -1
        self.author: str = ""
        self.state: str = ""

    def forget_heartbeat(self) -> None:
        """Know of no heartbeat: the name may have been left since."""
        self.beat = self.claimed = _NEVER
        self.claimer = ""

    def forget_leave(self) -> None:
        """Know of no leave."""
        self.leaving = self.linger = _NEVER
        self.leaver = ""

    def forget_state(self) -> None:
        """Know of no state."""
        self.version, self.author, self.state, self.said = -1, "", "", -1


class Record:
    """One user: who holds which names, and how each name stands.

    Attributes:
        holders: By worker.
        names: By name.
        expires: When nobody will miss the record any more.
    """

    __slots__ = ("expires", "holders", "names")

    def __init__(self) -> None:
        self.holders: dict[str, Holder] = {}
        self.names: dict[str, Entry] = {}
        self.expires: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known."""
        return not self.holders and not self.names

    # The operations.

    def hold(
        self, worker_id: str, life: int, holding: Holding, now: int
    ) -> tuple[Standing, ...]:
        """Let a worker hold names; whatever lingers is not left then."""
        for wish in holding.wishes:
            if wish.timeout_s:
                self._want(worker_id, life, wish)
            if wish.name in self.names:
                self._set_state(self.names[wish.name], worker_id, wish, now)
        if any(wish.timeout_s for wish in holding.wishes):
            self._renew(self.holders[worker_id], now)
        return tuple(
            self._standing(wish.name, worker_id, now)
            for wish in holding.wishes
            if wish.name in self.names
        )

    def claim(
        self, worker_id: str, life: int, claiming: Claiming, attempt_s: float, now: int
    ) -> Claimed:
        """Take the turn if any name is due, then for all names: one heartbeat has room.

        Whoever announced a name last has the turn whenever it asks. Others get it an
        interval later, unless a heartbeat may be on its way.
        """
        mine = self.holders.get(worker_id)
        if mine is None or mine.life != life:
            return UNKNOWN
        self._renew(mine, now)
        attempt, interval = ms(attempt_s), ms(claiming.interval_s)
        free = [
            self._free(name, worker_id, interval=interval, attempt=attempt, now=now)
            for name in mine.wishes
        ]
        is_due = min(free, default=now) <= now
        if is_due:
            for name in mine.wishes:
                entry = self.names[name]
                entry.claimed, entry.claimer = now + attempt, worker_id
        if is_due and not any(self._has_part(x, worker_id, now) for x in mine.wishes):
            return CALM
        names = tuple(self._standing(name, worker_id, now) for name in mine.wishes)
        if is_due:
            return Claimed(names=names)
        return Claimed(is_due=False, names=names, next_s=seconds(min(free) - now))

    def beaten(self, worker_id: str, beaten: Beaten, now: int) -> tuple[str, ...]:
        """Note an acknowledged heartbeat; return the names of which it said too little.

        Since it was sent another worker may have wanted a shorter timeout, or set a
        newer state.
        """
        sent, behind = now - ms(beaten.age_s), []
        versions = beaten.versions or (-1,) * len(beaten.names)
        for name, version in zip(beaten.names, versions, strict=True):
            entry = self.names.get(name)
            if entry is None:
                continue
            if entry.claimer == worker_id:
                entry.claimed, entry.claimer = _NEVER, ""
            if sent >= entry.beat or entry.beat > now:
                entry.beat, entry.timeout, entry.beater = (
                    sent,
                    beaten.timeout_s,
                    worker_id,
                )
                entry.said = version
            if self.others(name, "", now) and self._is_behind(name, entry, now):
                behind.append(name)
        return tuple(behind)

    def release(
        self,
        worker_id: str,
        release: Release,
        *,
        attempt_s: float,
        not_before: int,
        now: int,
    ) -> tuple[Released, Due]:
        """Let a worker hold names no longer, and say who has to be left.

        Args:
            worker_id: The worker.
            release: What it holds no longer.
            attempt_s: How long a leave may take.
            not_before: Nobody departs before that.
            now: The time.
        """
        is_known = worker_id in self.holders
        freed = self._unwant(worker_id, release)
        at = max(now + ms(min(release.linger_s, 1e9)), not_before)
        doubt = 0 if is_known else ms(release.doubt_s)
        if not_before > now:
            # All memory is lost, which every worker notices, and not this record alone.
            doubt = min(doubt, not_before - now + _COMING_FORWARD)
        doubted = max(at, now + doubt)
        leave, again = [], []
        for name in freed:
            self._withdraw(self.names.get(name), worker_id)
            if self.others(name, "", now):
                again += self._stay(
                    name, 0 if release.linger_s == math.inf else at, now
                )
            elif release.linger_s == math.inf:
                self.names.pop(name, None)
            elif self._goes(name, worker_id, at, doubted, ms(attempt_s), now):
                leave.append(name)
        due = self._next_look(ms(attempt_s), now)
        if again:
            # Until then it is said; if not, whoever looks then says it.
            due = min(due or now + ms(attempt_s), now + ms(attempt_s))
        self._keep_for(0 if due is None else max(due - now, 0), now)
        return Released(tuple(leave), tuple(again)), due

    def _stay(self, name: str, linger: int, now: int) -> list[Again]:
        """Let a name stay that others hold; return it if something else was said."""
        entry = self.names.get(name)
        if entry is None:
            return []
        if linger > now:
            # The others may all go before this one's time is over.
            entry.linger = max(entry.linger, linger)
        is_behind = entry.beat != _NEVER and self._is_behind(name, entry, now)
        return [self._again(name, entry, now)] if is_behind else []

    def _goes(  # noqa: PLR0917  # by name they would be twice as long
        self,
        name: str,
        worker_id: str,
        at: int,
        doubted: int,
        attempt: int,
        now: int,
    ) -> bool:
        """Let a name go that nobody holds; return whether it is to be left now."""
        entry = self.names.setdefault(name, Entry())
        # What lingers for somebody else is known here, and goes on to.
        ends = max(at, entry.linger) if entry.linger else doubted
        if ends > now:
            entry.linger = ends
            return False
        if not self._may_leave(entry, worker_id, seconds(attempt), now):
            return False
        entry.linger = now
        entry.leaving, entry.leaver = now + attempt, worker_id
        return True

    def depart(
        self, worker_id: str, attempt_s: float, now: int, *, is_last: bool
    ) -> tuple[Released, Due]:
        """Take the names whose time is up: nobody holds them, nobody leaves them.

        Names that are held, and of which the service was told something else than is
        wanted, are to be announced.
        """
        leave, again, due = [], [], math.inf
        for name, entry in list(self.names.items()):
            is_held = bool(self.others(name, "", now))
            if is_held and entry.beat != _NEVER and self._is_behind(name, entry, now):
                again.append(self._again(name, entry, now))
                due = min(due, now + ms(attempt_s))
            if entry.linger == _NEVER:
                continue
            if is_held:
                entry.linger = entry.linger if entry.linger > now else _NEVER
            elif entry.linger > now and not is_last:
                due = min(due, entry.linger)
            elif not self._may_leave(entry, "", attempt_s, now):
                due = min(due, entry.leaving)
            else:
                entry.leaving, entry.leaver = now + ms(attempt_s), worker_id
                due = min(due, entry.leaving)
                leave.append(name)
        return Released(tuple(leave), tuple(again)), _due(due)

    def departed(self, names: Iterable[str], now: int) -> tuple[tuple[Again, ...], Due]:
        """Note an acknowledged leave; return names that are held all the same.

        Channels may be members of a group: where groups are involved, leaving one name
        may have ended any other. Names that nobody was allowed to leave stay: the leave
        was sent when the register was away.
        """
        left = set(names)
        groups = any(name[0] == "," for name in (*left, *self.names))
        again = []
        for name, entry in list(self.names.items()):
            if self.others(name, "", now):
                if name in left:
                    entry.forget_leave()
                if name in left or groups:
                    entry.forget_heartbeat()
                    again.append(self._again(name, entry, now))
            elif name in left and entry.leaving != _NEVER:
                del self.names[name]
        lingering = [
            entry.linger
            for name, entry in self.names.items()
            if entry.linger != _NEVER and not self.others(name, "", now)
        ]
        return tuple(again), min(lingering, default=None)

    # What the operations share.

    def others(self, name: str, worker_id: str, now: int) -> int:
        """Return the shortest timeout that workers but this one want; 0: none does."""
        wanted = [
            holder.wishes[name]
            for id_, holder in self.holders.items()
            if id_ != worker_id and holder.until > now and name in holder.wishes
        ]
        return min(wanted, default=0)

    def _want(self, worker_id: str, life: int, wish: Wish) -> None:
        mine = self.holders.get(worker_id)
        if mine is None:
            mine = self.holders[worker_id] = Holder(0, life, {})
        mine.life = life
        mine.wishes[wish.name] = wish.timeout_s
        self.names.setdefault(wish.name, Entry()).linger = _NEVER

    def _unwant(self, worker_id: str, release: Release) -> list[str]:
        """Take names from a holder; return those of which it has to be seen to."""
        mine = self.holders.get(worker_id)
        if mine is None:
            return list(release.names)
        names = release.names or tuple(mine.wishes)
        held = [name for name in names if mine.wishes.pop(name, 0)]
        if not mine.wishes:
            del self.holders[worker_id]
        return held if release.linger_s else list(names)

    def _renew(self, mine: Holder, now: int) -> None:
        longest = ms(max(mine.wishes.values(), default=0))
        mine.until = now + _TIMEOUTS_HELD * longest
        self._keep_for(_TIMEOUTS_KEPT * longest, now)

    def _next_look(self, attempt: int, now: int) -> Due:
        """Return when the first of all names that linger may depart."""
        looks = [
            max(entry.linger, min(entry.leaving, now + attempt))
            for name, entry in self.names.items()
            if entry.linger != _NEVER and not self.others(name, "", now)
        ]
        return min(looks, default=None)

    def _keep_for(self, span: float, now: int) -> None:
        self.expires = max(self.expires, now + int(span) + _KEPT_LONGER)

    def _set_state(self, entry: Entry, worker_id: str, wish: Wish, now: int) -> None:
        if wish.state is None:
            return
        if wish.state == WITHDRAWN:
            self._withdraw(entry, worker_id)
            return
        version = now - ms(wish.state_age_s)
        if entry.author == worker_id or version == now:
            # Of states set just now the one that comes later counts.
            version = max(version, entry.version + 1)
        if version > entry.version:
            entry.version, entry.author, entry.state = version, worker_id, wish.state
            if wish.is_told:
                entry.said = version

    def _withdraw(self, entry: Entry | None, worker_id: str) -> None:
        """Forget a state; the others say theirs again when they hold again."""
        if entry is None or entry.author != worker_id:
            return
        entry.forget_state()
        for id_, holder in self.holders.items():
            if id_ != worker_id:
                holder.life = 0

    def _is_behind(self, name: str, entry: Entry, now: int) -> bool:
        """Return True if the service was told something else than is wanted now."""
        wanted = self.others(name, "", now)
        return entry.timeout != wanted or entry.said != entry.version

    def _has_part(self, name: str, worker_id: str, now: int) -> bool:
        """Return True if anybody else holds a name, or has set its state."""
        entry = self.names[name]
        is_others = entry.version != -1 and entry.author != worker_id
        return is_others or self.others(name, worker_id, now) > 0

    def _free(
        self, name: str, worker_id: str, *, interval: int, attempt: int, now: int
    ) -> int:
        """Return when it is a worker's turn to announce a name."""
        entry, due = self.names.setdefault(name, Entry()), now
        is_by_other = entry.beater != worker_id and _NEVER < entry.beat <= now
        if is_by_other and not self._is_behind(name, entry, now):
            half = ms(max(entry.timeout / 2 - 1, 0.5))
            due = entry.beat + min(interval, half)
        is_claimed = now < entry.claimed <= now + attempt
        if is_claimed and entry.claimer != worker_id:
            due = max(due, entry.claimed)
        return due

    def _may_leave(
        self, entry: Entry | None, worker_id: str, attempt_s: float, now: int
    ) -> bool:
        if entry is None or entry.leaver == worker_id:
            return True
        return not now < entry.leaving <= now + ms(attempt_s)

    def _standing(self, name: str, worker_id: str, now: int) -> Standing:
        entry = self.names[name]
        is_told = _NEVER < entry.beat <= now
        is_others = entry.version != -1 and entry.author != worker_id
        return Standing(
            name,
            age_s=seconds(now - entry.beat) if is_told else math.inf,
            said_timeout_s=entry.timeout if is_told else 0,
            others_timeout_s=self.others(name, worker_id, now),
            leaving_s=seconds(max(0, entry.leaving - now)),
            version=entry.version,
            state=entry.state if is_others else None,
        )

    def _again(self, name: str, entry: Entry, now: int) -> Again:
        state = entry.state if entry.version != -1 else None
        return Again(name, self.others(name, "", now), entry.version, state)
