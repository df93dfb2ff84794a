"""From a request to its operation, and to the method that serves it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..protocol.channel_groups import (
    AddChannelsOperation,
    DeleteGroupOperation,
    ListChannelsOperation,
    ListGroupsOperation,
    RemoveChannelsOperation,
)
from ..protocol.exchange import HttpRequest, Operation, compiled_route
from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.here_now import HereNowOperation
from ..protocol.leave import LeaveOperation
from ..protocol.old_subscribe import OldSubscribeOperation
from ..protocol.publish import PublishOperation, SignalOperation
from ..protocol.subscribe import SubscribeOperation
from ..protocol.user_state import GetStateOperation, SetStateOperation
from ..protocol.where_now import WhereNowOperation
from .keyset import Keyset

__all__ = [
    "OPERATION_NAMES",
    "ROUTES",
    "TIME",
    "Handler",
    "operation_kind",
    "takes_post",
]

Handler = Callable[[Keyset, Any, float], object]
Kind = type[Operation[Any]]

ROUTES: Mapping[Kind, Handler] = {
    HeartbeatOperation: Keyset.heartbeat,
    LeaveOperation: Keyset.leave,
    SubscribeOperation: Keyset.subscribe,
    OldSubscribeOperation: Keyset.old_subscribe,
    PublishOperation: Keyset.publish,
    SignalOperation: Keyset.publish,
    WhereNowOperation: Keyset.where_now,
    HereNowOperation: Keyset.here_now,
    SetStateOperation: Keyset.set_state,
    GetStateOperation: Keyset.get_state,
    AddChannelsOperation: Keyset.add_channels,
    RemoveChannelsOperation: Keyset.remove_channels,
    ListChannelsOperation: Keyset.list_channels,
    DeleteGroupOperation: Keyset.delete_group,
    ListGroupsOperation: Keyset.list_groups,
}
"""Each operation and the method of ``Keyset`` that serves it."""

TIME = "time"
"""The name of requests for ``/time/0``, which the client has no operation for."""

OPERATION_NAMES = frozenset([TIME, *(kind.name for kind in ROUTES)])
"""The names of requests in the journal and in faults."""

# These share a path with ``ListChannelsOperation``, which comes after them.
_NEEDED_PARAMETER: Mapping[Kind, str] = {
    AddChannelsOperation: "add",
    RemoveChannelsOperation: "remove",
}


def operation_kind(request: HttpRequest) -> Kind | None:
    """Return the kind of operation that a request asks for, ``None`` if unknown."""
    for kind in ROUTES:
        if compiled_route(kind.route).fullmatch(request.path) is not None:
            needed = _NEEDED_PARAMETER.get(kind)
            if needed is None or f"&{needed}=" in f"&{request.query}":
                return kind
    return None


def takes_post(path: str) -> bool:
    """Return True for a path that is asked with POST: a publish without its message."""
    found = compiled_route(PublishOperation.route).fullmatch(path)
    return found is not None and found["message"] is None
