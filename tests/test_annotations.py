"""What frameworks read at run time: annotations, and values through msgspec."""

from __future__ import annotations

import datetime as dt
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import attrs
import msgspec
import pytest

import presence_async
from presence_async import (
    AuthToken,
    ChannelOccupancy,
    ClosedPresence,
    CloseReport,
    Decision,
    Explanation,
    ExponentialRetry,
    GapEvent,
    HeartbeatStats,
    HereNow,
    HereNowCounts,
    IntervalEvent,
    JoinEvent,
    LeaseHealth,
    LeaveEvent,
    LinearRetry,
    NoRetry,
    Occupant,
    RegisterStats,
    SnapshotEvent,
    StateChangeEvent,
    StreamHealth,
    TimeoutEvent,
    UnknownEvent,
    UserState,
    WhereNow,
)
from presence_async.emulator import EventFault, Fault, Grant

MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(presence_async.__path__, "presence_async.")
    if not found.name.endswith(".__main__")
)

# The packages that modules need of which an extra installs them.
EXTRAS = {
    "presence_async.otel": "opentelemetry",
    "presence_async.prometheus": "prometheus_client",
}


def functions_of(value: object) -> Iterator[FunctionType]:
    """Yield a function, or the functions behind everything a class defines."""
    members = list(vars(value).values()) if inspect.isclass(value) else [value]
    for member in members:
        function = getattr(member, "fget", getattr(member, "__func__", member))
        if isinstance(function, FunctionType):
            yield function


def public_values(module: ModuleType) -> Iterator[object]:
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if getattr(value, "__module__", "").startswith("presence_async"):
            yield value


@pytest.mark.parametrize("name", ["presence_async", *MODULES])
def test_annotations_of_every_public_name_resolve(name: str) -> None:
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name], reason=f"{name} needs an extra")
    for value in public_values(importlib.import_module(name)):
        if inspect.isclass(value):
            typing.get_type_hints(value)
            if attrs.has(value):
                attrs.resolve_types(value)
        for function in functions_of(value):
            typing.get_type_hints(function)


OF_AN_EVENT: dict[str, Any] = {
    "channel": "lobby",
    "occupancy": 1,
    "timetoken": 17_000_000_000_000_001,
    "timestamp_ms": 1_700_000_000_123,
}
STATE = {"mood": "ok", "list": [1, None, {"deep": 1.5}]}
LOBBY = ChannelOccupancy.of("lobby", {"bob": STATE, "eve": {}})
LEFT = ClosedPresence(user_id="bob", channels=("lobby",), channel_groups=())
REGISTER = RegisterStats(
    engine="memory", is_up=True, leading=1, following=2, lingering=3, unasked=4
)
VALUES = [
    JoinEvent(**OF_AN_EVENT, user_id="bob", state=STATE),
    LeaveEvent(**OF_AN_EVENT, user_id="bob"),
    TimeoutEvent(**OF_AN_EVENT, user_id="bob", state={}),
    StateChangeEvent(**OF_AN_EVENT, user_id="bob", state_error="too deep"),
    IntervalEvent(**OF_AN_EVENT, joined=("bob",), here_now_refresh=True),
    UnknownEvent(**OF_AN_EVENT, kind="new", raw=b'{"a": "\xff"}'),
    GapEvent(timetoken=1, timestamp_ms=2, reason="reconnect"),
    SnapshotEvent(**OF_AN_EVENT, occupants=(Occupant(user_id="bob", state=STATE),)),
    Occupant(user_id="bob", state=STATE),
    LOBBY,
    HereNow(channels={"lobby": LOBBY}, total_channels=1, total_occupancy=2),
    HereNowCounts(
        channels={"lobby": ChannelOccupancy(channel="lobby", occupancy=3)},
        total_channels=1,
        total_occupancy=3,
    ),
    WhereNow(user_id="bob", channels=("lobby",)),
    UserState(user_id="bob", states={"lobby": STATE}),
    AuthToken(value="t", expires_at=dt.datetime(2030, 1, 1, tzinfo=dt.UTC)),
    LEFT,
    CloseReport(left=(LEFT,)),
    Explanation(
        user_id="bob",
        at=dt.datetime(2030, 1, 1, tzinfo=dt.UTC),
        verdict="bob left.",
        decisions=(
            Decision(at=dt.datetime(2030, 1, 1, tzinfo=dt.UTC), kind="left", text="x"),
        ),
        is_complete=True,
    ),
    attrs.evolve(
        HeartbeatStats(
            **dict.fromkeys((f.name for f in attrs.fields(HeartbeatStats)), 1)  # type: ignore[arg-type]
        ),
        register=REGISTER,
    ),
    ExponentialRetry(),
    LinearRetry(attempts=7),
    NoRetry(),
    LeaseHealth.FRESH,
    StreamHealth.LIVE,
    Fault(operation="heartbeat", status=503, for_s=10),
    EventFault(),
    Grant(channels=("lobby",)),
]


@pytest.mark.parametrize("codec", [msgspec.json, msgspec.msgpack], ids=["json", "pack"])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_what_msgspec_encodes_it_decodes(value: Any, codec: Any) -> None:
    encoded = codec.encode(value)

    assert codec.decode(encoded, type=type(value)) == value


def test_reading_occupants_does_not_change_what_is_encoded() -> None:
    here = ChannelOccupancy.of("lobby", {"bob": STATE})
    before = msgspec.json.encode(here)

    assert here.occupants == (Occupant(user_id="bob", state=STATE),)
    assert msgspec.json.encode(here) == before
