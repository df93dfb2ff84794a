"""The control path: how tests in other languages steer a running emulator.

For programs on the same machine, or for those that send the control token, never for
pages of other sites: see ``control_guard``. Bodies and replies are JSON;
``subscribe_key=`` in the query chooses the key set. Under ``/_emulator/``:

- ``POST faults`` injects a ``Fault``, by default for every key, and answers its ``id``;
  ``GET faults`` lists those in force, ``DELETE faults`` removes them, or only that of
  ``id=``; ``event-faults`` does the same for an ``EventFault``
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
- ``POST kick?user_id=`` times a user out now, on ``channel=`` or everywhere
- ``POST advance?seconds=`` jumps ahead: timeouts, interval events, tokens and faults
  that would end within that time end now; see ``PresenceEmulator.advance``
- ``GET console`` returns what the console shows, as ``overview`` says
- ``POST reset`` starts again, by default for every key
- ``GET health`` says for how long the emulator has served and how many requests it has
  had since the last reset; this one is for everybody

An empty parameter is refused. The fields of a fault may stand in the query instead of
the body, as in ``POST /_emulator/faults?operation=heartbeat&status=503``. ``GET /``
answers the console, a page that uses these. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import msgspec

from ..errors import InvalidArgumentError
from ..protocol.exchange import HttpReply
from .console import CONSOLE_PATH, page
from .control_guard import ControlGuard, ControlRequest, is_loopback
from .control_params import (
    KEY,
    MAX_BODY_BYTES,
    Params,
    fields,
    given,
    needed,
    number_of,
    unfit,
    value_of,
    whole_of,
)
from .event_faults import EventFault, EventFaults
from .faults import Fault, Faults
from .grant import Grant
from .overview import overview, shown_key
from .service import RESTART_SHIFT_S, Service

__all__ = [
    "MAX_BODY_BYTES",
    "PREFIX",
    "Control",
    "ControlRequest",
    "is_control",
    "is_loopback",
]

PREFIX = "/_emulator/"

_JSON = "application/json"
_SHOWN_REQUESTS = 1000
_UNAUTHORIZED = 401
_PAGE_METHODS = ("GET", "HEAD")
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
        started_s: When the emulator began to serve, on the event loop's clock.
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
        self._page = page()  # at the start: another version may be installed later
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
            ("POST", "kick"): self._kick,
            ("POST", "advance"): self._advance,
            ("GET", "console"): self._console,
            ("POST", "reset"): self._reset,
            ("GET", "health"): self._health,
            ("HEAD", "health"): self._health,
        }

    def refusal(self, request: ControlRequest) -> HttpReply | None:
        """Return the reply if the sender may not ask; the body is not looked at."""
        if request.http.path == CONSOLE_PATH:
            found = self._guard.page_refusal(request)
        else:
            found = self._guard.refusal(request)
        return None if found is None else _refused(*found)

    def answer(self, request: ControlRequest, *, now_s: float) -> HttpReply:
        """Do what a request asks and return the reply."""
        if (refused := self.refusal(request)) is not None:
            return refused
        if request.http.path == CONSOLE_PATH:
            return self._page
        route = request.method, request.http.path.removeprefix(PREFIX)
        handler = self._routes.get(route)
        if handler is None:
            known = [f"{method} {PREFIX}{name}" for method, name in self._routes]
            return _reply(404, {"error": "unknown method or path", "known": known})
        if (found := unfit(request)) is not None:
            return _refused(*found)
        try:
            reply = handler(given(request), value_of(request.body), now_s)
            return _reply(200, reply)
        except InvalidArgumentError as error:
            return _refused(400, str(error))

    def _inject(self, params: Params, body: object, now_s: float) -> object:
        fault = Fault.from_dict(fields(params, body))
        key = params.get(KEY)
        number = self._service.faults.inject(fault, now_s=now_s, subscribe_key=key)
        return {"injected": fault.to_dict(), "id": number}

    def _inject_event_fault(self, params: Params, body: object, now_s: float) -> object:
        fault = EventFault.from_dict(fields(params, body))
        key = params.get(KEY)
        faults = self._service.event_faults
        number = faults.inject(fault, now_s=now_s, subscribe_key=key)
        return {"injected": fault.to_dict(), "id": number}

    def _faults(self, _: Params, __: object, now_s: float) -> object:
        faults = self._service.faults.in_force(now_s=now_s)
        return {"faults": [fault.to_dict() for fault in faults]}

    def _lift(self, params: Params, _: object, now_s: float) -> object:
        _lift(self._service.faults, params)
        return self._faults(params, None, now_s)

    def _event_faults(self, _: Params, __: object, now_s: float) -> object:
        faults = self._service.event_faults.in_force(now_s=now_s)
        return {"faults": [fault.to_dict() for fault in faults]}

    def _lift_event_faults(self, params: Params, _: object, now_s: float) -> object:
        _lift(self._service.event_faults, params)
        return self._event_faults(params, None, now_s)

    def _lose_messages(self, params: Params, _: object, __: float) -> object:
        self._service.lose_messages(params.get(KEY))
        return {"lost": params.get(KEY, "every key")}

    def _restart_timetokens(self, params: Params, _: object, __: float) -> object:
        shift_s = RESTART_SHIFT_S
        if "shift_s" in params:
            shift_s = number_of(params, "shift_s")
        self._service.restart_timetokens(shift_s)
        return {"shift_s": shift_s}

    def _grant(self, params: Params, body: object, now_s: float) -> object:
        token = needed(params, "token")
        several: list[Any] = body if isinstance(body, list) else [body]
        grants = [Grant.from_dict(fields) for fields in several]
        self._service.grant(token, grants, now_s=now_s)
        return {"granted": len(grants)}

    def _revoke(self, params: Params, _: object, __: float) -> object:
        self._service.revoke(needed(params, "token"))
        return {"revoked": 1}

    def _profile(self, _: Params, __: object, ___: float) -> object:
        return self._service.profile.to_dict()

    def _requests(self, params: Params, _: object, now_s: float) -> object:
        operation, key = params.get("operation"), params.get(KEY)
        user_id = params.get("user_id")
        limit = whole_of(params, "limit") if "limit" in params else _SHOWN_REQUESTS
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
        channel, key = needed(params, "channel"), params.get(KEY, self._subscribe_key)
        occupants = self._service.occupants(key, channel, now_s=now_s)
        return {"channel": channel, "occupants": occupants}

    def _events(self, params: Params, _: object, now_s: float) -> object:
        user_id, key = params.get("user_id"), params.get(KEY, self._subscribe_key)
        channel = params.get("channel") if user_id else needed(params, "channel")
        events = self._service.events(key, channel, now_s=now_s)
        told = [attrs.asdict(e) for e in events if user_id in {None, e.user_id}]
        return {"channel": channel, "events": told, "now_s": now_s}

    def _kick(self, params: Params, _: object, now_s: float) -> object:
        key, user_id = params.get(KEY, self._subscribe_key), needed(params, "user_id")
        channel = params.get("channel")
        return {"kicked": self._service.kick(key, user_id, channel, now_s=now_s)}

    def _advance(self, params: Params, _: object, now_s: float) -> object:
        self._service.advance(number_of(params, "seconds"), now_s=now_s)
        return {"jumped_s": self._service.jumped_s}

    def _console(self, params: Params, _: object, now_s: float) -> object:
        return overview(
            self._service,
            key=params.get(KEY) or shown_key(self._service, self._subscribe_key),
            channel=params.get("channel", ""),
            since=params.get("since", ""),
            now_s=now_s,
        )

    def _reset(self, params: Params, _: object, __: float) -> object:
        self._service.reset(params.get(KEY))
        return {"reset": params.get(KEY, "every key")}

    def _health(self, _: Params, __: object, now_s: float) -> object:
        return {
            "status": "ok",
            "uptime_s": round(now_s - self._service.jumped_s - self._started_s, 3),
            "requests": self._service.journal.total,
        }


_Handler = Callable[[Params, Any, float], object]


def is_control(method: str, path: str) -> bool:
    """Return True for the requests that ``Control`` answers."""
    return path.startswith(PREFIX) or (path == CONSOLE_PATH and method in _PAGE_METHODS)


def _lift(faults: Faults | EventFaults, params: Params) -> None:
    """Remove every fault, or the one that the query names."""
    if "id" in params:
        faults.lift(whole_of(params, "id"))
    else:
        faults.clear()


def _reply(status: int, body: object) -> HttpReply:
    text = json.dumps(body, separators=(",", ":")) + "\n"
    return HttpReply(status=status, body=text.encode(), headers=_HEADERS)


def _refused(status: int, reason: str) -> HttpReply:
    reply = _reply(status, {"error": reason})
    if status != _UNAUTHORIZED:
        return reply
    more = {"www-authenticate": 'Bearer realm="emulator"'}
    return msgspec.structs.replace(reply, headers={**reply.headers, **more})
