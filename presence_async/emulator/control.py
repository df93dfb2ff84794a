"""The control path: how tests in other languages steer a running emulator.

For programs on the same machine, or for those that send the control token, never for
pages of other sites: see ``control_guard``. Bodies and replies are JSON;
``subscribe_key=`` in the query chooses the key set. Under ``/_emulator/``:

- ``POST faults`` injects a ``Fault``, by default for every key; ``GET faults`` lists
  those in force, ``DELETE faults`` removes them; ``event-faults`` does the same for an
  ``EventFault``
- ``POST lose-messages`` loses the messages that no poll has fetched yet, by default of
  every key; ``POST restart-timetokens?shift_s=`` does so too, cuts every poll, and
  shifts timetokens, by default an hour back
- ``POST tokens?token=`` takes a ``Grant`` or a list of them, ``DELETE tokens?token=``
  revokes the token
- ``GET profile`` returns the ``EmulatorProfile`` that it runs with
- ``GET requests`` lists the newest requests, each with the ``status`` it was answered
  with, ``null`` while it is pending, ``"cut"`` if its connection ended without an
  answer; ``operation=`` and ``user_id=`` choose, ``limit=`` is 1000
- ``GET occupants?channel=`` returns the state of each user on a channel
- ``GET events?channel=`` returns what happened there, ``events?user_id=`` what happened
  to a user anywhere; like ``requests`` with ``now_s``, the time on the same clock
- ``POST reset`` starts again, by default for every key
- ``GET health`` says for how long the emulator has served and how many requests it has
  had since the last reset; this one is for everybody

The fields of a fault may stand in the query instead of the body, as in
``POST /_emulator/faults?operation=heartbeat&status=503``. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import msgspec

from ..errors import InvalidArgumentError
from ..protocol.exchange import HttpReply
from .control_guard import ControlGuard, ControlRequest, is_loopback
from .event_faults import EventFault
from .faults import Fault, short_value
from .grant import Grant
from .service import RESTART_SHIFT_S, Service

__all__ = ["MAX_BODY_BYTES", "PREFIX", "Control", "ControlRequest", "is_loopback"]

PREFIX = "/_emulator/"

MAX_BODY_BYTES = 1024 * 1024
"""The largest body of a control request."""

_KEY = "subscribe_key"
_JSON = "application/json"
_SHOWN_REQUESTS = 1000
_UNAUTHORIZED = 401
_HEADERS: Mapping[str, str] = {
    "content-type": _JSON,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}


class Control:
    """Answers the control path.

    To those whom ``ControlGuard`` lets pass, and to a POST only with a JSON content
    type, which a page of another site cannot send without the permission that it never
    gets. The body of a request is 1 MiB at most.

    Args:
        service: The service to inspect and change.
        subscribe_key: The default key.
        token: The control token; ``None``: only this machine may ask.
        started_s: When the emulator began to serve, on the clock of ``answer``.
    """

    def __init__(
        self,
        service: Service,
        subscribe_key: str,
        *,
        token: str | None = None,
        started_s: float = 0.0,
    ) -> None:
        self._service = service
        self._guard = ControlGuard(token)
        self._started_s = started_s
        self._subscribe_key = subscribe_key
        self._routes: Mapping[tuple[str, str], _Handler] = {
            ("POST", "faults"): self._inject,
            ("GET", "faults"): self._faults,
            ("DELETE", "faults"): self._lift,
            ("POST", "event-faults"): self._inject_event_fault,
            ("GET", "event-faults"): self._event_faults,
            ("DELETE", "event-faults"): self._lift_event_faults,
            ("POST", "lose-messages"): self._lose_messages,
            ("POST", "restart-timetokens"): self._restart_timetokens,
            ("POST", "tokens"): self._grant,
            ("DELETE", "tokens"): self._revoke,
            ("GET", "profile"): self._profile,
            ("GET", "requests"): self._requests,
            ("GET", "occupants"): self._occupants,
            ("GET", "events"): self._events,
            ("POST", "reset"): self._reset,
            ("GET", "health"): self._health,
            ("HEAD", "health"): self._health,
        }

    def refusal(self, request: ControlRequest) -> HttpReply | None:
        """Return the reply if the sender may not ask; the body is not looked at."""
        found = self._guard.refusal(request)
        return None if found is None else _refused(*found)

    def answer(self, request: ControlRequest, *, now_s: float) -> HttpReply:
        """Do what a request asks and return the reply."""
        if (refused := self.refusal(request)) is not None:
            return refused
        route = request.method, request.http.path.removeprefix(PREFIX)
        handler = self._routes.get(route)
        if handler is None:
            known = [f"{method} {PREFIX}{name}" for method, name in self._routes]
            return _reply(404, {"error": "unknown method or path", "known": known})
        if (unfit := _unfit(request)) is not None:
            return _refused(*unfit)
        try:
            params = request.http.params()
            return _reply(200, handler(params, _value_of(request.body), now_s))
        except InvalidArgumentError as error:
            return _refused(400, str(error))

    def _inject(self, params: Params, body: object, now_s: float) -> object:
        fault = Fault.from_dict(_fields(params, body))
        self._service.faults.inject(fault, now_s=now_s, subscribe_key=params.get(_KEY))
        return {"injected": fault.to_dict()}

    def _inject_event_fault(self, params: Params, body: object, now_s: float) -> object:
        fault = EventFault.from_dict(_fields(params, body))
        key = params.get(_KEY)
        self._service.event_faults.inject(fault, now_s=now_s, subscribe_key=key)
        return {"injected": fault.to_dict()}

    def _faults(self, _: Params, __: object, now_s: float) -> object:
        faults = self._service.faults.in_force(now_s=now_s)
        return {"faults": [fault.to_dict() for fault in faults]}

    def _lift(self, _: Params, __: object, ___: float) -> object:
        self._service.faults.clear()
        return {"faults": []}

    def _event_faults(self, _: Params, __: object, now_s: float) -> object:
        faults = self._service.event_faults.in_force(now_s=now_s)
        return {"faults": [fault.to_dict() for fault in faults]}

    def _lift_event_faults(self, _: Params, __: object, ___: float) -> object:
        self._service.event_faults.clear()
        return {"faults": []}

    def _lose_messages(self, params: Params, _: object, __: float) -> object:
        self._service.lose_messages(params.get(_KEY))
        return {"lost": params.get(_KEY, "every key")}

    def _restart_timetokens(self, params: Params, _: object, __: float) -> object:
        shift_s = short_value(params.get("shift_s", str(RESTART_SHIFT_S)))
        if not isinstance(shift_s, (int, float)):
            raise InvalidArgumentError("shift_s", "must be a number of seconds")
        self._service.restart_timetokens(shift_s)
        return {"shift_s": shift_s}

    def _grant(self, params: Params, body: object, now_s: float) -> object:
        token = _needed(params, "token")
        several: list[Any] = body if isinstance(body, list) else [body]
        grants = [Grant.from_dict(fields) for fields in several]
        self._service.grant(token, grants, now_s=now_s)
        return {"granted": len(grants)}

    def _revoke(self, params: Params, _: object, __: float) -> object:
        self._service.revoke(_needed(params, "token"))
        return {"revoked": 1}

    def _profile(self, _: Params, __: object, ___: float) -> object:
        return self._service.profile.to_dict()

    def _requests(self, params: Params, _: object, now_s: float) -> object:
        operation, key = params.get("operation"), params.get(_KEY)
        user_id = params.get("user_id")
        limit = short_value(params.get("limit", str(_SHOWN_REQUESTS)))
        if not isinstance(limit, int) or limit < 0:
            raise InvalidArgumentError("limit", "must be a whole number from 0 on")
        chosen = [
            attrs.asdict(entry)
            for entry in self._service.journal
            if operation in {None, entry.operation}
            and key in {None, entry.subscribe_key}
            and user_id in {None, entry.user_id}
        ]
        newest = chosen[max(0, len(chosen) - limit) :]
        total = self._service.journal.total
        return {"total": total, "requests": newest, "now_s": now_s}

    def _occupants(self, params: Params, _: object, now_s: float) -> object:
        channel, key = _needed(params, "channel"), params.get(_KEY, self._subscribe_key)
        occupants = self._service.occupants(key, channel, now_s=now_s)
        return {"channel": channel, "occupants": occupants}

    def _events(self, params: Params, _: object, now_s: float) -> object:
        user_id, key = params.get("user_id"), params.get(_KEY, self._subscribe_key)
        channel = params.get("channel") if user_id else _needed(params, "channel")
        events = self._service.events(key, channel, now_s=now_s)
        told = [attrs.asdict(e) for e in events if user_id in {None, e.user_id}]
        return {"channel": channel, "events": told, "now_s": now_s}

    def _reset(self, params: Params, _: object, __: float) -> object:
        self._service.reset(params.get(_KEY))
        return {"reset": params.get(_KEY, "every key")}

    def _health(self, _: Params, __: object, now_s: float) -> object:
        return {
            "status": "ok",
            "uptime_s": round(now_s - self._started_s, 3),
            "requests": self._service.journal.total,
        }


Params = Mapping[str, str]
_Handler = Callable[[Params, Any, float], object]


def _is_json(request: ControlRequest) -> bool:
    content_type = request.headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower() == _JSON


def _unfit(request: ControlRequest) -> tuple[int, str] | None:
    """Return status and reason if a body cannot be what is asked for."""
    if request.method == "POST" and not _is_json(request):
        return 415, f"send Content-Type: {_JSON}"
    if request.body is None:
        return 400, "the body did not come whole and in time"
    if len(request.body) > MAX_BODY_BYTES:
        return 413, f"the body is larger than {MAX_BODY_BYTES} bytes"
    return None


def _value_of(body: bytes | None) -> object:
    if body is None or not body.strip():
        return None
    try:
        value: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise InvalidArgumentError("body", "must be JSON") from None
    return value


def _fields(params: Params, body: object) -> dict[str, Any]:
    """Return the fields of query and body together; those of the body win."""
    fields = {n: short_value(v) for n, v in params.items() if n != _KEY}
    if isinstance(body, Mapping):
        return {**fields, **body}
    if body is None:
        return fields
    raise InvalidArgumentError("body", "must be a JSON object")


def _needed(params: Params, name: str) -> str:
    if name not in params:
        raise InvalidArgumentError(name, "is missing from the query")
    return params[name]


def _reply(status: int, body: object) -> HttpReply:
    text = json.dumps(body, separators=(",", ":")) + "\n"
    return HttpReply(status=status, body=text.encode(), headers=_HEADERS)


def _refused(status: int, reason: str) -> HttpReply:
    reply = _reply(status, {"error": reason})
    if status != _UNAUTHORIZED:
        return reply
    more = {"www-authenticate": 'Bearer realm="emulator"'}
    return msgspec.structs.replace(reply, headers={**reply.headers, **more})
