"""Releases and departures on a server, which change more than one key.

Each step is safe to be the last one: a record is written before the calendar of
departures, and that before whom a worker holds. What is left over then is looked at in
vain, at worst.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from . import script_replies as read
from .record import ms
from .script_replies import Reply
from .server_commands import Argument, Keys, call, note_gone, spans
from .server_link import ServerLink
from .values import Again, Attendance, Leaving, Release, Released

__all__ = ["DEPARTING_AT_ONCE", "ServerDepartures"]

_RELEASED_AT_ONCE = 500
DEPARTING_AT_ONCE = 200


class ServerDepartures(NamedTuple):
    """The steps of one operation of one worker.

    Attributes:
        link: The way to the server.
        keys: The keys of the subscribe key.
        worker_id: The worker.
        now: The time for scripts; empty: the server's own.
    """

    link: ServerLink
    keys: Keys
    worker_id: str
    now: bytes

    async def release(
        self,
        releases: Sequence[tuple[str, int, Release]],
        limits: tuple[int, int],
    ) -> tuple[list[Released], list[str]]:
        """Release users of workers; return what is owed, and who is held no longer."""
        commands = []
        for worker_id, life, release in releases:
            key, who = self.keys.user(release.user_id), (worker_id, life)
            limited = (*who, *spans(release), *limits)
            names = release.names
            commands.append(call("release", key, self.now, *limited, *names))
        replies = await self.link.run(commands)
        owed, dues, gone = [], list[Argument](), []
        for (_, _, release), reply in zip(releases, replies, strict=True):
            owes, due, is_held = read.released(reply)
            owed.append(owes)
            if due >= 0:
                dues += release.user_id, due
            if not is_held:
                gone.append(release.user_id)
        if dues:
            await self.link.run([call("advance", self.keys.due, self.now, *dues)])
        return owed, gone

    async def bury(
        self,
        dead: Reply,
        limits: tuple[int, int],
        crash_grace_s: float,
    ) -> tuple[list[tuple[str, tuple[Again, ...]]], bool]:
        """Release the users of dead workers, some at a time."""
        lives = {read.text(x): read.integer(y) for x, y in read.pairs(dead)}
        held = await self.link.run([
            ("SRANDMEMBER", self.keys.held(x), _RELEASED_AT_ONCE) for x in lives
        ])
        users = dict(zip(lives, map(read.texts, held), strict=True))
        releases = [
            (dead_id, lives[dead_id], Release(user_id, (), crash_grace_s))
            for dead_id, user_ids in users.items()
            for user_id in user_ids
        ]
        owed, _ = await self.release(releases, limits)
        for dead_id, user_ids in users.items():
            await self.link.run(note_gone(self.keys.held(dead_id), user_ids))
        buried = [x for x in users if len(users[x]) < _RELEASED_AT_ONCE]
        await self.link.run([
            call("buried", self.keys.hub, self.now, self.worker_id, *buried)
        ])
        again = [
            (release.user_id, owes.again)
            for (_, _, release), owes in zip(releases, owed, strict=True)
            if owes.again
        ]
        return again, len(buried) < len(users)

    async def departures(
        self,
        attendance: Attendance,
        users: Sequence[Reply],
    ) -> tuple[list[Leaving], list[tuple[str, tuple[Again, ...]]]]:
        """Look at users whose time has come; return who is to be left or announced."""
        user_ids, read_dues = list(map(read.text, users[::2])), users[1::2]
        attempt, is_last = ms(attendance.attempt_s), int(attendance.is_last)
        replies = await self.link.run([
            call(
                "depart", self.keys.user(x), self.now, self.worker_id, attempt, is_last
            )
            for x in user_ids
        ])
        dues, leaves, owed = zip(*map(read.items, replies), strict=True)
        await self.put_off(user_ids, read_dues, dues)
        names, again = map(read.texts, leaves), map(read.again, map(read.items, owed))
        return (
            [Leaving(x, y) for x, y in zip(user_ids, names, strict=True) if y],
            [(x, y) for x, y in zip(user_ids, again, strict=True) if y],
        )

    async def put_off(
        self,
        user_ids: Sequence[str],
        read_dues: Sequence[Reply],
        dues: Sequence[Reply],
    ) -> None:
        """Note when to look at users again, unless somebody has done so meanwhile."""
        rows = zip(
            user_ids, map(read.text, read_dues), map(read.integer, dues), strict=True
        )
        flat = [part for row in rows for part in row]
        await self.link.run([call("put_off", self.keys.due, self.now, *flat)])
