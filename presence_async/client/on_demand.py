"""The parts of a client that load when a program first uses them.

Importing a client takes the modules that every open client needs: what those would
delay is the event loop. The others are named here: ``on_demand.Roster`` imports its
module when it is first evaluated, in code or by ``typing.get_type_hints``. That saves a
third of the time that our modules take to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..first_use import on_first_use

if TYPE_CHECKING:
    from ..explain.story import Explanation as Explanation
    from ..protocol.channel_groups import AddChannelsOperation as AddChannelsOperation
    from ..protocol.channel_groups import DeleteGroupOperation as DeleteGroupOperation
    from ..protocol.channel_groups import ListChannelsOperation as ListChannelsOperation
    from ..protocol.channel_groups import ListGroupsOperation as ListGroupsOperation
    from ..protocol.channel_groups import (
        RemoveChannelsOperation as RemoveChannelsOperation,
    )
    from ..protocol.here_now import HereNowOperation as HereNowOperation
    from ..protocol.occupancy import ChannelOccupancy as ChannelOccupancy
    from ..protocol.occupancy import HereNow as HereNow
    from ..protocol.occupancy import HereNowCounts as HereNowCounts
    from ..protocol.where_now import WhereNow as WhereNow
    from ..protocol.where_now import WhereNowOperation as WhereNowOperation
    from ..register.register import Register as Register
    from .event_stream import EventStream as EventStream
    from .feed.feed import PresenceFeed as PresenceFeed
    from .hearing import Hearing as Hearing
    from .heartbeat_manager import HeartbeatManager as HeartbeatManager
    from .heartbeat_manager import RegisterStats as RegisterStats
    from .joining import Joining as Joining
    from .lease import Lease as Lease
    from .live_count import LiveCount as LiveCount
    from .occupants import OccupantPages as OccupantPages
    from .reports import CloseReport as CloseReport
    from .reports import report_of as report_of
    from .roster import Roster as Roster
    from .sharing.register_loop import RegisterLoop as RegisterLoop
    from .snapshot_requests import SnapshotRequests as SnapshotRequests
    from .telling import Teller as Teller
    from .witness import Witness as Witness

_HOMES = {
    "AddChannelsOperation": ".protocol.channel_groups",
    "ChannelOccupancy": ".protocol.occupancy",
    "CloseReport": "reports",
    "DeleteGroupOperation": ".protocol.channel_groups",
    "EventStream": "event_stream",
    "Explanation": ".explain.story",
    "Hearing": "hearing",
    "HeartbeatManager": "heartbeat_manager",
    "HereNow": ".protocol.occupancy",
    "HereNowCounts": ".protocol.occupancy",
    "HereNowOperation": ".protocol.here_now",
    "Joining": "joining",
    "Lease": "lease",
    "ListChannelsOperation": ".protocol.channel_groups",
    "ListGroupsOperation": ".protocol.channel_groups",
    "LiveCount": "live_count",
    "OccupantPages": "occupants",
    "PresenceFeed": "feed.feed",
    "Register": ".register.register",
    "RegisterLoop": "sharing.register_loop",
    "RegisterStats": "heartbeat_manager",
    "RemoveChannelsOperation": ".protocol.channel_groups",
    "Roster": "roster",
    "SnapshotRequests": "snapshot_requests",
    "Teller": "telling",
    "WhereNow": ".protocol.where_now",
    "WhereNowOperation": ".protocol.where_now",
    "Witness": "witness",
    "report_of": "reports",
}

__all__ = [  # noqa: PLE0604  # the keys above, which ruff cannot see
    *sorted(_HOMES)
]


def __getattr__(name: str) -> object:
    return on_first_use(name, _HOMES, globals())


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
