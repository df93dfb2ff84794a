"""The service without its sockets: from a request to the reply and its effect.

Pure but for what it keeps; ``server`` puts it behind HTTP.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from ..errors import InvalidArgumentError
from ..protocol.encoding import split_list
from ..protocol.exchange import HttpReply, HttpRequest, Operation
from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.here_now import HereNowOperation
from . import refusals
from .access import AccessManager, Grant
from .cache import ReplyCache
from .faults import Fault, Faults
from .journal import Journal, JournalEntry
from .keyset import Keyset
from .options import Options
from .rate_limit import RateLimit
from .router import ROUTES, TIME, operation_kind
from .signatures import unsigned

__all__ = ["Exchange", "Service"]

_MAX_REQUEST_BYTES = 32 * 1024
_TIMETOKENS_PER_S = 10_000_000
_TIME_PATH = "/time/0"
_REGISTRY = "/v1/channel-registration/"


class Service:
    """Every subscribe key, the tokens, the faults and the journal.

    Args:
        options: How it behaves.
        clock: Unix time in seconds.
    """

    def __init__(self, options: Options, *, clock: Callable[[], float]) -> None:
        self.journal = Journal(options.journal_size)
        self.faults = Faults()
        self._options = options
        self._access = AccessManager(
            options.access, leave_needs_read=options.leave_needs_read
        )
        self._rate_limit = RateLimit(options.max_requests_per_s)
        self._caches = {
            HereNowOperation.name: ReplyCache(options.here_now_cache_s),
            HeartbeatOperation.name: ReplyCache(options.heartbeat_cache_s),
        }
        self._clock = clock
        self._keysets: dict[str, Keyset] = {}

    def keyset(self, subscribe_key: str) -> Keyset:
        """Return what is known under a subscribe key."""
        keyset = self._keysets.get(subscribe_key)
        if keyset is None:
            keyset = Keyset(min_presence_timeout_s=self._options.min_presence_timeout_s)
            self._keysets[subscribe_key] = keyset
        return keyset

    def grant(self, token: str, grants: Iterable[Grant], *, now_s: float) -> None:
        """Give a token rights; the first one turns access control on."""
        self._access.grant(token, grants, now_s=now_s)

    def revoke(self, token: str) -> None:
        """Take a token out of force."""
        self._access.revoke(token)

    def reset(self, subscribe_key: str) -> None:
        """Forget a key, the faults, the journal, cached replies and changed tokens."""
        self._keysets.pop(subscribe_key, None)
        self.faults.clear()
        self.journal.clear()
        self._access.reset()
        for cache in self._caches.values():
            cache.clear()

    def next_deadline_s(self) -> float:
        """Return when the next user of any key times out."""
        return min(
            (keyset.occupancy.next_deadline_s() for keyset in self._keysets.values()),
            default=math.inf,
        )

    def expire(self, now_s: float) -> None:
        """Let those go whose time is up."""
        for keyset in self._keysets.values():
            keyset.expire(now_s)

    def receive(self, request: HttpRequest, *, now_s: float) -> Exchange:
        """Note a request and find out what it asks for; nothing takes effect yet."""
        operation, refusal = self._understood(request, now_s)
        entry = _entry(request, operation, now_s)
        self.journal.add(entry)
        fault = self.faults.strike(entry.operation, entry.subscribe_key, now_s=now_s)
        return Exchange(self, request, operation, refusal, fault)

    def perform(
        self, request: HttpRequest, operation: Operation[Any], *, now_s: float
    ) -> HttpReply:
        """Let an operation take effect and say the reply."""
        self.expire(now_s)
        cache = self._caches.get(operation.name)
        if cache is not None and (kept := cache.get(request.target, now_s=now_s)):
            return kept
        keyset = self.keyset(operation.subscribe_key)
        value = ROUTES[type(operation)](keyset, operation, now_s)
        reply = operation.to_reply(value)
        if cache is not None:
            cache.put(request.target, reply, now_s=now_s)
        return reply

    def _understood(
        self, request: HttpRequest, now_s: float
    ) -> tuple[Operation[Any] | None, HttpReply | None]:
        """Return what is asked for, and the answer if it takes none of our state."""
        if len(request.path) + len(request.query) > _MAX_REQUEST_BYTES:
            return None, refusals.too_long()
        if wait_s := self._rate_limit.wait_s(now_s):
            return None, _with_headers(refusals.too_many_requests(), retry_after=wait_s)
        if request.path == _TIME_PATH:
            timetoken = int(self._clock() * _TIMETOKENS_PER_S)
            return None, refusals.raw(b"[%d]" % timetoken)
        kind = operation_kind(request)
        if kind is None:
            return None, refusals.not_found(request.path)
        try:
            operation = kind.from_request(request)
            return operation, self._denied(operation, request, now_s)
        except InvalidArgumentError as error:
            return None, _misunderstood(request, error)

    def _denied(
        self, operation: Operation[Any], request: HttpRequest, now_s: float
    ) -> HttpReply | None:
        """Refuse a request for its key, its signature or its token."""
        keys, secret_key = self._options.subscribe_keys, self._options.secret_key
        if keys is not None and operation.subscribe_key not in keys:
            return refusals.access_denied(400, "Invalid Subscribe Key")
        if secret_key is not None and (
            refusal := unsigned(
                request,
                publish_key=self._options.publish_key,
                secret_key=secret_key,
                unix_s=self._clock(),
            )
        ):
            return refusal
        params = request.params()
        group = getattr(operation, "group", None)
        return self._access.refusal(
            operation.name,
            # What is added to a group is not read: the right is the group's.
            getattr(operation, "channels", ()) if group is None else (),
            getattr(operation, "channel_groups", () if group is None else (group,)),
            token=params.get("auth"),
            user_id=params.get("uuid"),
            now_s=now_s,
        )


class Exchange:
    """One request on its way to a reply.

    Attributes:
        fault: What goes wrong with it, or ``None``.
    """

    def __init__(
        self,
        service: Service,
        request: HttpRequest,
        operation: Operation[Any] | None,
        refusal: HttpReply | None,
        fault: Fault | None,
    ) -> None:
        self._service = service
        self._request = request
        self._operation = operation
        self._refusal = refusal
        self.fault = fault

    def reply(self, *, now_s: float) -> HttpReply:
        """Let it take effect, unless a fault or refusal prevents that; and answer."""
        fault = self.fault
        if fault is not None and fault.prevents_effect:
            return _faulty(fault)
        reply = self._reply(now_s)
        if fault is not None and fault.replaces_answer:
            return _faulty(fault)
        return reply

    def _reply(self, now_s: float) -> HttpReply:
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
    return _with_headers(reply, retry_after=fault.retry_after_s, age=fault.age_s)


def _with_headers(
    reply: HttpReply, *, retry_after: int | None = None, age: int | None = None
) -> HttpReply:
    more = {"retry-after": retry_after, "age": age}
    given = {name: str(value) for name, value in more.items() if value is not None}
    return attrs.evolve(reply, headers={**reply.headers, **given})


def _misunderstood(request: HttpRequest, error: InvalidArgumentError) -> HttpReply:
    if request.path.startswith(_REGISTRY):
        return refusals.registry_refusal("Reserved character in input parameters.")
    # The service's own words where they are known.
    is_known = error.rule == "No state specified."
    words = error.rule if is_known else f"Invalid {error.argument}: {error.rule}"
    return refusals.bad_request(words)


def _entry(
    request: HttpRequest, operation: Operation[Any] | None, now_s: float
) -> JournalEntry:
    try:
        params = request.params()
    except InvalidArgumentError:
        params = {}
    name = operation.name if operation is not None else ""
    return JournalEntry(
        at_s=now_s,
        operation=TIME if request.path == _TIME_PATH else name,
        subscribe_key=operation.subscribe_key if operation is not None else "",
        path=request.path,
        query=request.query,
        params=params,
        user_id=params.get("uuid"),
        channels=getattr(operation, "channels", ()),
        channel_groups=split_list(params.get("channel-group", "")),
    )
