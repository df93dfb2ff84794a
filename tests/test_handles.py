"""Handles show what is documented, and no plumbing."""

from __future__ import annotations

import pytest

from presence_async import PresenceClient

OPERATIONS = {
    *("here_now", "occupants", "where_now", "set_state", "get_state"),
    *("join", "heartbeat", "leave", "events", "roster"),
    *("add_channels", "remove_channels", "delete_group"),
    *("list_channels", "list_groups"),
}
DOCUMENTED: dict[str, set[str]] = {
    "PresenceClient": {
        *OPERATIONS,
        *("start", "close", "close_report", "is_closed"),
        *("config", "heartbeats", "set_auth", "refresh_auth"),
    },
    "HeartbeatManager": {"leases", "stats"},
    "Joining": {"send", "throw", "close"},  # those of every coroutine
    "LeaseChanges": set(),
}


@pytest.mark.parametrize("handle", DOCUMENTED)
async def test_a_handle_has_exactly_its_documented_attributes(
    client: PresenceClient, handle: str
) -> None:
    joining = client.join("lobby")
    lease = await joining
    handles = [client, client.heartbeats, joining, lease.changes()]
    named = {type(each).__name__: each for each in handles}

    # Of the instance, since constructors may set attributes that no class declares.
    public = {name for name in dir(named[handle]) if not name.startswith("_")}

    assert public == DOCUMENTED[handle]


@pytest.mark.parametrize("handle", ["client", "heartbeats", "lease", "changes"])
async def test_attributes_of_a_handle_cannot_be_assigned(
    client: PresenceClient, handle: str
) -> None:
    lease = await client.join("lobby")
    handles = {
        "client": client,
        "heartbeats": client.heartbeats,
        "lease": lease,
        "changes": lease.changes(),
    }
    each = handles[handle]
    properties = [
        name
        for name in dir(type(each))
        if not name.startswith("_") and isinstance(getattr(type(each), name), property)
    ]

    for name in properties:
        with pytest.raises(AttributeError):
            setattr(each, name, ())
