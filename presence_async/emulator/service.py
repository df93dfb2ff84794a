"""The service without its sockets: from a request to the reply and its effect.

Pure but for what it keeps; ``server`` puts it behind HTTP.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..errors import InvalidArgumentError
from ..protocol import envelope
from ..protocol.encoding import split_list
from ..protocol.exchange import HttpReply, HttpRequest, Operation
from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.here_now import HereNowOperation
from ..protocol.identity import is_signed
from .cache import ReplyCache
from .faults import Fault, Faults
from .journal import Journal, JournalEntry
from .keyset import Keyset
from .router import ROUTES, operation_kind

__all__ = ["Exchange", "Service"]

_MAX_REQUEST_BYTES = 32 * 1024
_TIMETOKENS_PER_S = 10_000_000
_TIME_PATH = "/time/0"


class Service:
    """Every subscribe key, the faults and the journal.

    Args:
        journal_size: How many requests are kept.
        secret_key: Verify signatures made with it; ``None``: take all requests.
        publish_key: Part of the signatures.
        min_presence_timeout_s: Shorter timeouts are raised to this.
        here_now_cache_s: Answer the same here-now URL from a cache for so long.
        heartbeat_cache_s: The same for heartbeats, which then have no effect.
        clock: Unix time in seconds, for ``/time/0``.
    """

    def __init__(
        self,
        *,
        journal_size: int,
        secret_key: str | None,
        publish_key: str,
        min_presence_timeout_s: float,
        here_now_cache_s: float,
        heartbeat_cache_s: float,
        clock: Callable[[], float],
    ) -> None:
        self.journal = Journal(journal_size)
        self.faults = Faults()
        self._secret_key = secret_key
        self._publish_key = publish_key
        self._min_timeout_s = min_presence_timeout_s
        self._caches = {
            HereNowOperation.name: ReplyCache(here_now_cache_s),
            HeartbeatOperation.name: ReplyCache(heartbeat_cache_s),
        }
        self._clock = clock
        self._keysets: dict[str, Keyset] = {}

    def keyset(self, subscribe_key: str) -> Keyset:
        """Return what is known under a subscribe key."""
        keyset = self._keysets.get(subscribe_key)
        if keyset is None:
            keyset = Keyset(min_presence_timeout_s=self._min_timeout_s)
            self._keysets[subscribe_key] = keyset
        return keyset

    def forget(self, subscribe_key: str) -> None:
        """Forget everything known under a subscribe key."""
        self._keysets.pop(subscribe_key, None)

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
        operation, refusal = self._understood(request)
        self.journal.add(_entry(request, operation, now_s))
        name = operation.name if operation is not None else ""
        return Exchange(
            self, request, operation, refusal, self.faults.strike(name, now_s=now_s)
        )

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
        self, request: HttpRequest
    ) -> tuple[Operation[Any] | None, HttpReply | None]:
        if len(request.path) + len(request.query) > _MAX_REQUEST_BYTES:
            too_long = "Request URI Too Long"
            return None, envelope.error_reply(414, too_long, service="Balancer")
        if request.path == _TIME_PATH:
            timetoken = int(self._clock() * _TIMETOKENS_PER_S)
            return None, HttpReply(status=200, body=b"[%d]" % timetoken)
        kind = operation_kind(request)
        if kind is None:
            return None, envelope.error_reply(404, f"Not found: '{request.path}'")
        try:
            operation = kind.from_request(request)
        except InvalidArgumentError as error:
            return None, envelope.error_reply(400, _words(error))
        return operation, self._unsigned(request)

    def _unsigned(self, request: HttpRequest) -> HttpReply | None:
        """Refuse a request whose signature is wrong; the texts are unverified."""
        if self._secret_key is None:
            return None
        if not request.params().get("timestamp", "").isdecimal():
            return _access_denied(400, "Invalid Timestamp")
        if not is_signed(
            request, publish_key=self._publish_key, secret_key=self._secret_key
        ):
            return _access_denied(403, "Signature Does Not Match")
        return None


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
            return envelope.error_reply(400, "Bad Request")
        return self._service.perform(self._request, self._operation, now_s=now_s)


def _faulty(fault: Fault) -> HttpReply:
    status = 200 if fault.status is None else fault.status
    if fault.body is not None:
        headers = {"content-type": 'text/javascript; charset="UTF-8"'}
        if fault.retry_after_s is not None:
            headers["retry-after"] = str(fault.retry_after_s)
        if fault.age_s is not None:
            headers["age"] = str(fault.age_s)
        return HttpReply(status=status, body=fault.body, headers=headers)
    return envelope.error_reply(
        status, "Injected fault", retry_after_s=fault.retry_after_s
    )


def _entry(
    request: HttpRequest, operation: Operation[Any] | None, now_s: float
) -> JournalEntry:
    try:
        params = request.params()
    except InvalidArgumentError:
        params = {}
    return JournalEntry(
        at_s=now_s,
        operation=operation.name if operation is not None else "",
        subscribe_key=operation.subscribe_key if operation is not None else "",
        path=request.path,
        query=request.query,
        params=params,
        user_id=params.get("uuid"),
        channels=getattr(operation, "channels", ()),
        channel_groups=split_list(params.get("channel-group", "")),
    )


def _words(error: InvalidArgumentError) -> str:
    # The service's own words where they are known.
    is_known = error.rule == "No state specified."
    return error.rule if is_known else f"Invalid {error.argument}: {error.rule}"


def _access_denied(status: int, message: str) -> HttpReply:
    return envelope.error_reply(status, message, service="Access Manager")
