"""The flags of ``emulate`` for the fields of ``EmulatorProfile``, by the same names.

Each is ``None`` if it is not given, so that it then comes from ``--profile``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AccessManager",
    "AnnounceMax",
    "DebounceS",
    "GlobalHereNow",
    "HeartbeatCacheS",
    "HereNowCacheS",
    "ImplicitHeartbeats",
    "IntervalS",
    "LeaveNeedsRead",
    "LeaveOnDisconnect",
    "MaxPresenceTimeoutS",
    "MinPresenceTimeoutS",
    "Presence",
    "PresenceDeltas",
    "Profile",
    "StreamFiltering",
    "TrackedChannels",
]

Profile = Annotated[
    Path | None,
    typer.Option(
        help="The keyset to imitate: a JSON file with the fields of EmulatorProfile."
        " Flags given beside it win.",
        show_default=False,
    ),
]
Presence = Annotated[
    bool | None,
    typer.Option(
        help="Whether the keyset has Presence; on by default.", show_default=False
    ),
]
TrackedChannels = Annotated[
    list[str] | None,
    typer.Option(
        "--tracked-channel",
        help="Track presence only on this channel or pattern (a.*); elsewhere all is"
        " acknowledged and nobody is present. May be repeated.",
        show_default=False,
    ),
]
ImplicitHeartbeats = Annotated[
    bool | None,
    typer.Option(
        help="Count a subscribe as a heartbeat, as old keysets do; off by default.",
        show_default=False,
    ),
]
AnnounceMax = Annotated[
    int | None,
    typer.Option(
        help="Users on a channel up to which each change is an event of its own; 20 by"
        " default.",
        show_default=False,
    ),
]
IntervalS = Annotated[
    float | None,
    typer.Option(
        help="Seconds between the interval events above that; 10 by default.",
        show_default=False,
    ),
]
PresenceDeltas = Annotated[
    bool | None,
    typer.Option(
        help="List joins and leaves in interval events; off by default.",
        show_default=False,
    ),
]
LeaveOnDisconnect = Annotated[
    bool | None,
    typer.Option(
        help="Take the end of a subscribe's connection for a leave; off by default.",
        show_default=False,
    ),
]
DebounceS = Annotated[
    float | None,
    typer.Option(
        help="Seconds within which a join undoes a leave and neither is shown; 0 by"
        " default.",
        show_default=False,
    ),
]
MinPresenceTimeoutS = Annotated[
    float | None,
    typer.Option(
        help="Raise shorter presence timeouts to this; 0 by default.",
        show_default=False,
    ),
]
MaxPresenceTimeoutS = Annotated[
    float | None,
    typer.Option(help="Lower longer presence timeouts to this.", show_default=False),
]
GlobalHereNow = Annotated[
    bool | None,
    typer.Option(
        help="Answer a here now that names no channel; on by default.",
        show_default=False,
    ),
]
StreamFiltering = Annotated[
    bool | None,
    typer.Option(
        help="Honour filter expressions of a subscribe; on by default.",
        show_default=False,
    ),
]
AccessManager = Annotated[
    bool | None,
    typer.Option(
        help="Refuse requests without a token; off by default, on with --access.",
        show_default=False,
    ),
]
LeaveNeedsRead = Annotated[
    bool | None,
    typer.Option(
        help="Refuse a leave without the right to read, as PubNub; on by default.",
        show_default=False,
    ),
]
HereNowCacheS = Annotated[
    float | None,
    typer.Option(
        help="Seconds to answer here now from a cache; 0 by default.",
        show_default=False,
    ),
]
HeartbeatCacheS = Annotated[
    float | None,
    typer.Option(
        help="Seconds to answer heartbeats from a cache; 0 by default.",
        show_default=False,
    ),
]
