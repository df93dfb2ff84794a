"""The service without its sockets: from a request to the reply and its effect.

Pure but for what it keeps; ``server`` puts it behind HTTP.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from ..errors import InvalidArgumentError
from ..protocol.encoding import split_list
from ..protocol.exchange import HttpReply, HttpRequest, Operation
from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.here_now import HereNowOperation
from ..protocol.json_codec import Json
from . import checks, refusals
from .access import Grant
from .cache import PER_ATTEMPT, ReplyCache
from .deadlines import Deadlines
from .entrance import TIME_PATH, Entrance
from .event_faults import EventFaults
from .faults import Fault, Faults
from .journal import Journal, JournalEntry
from .keyset import Keyset
from .message_log import Timetokens
from .occupancy import OccupancyChange
from .options import Options
from .polls import Poll
from .router import ROUTES, TIME

__all__ = ["RESTART_SHIFT_S", "Exchange", "Service"]

RESTART_SHIFT_S = -3600.0
"""How far timetokens are off the clock after a restart, if nothing else is said."""


class Service:
    """Every subscribe key, the tokens, the faults and the journal.

    Args:
        options: How it behaves.
        clock: Unix time in seconds.
    """

    def __init__(self, options: Options, *, clock: Callable[[], float]) -> None:
        self.journal: Journal = Journal(options.journal_size)
        self.faults: Faults = Faults()
        self.event_faults: EventFaults = EventFaults()
        self._options = options
        self._entrance = Entrance(options, clock=clock)
        self._caches = {
            # The harsher choice: a key with ``requestid`` would never match.
            HereNowOperation.name: ReplyCache(
                options.here_now_cache_s, ignored=PER_ATTEMPT
            ),
            HeartbeatOperation.name: ReplyCache(options.heartbeat_cache_s),
        }
        self._clock = clock
        self._timetokens = Timetokens()
        self._keysets: dict[str, Keyset] = {}
        self._deadlines = Deadlines()

    def keyset(self, subscribe_key: str) -> Keyset:
        """Return what is known under a subscribe key."""
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

    def grant(self, token: str, grants: Iterable[Grant], *, now_s: float) -> None:
        """Give a token rights; the first one turns access control on."""
        self._entrance.access.grant(token, grants, now_s=now_s)

    def revoke(self, token: str) -> None:
        """Take a token out of force."""
        self._entrance.access.revoke(token)

    def occupants(
        self, subscribe_key: str, channel: str, *, now_s: float
    ) -> Mapping[str, Mapping[str, Json]]:
        """Return the state of each user present on a channel, ``{}`` for none."""
        keyset = self.keyset(subscribe_key)
        self.expire(now_s)
        return keyset.occupancy.occupants(channel)

    def events(
        self, subscribe_key: str, channel: str, *, now_s: float
    ) -> tuple[OccupancyChange, ...]:
        """Return what happened on a channel, oldest first."""
        keyset = self.keyset(subscribe_key)
        self.expire(now_s)
        return tuple([event for event in keyset.events if event.channel == channel])

    def reset(self, subscribe_key: str | None) -> None:
        """Forget a key or all, the faults, the journal, cached replies, new tokens.

        Polls that are open end without news.
        """
        keys = list(self._keysets) if subscribe_key is None else [subscribe_key]
        for key in keys:
            forgotten = self._keysets.pop(key, None)
            self._deadlines.set(key, math.inf)
            if forgotten is not None:
                forgotten.feed.finish_polls("answer")
        self.faults.clear()
        self.event_faults.clear()
        self.journal.clear()
        self._entrance.access.reset()
        for cache in self._caches.values():
            cache.clear()

    def restart_timetokens(self, shift_s: float) -> None:
        """Give other timetokens from now on; cut every poll, lose every message.

        Raises:
            InvalidArgumentError: The shift is no finite number.
        """
        checks.finite("shift_s", shift_s)
        self._timetokens.restart(shift_s)
        for keyset in self._keysets.values():
            keyset.feed.finish_polls("cut")
            keyset.feed.lose_messages()

    def lose_messages(self, subscribe_key: str | None) -> None:
        """Lose what no poll has fetched yet, of a key or of all."""
        for key, keyset in self._keysets.items():
            if subscribe_key in {None, key}:
                keyset.feed.lose_messages()

    def next_deadline_s(self) -> float:
        """Return when something happens by itself under any key."""
        return self._deadlines.next_s()

    def expire(self, now_s: float) -> None:
        """Let everything happen that is due."""
        while (key := self._deadlines.first_due(now_s)) is not None:
            keyset = self._keysets[key]
            keyset.expire(now_s)
            self._deadlines.set(key, keyset.next_due_s())

    def receive(
        self, request: HttpRequest, *, method: str = "GET", now_s: float
    ) -> Exchange:
        """Note a request and find out what it asks for; nothing takes effect yet."""
        operation, refusal = self._entrance.understood(
            request, method=method, now_s=now_s
        )
        entry = _entry(request, method, operation, now_s)
        self.journal.add(entry)
        fault = self.faults.strike(entry.operation, entry.subscribe_key, now_s=now_s)
        return Exchange(
            self,
            request,
            operation=operation,
            refusal=refusal,
            fault=fault,
            entry=entry,
        )

    def perform(
        self, request: HttpRequest, operation: Operation[Any], *, now_s: float
    ) -> HttpReply | Poll:
        """Let an operation take effect and say the reply, or return what waits."""
        self.expire(now_s)
        cache = self._caches.get(operation.name)
        if cache is not None and (kept := cache.get(request, now_s=now_s)):
            return kept
        keyset = self.keyset(operation.subscribe_key)
        value = ROUTES[type(operation)](keyset, operation, now_s)
        self._deadlines.set(operation.subscribe_key, keyset.next_due_s())
        if isinstance(value, Poll):
            return value
        reply = operation.to_reply(value)
        if cache is not None:
            cache.put(request, reply, now_s=now_s)
        return reply

    def answer(self, poll: Poll, *, now_s: float) -> HttpReply:
        """End a poll and say the reply."""
        self.expire(now_s)
        key = poll.operation.subscribe_key
        keyset = self.keyset(key)
        delivery = keyset.answer(poll, now_s)
        self._deadlines.set(key, keyset.next_due_s())
        return poll.operation.to_reply(delivery)

    def drop(self, poll: Poll) -> None:
        """Forget a poll whose client is gone."""
        self.keyset(poll.operation.subscribe_key).feed.close(poll)


class Exchange:
    """One request on its way to a reply.

    Attributes:
        fault: What goes wrong with it, or ``None``.
    """

    def __init__(
        self,
        service: Service,
        request: HttpRequest,
        *,
        operation: Operation[Any] | None,
        refusal: HttpReply | None,
        fault: Fault | None,
        entry: JournalEntry,
    ) -> None:
        self._service = service
        self._request = request
        self._operation = operation
        self._refusal = refusal
        self._entry = entry
        self.fault = fault

    def reply(self, *, now_s: float) -> HttpReply | Poll:
        """Let it take effect, unless a fault or refusal prevents that; and answer.

        A poll is what waits until there is something to answer.
        """
        fault = self.fault
        if fault is not None and fault.prevents_effect:
            return _faulty(fault)
        reply = self._reply(now_s)
        if fault is not None and fault.replaces_answer:
            if isinstance(reply, Poll):
                self._service.drop(reply)
            return _faulty(fault)
        return reply

    def finish(self, reply: HttpReply | None) -> None:
        """Record in the journal what was answered; ``None``: nothing, and never."""
        self._entry.status = "cut" if reply is None else reply.status

    def _reply(self, now_s: float) -> HttpReply | Poll:
        if self._refusal is not None:
            return self._refusal
        if self._operation is None:
            return refusals.bad_request("Bad Request")
        return self._service.perform(self._request, self._operation, now_s=now_s)


def _faulty(fault: Fault) -> HttpReply:
    status = 200 if fault.status is None else fault.status
    reply = refusals.injected(status)
    if fault.body is not None:
        reply = refusals.raw(fault.body, status=status)
    return refusals.with_headers(
        reply, retry_after=fault.retry_after_s, age=fault.age_s
    )


def _entry(
    request: HttpRequest, method: str, operation: Operation[Any] | None, now_s: float
) -> JournalEntry:
    try:
        params = request.params()
    except InvalidArgumentError:
        params = {}
    name = operation.name if operation is not None else ""
    return JournalEntry(
        at_s=now_s,
        method=method,
        operation=TIME if request.path == TIME_PATH else name,
        subscribe_key=operation.subscribe_key if operation is not None else "",
        path=request.path,
        query=request.query,
        params=params,
        user_id=params.get("uuid"),
        channels=getattr(operation, "channels", ()),
        channel_groups=split_list(params.get("channel-group", "")),
    )
