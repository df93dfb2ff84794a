"""Streams, rosters and their readers show what is documented, and no plumbing."""

from __future__ import annotations

import pytest

from presence_async import PresenceClient

STREAM = {"channels", "channel_groups", "health", "error", "close"}
ROSTER = {
    *("channel", "health", "error", "close"),
    *("occupants", "user_ids", "occupancy", "is_synced", "as_of"),
    *("wait_for", "changes"),
}
DOCUMENTED: dict[str, set[str]] = {
    "EventStream": STREAM,
    "Roster": ROSTER,
    "RosterChanges": {"close"},
    "OccupantPages": {"is_complete", "close"},
}


@pytest.mark.parametrize("handle", DOCUMENTED)
async def test_a_handle_has_exactly_its_documented_attributes(
    client: PresenceClient, handle: str
) -> None:
    async with client.events("lobby") as stream, client.roster("lobby") as roster:
        handles = [stream, roster, roster.changes(), client.occupants("lobby")]
        named = {type(each).__name__: each for each in handles}
        each = named[handle]

        assert {x for x in dir(each) if not x.startswith("_")} == DOCUMENTED[handle]
        for name in DOCUMENTED[handle]:
            if isinstance(getattr(type(each), name), property):
                with pytest.raises(AttributeError):
                    setattr(each, name, ())
