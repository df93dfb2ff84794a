"""What a register knows about one user. Pure.

``holding`` and ``leaving`` have the rules. Times are whole milliseconds of the
register's clock. A time that lies further ahead than it ever can is void, since clocks
are set back now and then.
"""

from __future__ import annotations

import math
from typing import Final

from .values import (
    WITHDRAWN,
    Again,
    Standing,
    Wish,
)

__all__ = ["NEVER", "Due", "Entry", "Holder", "Record", "ms", "seconds"]

Due = int | None
"""When a departure has to be looked at; ``None``: there is none."""

NEVER: Final = 0
_TIMEOUTS_HELD = 2
_TIMEOUTS_KEPT = 4
_KEPT_LONGER = 60_000


def ms(seconds_: float) -> int:
    """Return seconds as whole milliseconds."""
    return round(seconds_ * 1000)


def seconds(milliseconds: float) -> float:
    """Return milliseconds as seconds."""
    return milliseconds / 1000


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
    """What is known about one name. Times are ``NEVER`` if there is none.

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
        self.beat: int = NEVER
        self.timeout: int = 0
        self.said: int = -1
        self.beater: str = ""
        self.claimed: int = NEVER
        self.claimer: str = ""
        self.linger: int = NEVER
        self.leaving: int = NEVER
        self.leaver: str = ""
        self.version: int = -1
        self.author: str = ""
        self.state: str = ""

    def forget_heartbeat(self) -> None:
        """Know of no heartbeat: the name may have been left since."""
        self.beat = self.claimed = NEVER
        self.claimer = ""

    def forget_leave(self) -> None:
        """Know of no leave."""
        self.leaving = self.linger = NEVER
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

    def others(self, name: str, worker_id: str, now: int) -> int:
        """Return the shortest timeout that workers but this one want; 0: none does."""
        wanted = [
            holder.wishes[name]
            for id_, holder in self.holders.items()
            if id_ != worker_id and holder.until > now and name in holder.wishes
        ]
        return min(wanted, default=0)

    def want(self, worker_id: str, life: int, wish: Wish) -> None:
        """Let a worker hold one name."""
        mine = self.holders.get(worker_id)
        if mine is None:
            mine = self.holders[worker_id] = Holder(0, life, {})
        mine.life = life
        mine.wishes[wish.name] = wish.timeout_s
        self.names.setdefault(wish.name, Entry()).linger = NEVER

    def renew(self, mine: Holder, now: int) -> None:
        """Count a worker as a holder from now on."""
        longest = ms(max(mine.wishes.values(), default=0))
        mine.until = now + _TIMEOUTS_HELD * longest
        self.keep_for(_TIMEOUTS_KEPT * longest, now)

    def keep_for(self, span: float, now: int) -> None:
        """Let the record not expire before that."""
        self.expires = max(self.expires, now + int(span) + _KEPT_LONGER)

    def set_state(self, entry: Entry, worker_id: str, wish: Wish, now: int) -> None:
        """Note a state, if it is newer than what is known."""
        if wish.state is None:
            return
        if wish.state == WITHDRAWN:
            self.withdraw(entry, worker_id)
            return
        version = now - ms(wish.state_age_s)
        if entry.author == worker_id or version == now:
            # Of states set just now the one that comes later counts.
            version = max(version, entry.version + 1)
        if version > entry.version:
            entry.version, entry.author, entry.state = version, worker_id, wish.state
            if wish.is_told:
                entry.said = version

    def withdraw(self, entry: Entry | None, worker_id: str) -> None:
        """Forget a state; the others say theirs again when they hold again."""
        if entry is None or entry.author != worker_id:
            return
        entry.forget_state()
        for id_, holder in self.holders.items():
            if id_ != worker_id:
                holder.life = 0

    def is_behind(self, name: str, entry: Entry, now: int) -> bool:
        """Return True if the service was told something else than is wanted now."""
        wanted = self.others(name, "", now)
        return entry.timeout != wanted or entry.said != entry.version

    def may_leave(
        self, entry: Entry | None, worker_id: str, attempt_s: float, now: int
    ) -> bool:
        """Return True if no other worker's leave of a name may be on its way."""
        if entry is None or entry.leaver == worker_id:
            return True
        return not now < entry.leaving <= now + ms(attempt_s)

    def standing(self, name: str, worker_id: str, now: int) -> Standing:
        """Return how a name stands, as a worker is told."""
        entry = self.names[name]
        is_told = NEVER < entry.beat <= now
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

    def again(self, name: str, entry: Entry, now: int) -> Again:
        """Return what is to be announced on behalf of a name's holders."""
        state = entry.state if entry.version != -1 else None
        return Again(name, self.others(name, "", now), entry.version, state)
