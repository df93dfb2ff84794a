"""The other side of the story: what an emulator saw of a user, as facts."""

from __future__ import annotations

import msgspec

from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.leave import LeaveOperation
from .facts import Asked, Fact, Seen
from .merging import merged

__all__ = ["facts_of", "key_of"]

_KINDS = {HeartbeatOperation.name, LeaveOperation.name}
_ACTIONS = {"join", "leave", "timeout"}


class _Event(msgspec.Struct):
    action: str
    channel: str
    at_s: float


class _Request(msgspec.Struct):
    operation: str
    at_s: float
    channels: tuple[str, ...] = ()
    channel_groups: tuple[str, ...] = ()
    status: int | str | None = None
    subscribe_key: str | None = None


class _Events(msgspec.Struct):
    now_s: float
    events: list[_Event]


class _Requests(msgspec.Struct):
    now_s: float
    requests: list[_Request]


def facts_of(user_id: str, events: bytes, requests: bytes, now: float) -> list[Fact]:
    """Return what the control path of an emulator tells of a user.

    Args:
        user_id: The user.
        events: The answer to ``GET events?user_id=``.
        requests: The answer to ``GET requests?user_id=``.
        now: Unix time.

    Raises:
        ValueError: The answers are not those of an emulator.
    """
    happened = msgspec.json.decode(events, type=_Events)
    asked = msgspec.json.decode(requests, type=_Requests)
    # Both are on one clock, so one of the two answers sets it: what was close together
    # would else change places by as much as the answers took.
    began = now - happened.now_s
    facts: list[Fact] = []
    for request in asked.requests:
        if request.operation in _KINDS and request.status is not None:
            _add(facts, _asked(user_id, request, began + request.at_s))
    facts += [
        Seen(
            at=began + event.at_s,
            user=user_id,
            action=event.action,
            name=event.channel,
        )
        for event in happened.events
        if event.action in _ACTIONS
    ]
    return facts


def key_of(requests: bytes) -> str | None:
    """Return the subscribe key of the latest of some requests.

    Args:
        requests: The answer to ``GET requests?user_id=``.

    Raises:
        ValueError: It is not that of an emulator.
    """
    asked = msgspec.json.decode(requests, type=_Requests).requests
    return next((x.subscribe_key for x in reversed(asked) if x.subscribe_key), None)


def _asked(user_id: str, request: _Request, at: float) -> Asked:
    groups = tuple(f",{group}" for group in request.channel_groups)
    return Asked(
        at=at,
        user=user_id,
        what=request.operation,
        names=(*request.channels, *groups),
        status=request.status if isinstance(request.status, int) else 0,
    )


def _add(facts: list[Fact], fact: Fact) -> None:
    both = merged(facts[-1], fact) if facts else None
    if both is None:
        facts.append(fact)
    else:
        facts[-1] = both
