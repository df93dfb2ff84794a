"""The lines of ``watch``: one for each event, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator

import presence_async

from .output import shown

__all__ = ["event_line", "event_lines"]


def event_lines(
    event: presence_async.PresenceEvent, channel: str = ""
) -> Iterator[str]:
    """Yield an event in plain lines; a snapshot has one for each user.

    Args:
        event: An event of a roster.
        channel: Named in each line that is of an event; for more than one channel.
    """
    yield event_line(event, channel)
    if isinstance(event, presence_async.SnapshotEvent):
        for occupant in event.occupants:
            state = occupant.state or occupant.state_error
            yield f"           {_user(occupant.user_id, state)}"


def event_line(event: presence_async.PresenceEvent, channel: str = "") -> str:
    """Return an event on one line, with the local time at which it happened."""
    at = event.timestamp.astimezone().strftime("%H:%M:%S")
    where = f"{shown(channel)} " if channel else ""
    match event:
        case presence_async.SnapshotEvent():
            return f"{at} {event.occupancy} on {shown(event.channel)}"
        case presence_async.UserEvent():
            state = event.state or event.state_error
            note = " corrected" if event.synthesized else ""
            user = _user(event.user_id, state)
            here = f"({event.occupancy} here)"
            return f"{at} {where}{event.action:<12} {user} {here}{note}"
        case presence_async.GapEvent():
            return f"{at} {where}{event.dropped or 'some'} events were dropped"
        case _:
            return f"{at} {where}{shown(event.action)}"


def _user(user_id: str, state: object) -> str:
    return f"{shown(user_id)} {shown(state or '')}".rstrip()
