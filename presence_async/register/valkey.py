"""ValkeyRegister: a register on a Valkey or Redis server, for many machines."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence

from . import script_replies as read
from .holders import UserHolders, user_holders
from .record import ms
from .server_commands import (
    Command,
    Keys,
    attend,
    call,
    keep,
    look_in,
    note_gone,
    note_held,
    number,
    opening,
    wanted,
)
from .server_departures import DEPARTING_AT_ONCE, ServerDepartures
from .server_link import ServerClient, ServerLink
from .values import (
    Again,
    Attendance,
    Beaten,
    Claimed,
    Claiming,
    Departing,
    Departures,
    Holding,
    Leaving,
    Name,
    Release,
    Released,
    Standing,
    Worker,
)

__all__ = ["ValkeyRegister"]


class ValkeyRegister:
    """A register on a Valkey or Redis server, or on a cluster of them.

    Valkey 7.2, Redis 6.2, or newer. The server keeps who is present where, and their
    state, but no token, secret key or signature. It should not evict keys: what is
    evicted is held again, but users of a worker that dies then may stay until they
    time out.

    Args:
        server: Its URL (``valkey://``, ``valkeys://``, ``redis://``, ``rediss://`` or
            ``unix://``), which needs ``presence-async[valkey]``; or a client of
            ``valkey.asyncio`` or ``redis.asyncio``, which you close yourself.
        namespace: What all its keys begin with. Registers share nothing across it.
        hand_over_s: Seconds in which the users of a client that closes may come back
            before they are left.
        crash_grace_s: Seconds in which the users of a client that died may come back;
            ``math.inf``: they are left to time out.
        clock: Returns the seconds of its clock; ``None``: the server's own time.

    Raises:
        InvalidArgumentError: The URL has another scheme.
    """

    engine: str = "valkey"

    def __init__(
        self,
        server: str | ServerClient,
        *,
        namespace: str = "presence",
        hand_over_s: float = 20,
        crash_grace_s: float = 10,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.hand_over_s: float = hand_over_s
        self.crash_grace_s: float = crash_grace_s
        self._namespace = namespace
        self._clock = clock
        self._link = ServerLink(server)
        self._keys: dict[str, Keys] = {}
        # Hold and release change two keys each, which must not cross.
        self._moving = asyncio.Lock()

    async def open(self) -> None:
        """Connect.

        Raises:
            ImportError: A URL needs ``presence-async[valkey]``.
            InvalidArgumentError: The URL is none.
            RegisterError: The server is away; each operation tries again.
        """
        if not self._link.is_open:
            # A lock belongs to an event loop, a register to one after another.
            self._moving = asyncio.Lock()
        await self._link.open(look_in(self._namespace))

    async def close(self) -> None:
        """Disconnect when the last client closes; a given one stays open."""
        await self._link.close()

    async def hold(
        self, worker: Worker, holdings: Sequence[Holding]
    ) -> Sequence[tuple[Standing, ...]]:
        """Be a holder of users."""
        keys, now = self._keys_of(worker), self._now()
        who = (now, worker.worker_id.encode(), worker.life)
        holders = [h.user_id for h in holdings if any(w.timeout_s for w in h.wishes)]
        async with self._moving:
            # First, since whoever is noted in vain costs only a look.
            await self._link.run(note_held(keys.held(worker.worker_id), holders))
            replies = await self._link.run([
                call("hold", keys.user(h.user_id), *who, *wanted(h.wishes))
                for h in holdings
            ])
        return list(map(read.standings, replies, holdings))

    async def claim(
        self, worker: Worker, claimings: Sequence[Claiming], attempt_s: float
    ) -> Sequence[Claimed]:
        """Ask whose turn it is, and take it."""
        user = self._keys_of(worker).user
        who = (self._now(), worker.worker_id.encode(), number(worker.life))
        attempt = number(ms(attempt_s))
        script = opening("claim")
        replies = await self._link.run([
            (*script, user(user_id), *who, number(ms(interval_s)), attempt)
            for user_id, interval_s in claimings
        ])
        return list(map(read.claimed, replies))

    async def beaten(
        self, worker: Worker, beats: Sequence[Beaten]
    ) -> Sequence[tuple[Name, ...]]:
        """Note acknowledged heartbeats."""
        user = self._keys_of(worker).user
        who = (self._now(), worker.worker_id.encode())
        script = opening("beaten")
        commands: list[Command] = []
        for user_id, names, timeout_s, age_s, versions in beats:
            said = number(timeout_s), number(ms(age_s)), number(len(names))
            about = (*script, user(user_id), *who, *said)
            commands.append((*about, *map(str.encode, names), *versions))
        replies = await self._link.run(commands)
        return list(map(read.texts, replies))

    async def release(
        self, worker: Worker, releases: Sequence[Release], attempt_s: float
    ) -> Sequence[Released]:
        """Hold names no longer."""
        if not releases:
            return []
        keys, now = self._keys_of(worker), self._now()
        async with self._moving:
            guard = call("guard", keys.hub, now, secrets.token_hex(4))
            [not_before] = await self._link.run([guard])
            owed, gone = await self._departures(worker, now).release(
                [(worker.worker_id, worker.life, release) for release in releases],
                (ms(attempt_s), read.integer(not_before)),
            )
            await self._link.run(note_gone(keys.held(worker.worker_id), gone))
        return owed

    async def depart(self, worker: Worker, attendance: Attendance) -> Departures:
        """Give a sign of life; see to the dead and to whoever has to depart."""
        keys, now = self._keys_of(worker), self._now()
        epoch, is_last = secrets.token_hex(4), int(attendance.is_last)
        due = call("due", keys.due, now, DEPARTING_AT_ONCE, is_last)
        look = [due, ("ZCARD", keys.due)]
        attended, users, lingering, *_ = await self._link.run([
            attend(keys, now, worker, attendance, epoch),
            *look,
            *keep(keys, worker.worker_id),
        ])
        began, is_new, workers, guard, at, dead = read.items(attended)
        not_before = read.integer(guard)
        steps = self._departures(worker, now)
        again: list[tuple[str, tuple[Again, ...]]] = []
        has_more = False
        if read.items(dead):
            limits = ms(attendance.attempt_s), not_before
            again, has_more = await steps.bury(dead, limits, self.crash_grace_s)
            users, lingering = await self._link.run(look)
        leaves: list[Leaving] = []
        if read.items(users) and read.integer(at) >= not_before:
            found = read.items(users)
            leaves, owed = await steps.departures(attendance, found)
            again += owed
            [lingering] = await self._link.run([("ZCARD", keys.due)])
            is_full = len(found) == 2 * DEPARTING_AT_ONCE
            has_more = has_more or (is_full and not attendance.is_last)
        return Departures(
            read.text(began),
            bool(is_new),
            read.integer(workers),
            read.integer(lingering),
            tuple(leaves),
            tuple(again),
            has_more,
        )

    async def departed(
        self, worker: Worker, leaves: Sequence[Departing]
    ) -> Sequence[tuple[Again, ...]]:
        """Note acknowledged leaves."""
        if not leaves:
            return []
        keys, now = self._keys_of(worker), self._now()
        user_ids = [leave.user_id for leave in leaves]
        [read_dues] = await self._link.run([call("dues", keys.due, now, *user_ids)])
        replies = await self._link.run([
            call("departed", keys.user(x), now, *names) for x, names in leaves
        ])
        dues = [read.items(reply)[0] for reply in replies]
        steps = self._departures(worker, now)
        await steps.put_off(user_ids, read.items(read_dues), dues)
        return [read.again(read.items(reply)[1:]) for reply in replies]

    async def holders(self, subscribe_key: str, user_id: str) -> UserHolders:
        """Say who holds a user, for people.

        Raises:
            RegisterError: The server is away.
        """
        keys, now = self._keys_of(Worker(subscribe_key, "")), self._now()
        looked, sat = await self._link.run([
            call("look", keys.user(user_id), now),
            call("seats", keys.hub, now),
        ])
        at, holders, names = read.items(looked)
        _, seats = read.items(sat)
        record, hub = read.record(holders, names), read.hub(seats)
        return user_holders(user_id, record, hub, read.integer(at))

    def _departures(self, worker: Worker, now: bytes) -> ServerDepartures:
        keys = self._keys_of(worker)
        return ServerDepartures(self._link, keys, worker.worker_id, now)

    def _keys_of(self, worker: Worker) -> Keys:
        keys = self._keys.get(worker.subscribe_key)
        if keys is None:
            keys = Keys.of(self._namespace, worker.subscribe_key)
            self._keys[worker.subscribe_key] = keys
        return keys

    def _now(self) -> bytes:
        return b"" if self._clock is None else number(ms(self._clock()))
