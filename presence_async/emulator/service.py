"""The service without sockets: from a request to its effect and its reply. Pure.

``server`` puts it behind HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from typing import Any

import attrs

from ..checks import number
from ..deadlines import DueHeap
from ..protocol.exchange import HttpReply, HttpRequest, Operation
from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.here_now import HereNowOperation
from ..protocol.json_codec import Json
from ..protocol.subscribe import SubscribeOperation
from . import refusals
from .event_faults import EventFaults
from .faults import Faults
from .grant import Grant
from .journal import Journal
from .keyset import Keyset
from .last_connections import LastConnections, Subscriber
from .message_log import Timetokens
from .occupancy import OccupancyChange
from .options import Options
from .pending_poll import PendingPoll
from .pending_reply import PendingReply, entry_of, faulty_reply
from .profile import EmulatorProfile
from .reply_cache import PER_ATTEMPT, ReplyCache
from .request_guard import RequestGuard
from .router import ROUTES

__all__ = ["RESTART_SHIFT_S", "Service"]

RESTART_SHIFT_S = -3600.0
"""Default shift of timetokens against the clock after a restart, in seconds."""

_LONGEST_JUMP_S = 366 * 86_400


class Service:
    """Every subscribe key, the tokens, the faults and the journal.

    Args:
        options: How the service behaves.
        clock: Returns Unix time in seconds.

    Attributes:
        jumped_s: The seconds by which ``now_s`` is ahead of the event loop's time,
            because ``advance`` was called.
    """

    def __init__(self, options: Options, *, clock: Callable[[], float]) -> None:
        self.jumped_s: float = 0.0
        self.journal: Journal = Journal(options.journal_size)
        self.faults: Faults = Faults()
        self.event_faults: EventFaults = EventFaults()
        self._options = options
        self._guard = RequestGuard(options, clock=clock)
        self._caches = {
            # The harsher choice: a cache that compares ``requestid`` never hits.
            HereNowOperation.name: ReplyCache(
                options.profile.here_now_cache_s, ignored=PER_ATTEMPT
            ),
            HeartbeatOperation.name: ReplyCache(options.profile.heartbeat_cache_s),
        }
        self._clock = clock
        self._connections = LastConnections()
        self._timetokens = Timetokens()
        self._keysets: dict[str, Keyset] = {}
        self._due: DueHeap[str] = DueHeap()

    def keyset(self, subscribe_key: str) -> Keyset:
        """Return the state of a subscribe key, which is created if need be."""
        keyset = self._keysets.get(subscribe_key)
        if keyset is None:
            keyset = Keyset(
                subscribe_key,
                self._options,
                timetokens=self._timetokens,
                clock=self._clock,
                delays_s=partial(self.event_faults.delays_s, subscribe_key),
            )
            self._keysets[subscribe_key] = keyset
        return keyset

    @property
    def profile(self) -> EmulatorProfile:
        """The keyset that it is, access control as ``grant`` has left it."""
        is_on = self._guard.access.is_on
        return attrs.evolve(self._options.profile, access_manager=is_on)

    def subscribe_keys(self) -> tuple[str, ...]:
        """Return the keys that have been used, in this order."""
        return tuple(self._keysets)

    def advance(self, seconds: float, *, now_s: float) -> None:
        """Jump ahead: what would be due within that time is due now.

        Raises:
            InvalidArgumentError: Not a number above 0, or more than a year.
        """
        self.jumped_s += number(seconds, "seconds", above=0, most=_LONGEST_JUMP_S)
        self.expire(now_s + seconds)

    def kick(
        self, subscribe_key: str, user_id: str, channel: str | None, *, now_s: float
    ) -> tuple[str, ...]:
        """Time a user out now, on a channel or on all; return on which."""
        keyset = self.keyset(subscribe_key)
        self.expire(now_s)
        channels = keyset.kick(user_id, channel, now_s)
        self._due.put(subscribe_key, keyset.next_due_s())
        return channels

    def unix_s(self) -> float:
        """Return Unix time in seconds, which ``advance`` leaves alone."""
        return self._clock()

    def grant(self, token: str, grants: Iterable[Grant], *, now_s: float) -> None:
        """Give a token rights; the first one turns access control on."""
        self._guard.access.grant(token, grants, now_s=now_s)

    def revoke(self, token: str) -> None:
        """Refuse a token from now on."""
        self._guard.access.revoke(token)

    def occupants(
        self, subscribe_key: str, channel: str, *, now_s: float
    ) -> Mapping[str, Mapping[str, Json]]:
        """Return the state of each user present on a channel, ``{}`` for none."""
        keyset = self.keyset(subscribe_key)
        self.expire(now_s)
        return keyset.occupancy.occupants(channel)

    def events(
        self, subscribe_key: str, channel: str | None, *, now_s: float
    ) -> tuple[OccupancyChange, ...]:
        """Return what happened on a channel, or on every one, oldest first."""
        keyset = self.keyset(subscribe_key)
        self.expire(now_s)
        return tuple([e for e in keyset.events if channel in {None, e.channel}])

    def reset(self, subscribe_key: str | None) -> None:
        """Forget a key or all, the faults, the journal, cached replies, new tokens.

        Open polls end without messages.
        """
        keys = list(self._keysets) if subscribe_key is None else [subscribe_key]
        for key in keys:
            forgotten = self._keysets.pop(key, None)
            self._due.discard(key)
            self._connections.forget(key)
            if forgotten is not None:
                forgotten.feed.finish_polls("answer")
        self.faults.clear()
        self.event_faults.clear()
        self.journal.clear()
        self._guard.access.reset()
        for cache in self._caches.values():
            cache.clear()

    def restart_timetokens(self, shift_s: float) -> None:
        """Shift timetokens from now on; cut every poll, lose every message.

        Raises:
            InvalidArgumentError: The shift is not a finite number.
        """
        number(shift_s, "shift_s")
        self._timetokens.restart(shift_s)
        for keyset in self._keysets.values():
            keyset.feed.finish_polls("cut")
            keyset.feed.lose_messages()

    def lose_messages(self, subscribe_key: str | None) -> None:
        """Lose the messages that no poll has fetched yet, of a key or of all."""
        for key, keyset in self._keysets.items():
            if subscribe_key in {None, key}:
                keyset.feed.lose_messages()

    def next_deadline_s(self) -> float:
        """Return when the next timeout or event of any key is due."""
        return self._due.next_due_s

    def expire(self, now_s: float) -> None:
        """Apply every timeout that is due, and send every event."""
        while (key := self._due.pop_due(now_s)) is not None:
            keyset = self._keysets[key]
            keyset.expire(now_s)
            self._due.put(key, keyset.next_due_s())

    def receive(
        self, request: HttpRequest, *, method: str = "GET", now_s: float
    ) -> PendingReply:
        """Record a request and parse it; nothing takes effect yet."""
        operation, refusal = self._guard.check(request, method=method, now_s=now_s)
        entry = entry_of(request, method, operation, now_s)
        self.journal.add(entry)
        fault = self.faults.strike(entry.operation, entry.subscribe_key, now_s=now_s)
        return PendingReply(
            request=request,
            entry=entry,
            operation=operation,
            refusal=refusal,
            fault=fault,
        )

    def reply(
        self,
        pending: PendingReply,
        *,
        now_s: float,
        connection: Hashable | None = None,
    ) -> HttpReply | PendingPoll:
        """Apply a request, unless a fault or refusal prevents it, and return its reply.

        A poll without messages is returned instead of a reply; ``answer`` ends it.

        Args:
            pending: The request.
            now_s: The time.
            connection: What it came over, for ``disconnect``; ``None``: it is gone.
        """
        fault = pending.fault
        if fault is not None and fault.prevents_effect:
            return faulty_reply(fault)
        reply = self._reply(pending, now_s)
        if connection is not None and pending.refusal is None:
            self._note(pending.operation, connection)
        if fault is not None and fault.replaces_answer:
            if isinstance(reply, PendingPoll):
                self.drop(reply)
            return faulty_reply(fault)
        return reply

    def _reply(self, pending: PendingReply, now_s: float) -> HttpReply | PendingPoll:
        if pending.refusal is not None:
            return pending.refusal
        if pending.operation is None:
            return refusals.bad_request("Bad Request")
        return self._perform(pending.request, pending.operation, now_s)

    def _perform(
        self, request: HttpRequest, operation: Operation[Any], now_s: float
    ) -> HttpReply | PendingPoll:
        self.expire(now_s)
        cache = self._caches.get(operation.name)
        if cache is not None and (kept := cache.get(request, now_s=now_s)):
            return kept
        keyset = self.keyset(operation.subscribe_key)
        value = ROUTES[type(operation)](keyset, operation, now_s)
        self._due.put(operation.subscribe_key, keyset.next_due_s())
        if isinstance(value, (PendingPoll, HttpReply)):
            return value
        reply = operation.to_reply(value)
        if cache is not None:
            cache.put(request, reply, now_s=now_s)
        return reply

    def answer(self, poll: PendingPoll, *, now_s: float) -> HttpReply:
        """End a poll and return its reply."""
        self.expire(now_s)
        key = poll.operation.subscribe_key
        keyset = self.keyset(key)
        delivery = keyset.answer(poll, now_s)
        self._due.put(key, keyset.next_due_s())
        return poll.operation.to_reply(delivery)

    def _note(self, operation: Operation[Any] | None, connection: Hashable) -> None:
        is_watched = self._options.profile.leave_on_disconnect
        if is_watched and isinstance(operation, SubscribeOperation):
            key = operation.subscribe_key
            channels = self.keyset(key).subscribed(operation)
            self._connections.note(
                [Subscriber(key, operation.user_id, name) for name in channels],
                connection,
            )

    def disconnect(self, connection: Hashable, *, now_s: float) -> None:
        """Let those leave whose last subscribe came over a connection that has ended.

        Only with ``leave_on_disconnect``.
        """
        self.expire(now_s)
        for left in self._connections.end(connection):
            keyset = self.keyset(left.subscribe_key)
            keyset.disconnect(left.user_id, left.channel, now_s)
            self._due.put(left.subscribe_key, keyset.next_due_s())

    def drop(self, poll: PendingPoll) -> None:
        """Forget a poll whose client has hung up."""
        self.keyset(poll.operation.subscribe_key).feed.close(poll)
