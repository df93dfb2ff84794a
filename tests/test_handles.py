"""Handles show what is documented, and no plumbing."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from presence_async import PresenceClient

OPERATIONS = {
    *("here_now", "occupants", "where_now", "set_state", "get_state"),
    *("join", "heartbeat", "leave", "events", "roster", "live_count"),
    *("add_channels", "remove_channels", "delete_group"),
    *("list_channels", "list_groups"),
}
DOCUMENTED: dict[str, set[str]] = {
    "PresenceClient": {
        *OPERATIONS,
        *("start", "close", "close_report", "is_closed"),
        *("config", "heartbeats", "set_auth", "refresh_auth"),
        *("add_observer", "explain", "is_ready"),
    },
    "HeartbeatManager": {"leases", "register_stats", "stats"},
    "Lease": {
        *("user_id", "channels", "channel_groups", "state", "presence_timeout_s"),
        *("health", "remaining_s", "expires_at_s", "changes"),
        *("leave", "add", "remove", "set_state", "patch_state"),
    },
    "Joining": {"send", "throw", "close"},  # those of every coroutine
    "LeaseChanges": set(),
}


@pytest.mark.parametrize("handle", DOCUMENTED)
async def test_a_handle_has_exactly_its_documented_attributes(
    client: PresenceClient, handle: str
) -> None:
    joining = client.join("lobby")
    lease = await joining
    handles = [client, client.heartbeats, lease, joining, lease.changes()]
    named = {type(each).__name__: each for each in handles}

    # Of the instance, since constructors may set attributes that no class declares.
    public = {name for name in dir(named[handle]) if not name.startswith("_")}

    assert public == DOCUMENTED[handle]


@pytest.mark.parametrize("handle", ["client", "heartbeats", "lease"])
async def test_attributes_of_a_handle_can_only_be_read(
    client: PresenceClient, handle: str
) -> None:
    lease = await client.join("lobby")
    each = {"client": client, "heartbeats": client.heartbeats, "lease": lease}[handle]
    properties = [
        name
        for name in DOCUMENTED[type(each).__name__]
        if not callable(getattr(each, name))
    ]

    for name in properties:
        with pytest.raises(AttributeError):
            setattr(each, name, ())
        with pytest.raises(AttributeError):
            delattr(each, name)
    assert lease.channels == ("lobby",)


async def test_a_lease_and_its_changes_take_no_further_attributes(
    client: PresenceClient,
) -> None:
    joining = client.join("lobby")
    lease = await joining

    for handle in (lease, lease.changes(), joining):
        with pytest.raises(AttributeError):
            handle.note = 1  # type: ignore[union-attr]


async def test_the_state_of_a_lease_is_not_changed_by_its_reader(
    client: PresenceClient,
) -> None:
    lease = await client.join("lobby", state={"tags": ["a"], "n": 1})
    state: Any = lease.state

    with contextlib.suppress(TypeError, AttributeError):
        state["n"] = 2
    with contextlib.suppress(TypeError, AttributeError):
        state["tags"].append("b")

    assert lease.state == {"tags": ["a"], "n": 1}


async def test_a_joining_has_one_use(client: PresenceClient) -> None:
    joining = client.join("lobby")
    await joining

    with pytest.raises(RuntimeError):
        await joining
    with pytest.raises(RuntimeError):
        async with joining:
            pass
    assert len(client.heartbeats.leases) == 1
