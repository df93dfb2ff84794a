"""An asyncio-native client for the PubNub Presence API, with an emulator for tests.

Each name is imported when it is first used: the pytest plugin imports this package in
every test run, which must cost next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .first_use import on_first_use

if TYPE_CHECKING:
    from .client.auth import AuthToken as AuthToken
    from .client.client import PresenceClient as PresenceClient
    from .client.config import PresenceConfig as PresenceConfig
    from .client.event_stream import EventStream as EventStream
    from .client.feed.listener import StreamHealth as StreamHealth
    from .client.heartbeat_manager import HeartbeatManager as HeartbeatManager
    from .client.heartbeat_manager import HeartbeatStats as HeartbeatStats
    from .client.heartbeat_manager import RegisterStats as RegisterStats
    from .client.joining import Joining as Joining
    from .client.lease import Lease as Lease
    from .client.lease import LeaseChange as LeaseChange
    from .client.lease import LeaseChanges as LeaseChanges
    from .client.lease import LeaseHealth as LeaseHealth
    from .client.live_count import LiveCount as LiveCount
    from .client.live_count import LiveCountChanges as LiveCountChanges
    from .client.observed import HeartbeatFinished as HeartbeatFinished
    from .client.observed import LoopBlocked as LoopBlocked
    from .client.observed import RequestFinished as RequestFinished
    from .client.observed import RequestOutcome as RequestOutcome
    from .client.observed import StreamChange as StreamChange
    from .client.occupants import OccupantPages as OccupantPages
    from .client.reports import ClosedPresence as ClosedPresence
    from .client.reports import CloseReport as CloseReport
    from .client.retry import ExponentialRetry as ExponentialRetry
    from .client.retry import LinearRetry as LinearRetry
    from .client.retry import NoRetry as NoRetry
    from .client.retry import RetryPolicy as RetryPolicy
    from .client.roster import Roster as Roster
    from .client.roster import RosterChanges as RosterChanges
    from .client.run import run as run
    from .client.telling import Observer as Observer
    from .errors import AccessDeniedError as AccessDeniedError
    from .errors import ClientClosedError as ClientClosedError
    from .errors import ConcurrencyError as ConcurrencyError
    from .errors import ConnectError as ConnectError
    from .errors import ConnectionLostError as ConnectionLostError
    from .errors import DeadlineError as DeadlineError
    from .errors import InvalidArgumentError as InvalidArgumentError
    from .errors import LeaseReleasedError as LeaseReleasedError
    from .errors import PresenceError as PresenceError
    from .errors import RateLimitedError as RateLimitedError
    from .errors import RegisterError as RegisterError
    from .errors import RejectedRequestError as RejectedRequestError
    from .errors import ReplyFormatError as ReplyFormatError
    from .errors import RequestError as RequestError
    from .errors import ServiceError as ServiceError
    from .errors import TransportError as TransportError
    from .errors import UnavailableError as UnavailableError
    from .explain.story import Decision as Decision
    from .explain.story import Explanation as Explanation
    from .protocol.events import GapEvent as GapEvent
    from .protocol.events import IntervalEvent as IntervalEvent
    from .protocol.events import JoinEvent as JoinEvent
    from .protocol.events import LeaveEvent as LeaveEvent
    from .protocol.events import PresenceEvent as PresenceEvent
    from .protocol.events import SnapshotEvent as SnapshotEvent
    from .protocol.events import StateChangeEvent as StateChangeEvent
    from .protocol.events import TimeoutEvent as TimeoutEvent
    from .protocol.events import UnknownEvent as UnknownEvent
    from .protocol.events import UserEvent as UserEvent
    from .protocol.here_now import ChannelOccupancy as ChannelOccupancy
    from .protocol.here_now import HereNow as HereNow
    from .protocol.here_now import HereNowCounts as HereNowCounts
    from .protocol.here_now import Occupant as Occupant
    from .protocol.user_state import UserState as UserState
    from .protocol.where_now import WhereNow as WhereNow

_HOMES = {
    "AccessDeniedError": "errors",
    "AuthToken": "client.auth",
    "ChannelOccupancy": "protocol.here_now",
    "ClientClosedError": "errors",
    "CloseReport": "client.reports",
    "ClosedPresence": "client.reports",
    "ConcurrencyError": "errors",
    "ConnectError": "errors",
    "ConnectionLostError": "errors",
    "DeadlineError": "errors",
    "Decision": "explain.story",
    "EventStream": "client.event_stream",
    "Explanation": "explain.story",
    "ExponentialRetry": "client.retry",
    "GapEvent": "protocol.events",
    "HeartbeatFinished": "client.observed",
    "HeartbeatManager": "client.heartbeat_manager",
    "HeartbeatStats": "client.heartbeat_manager",
    "HereNow": "protocol.here_now",
    "HereNowCounts": "protocol.here_now",
    "IntervalEvent": "protocol.events",
    "InvalidArgumentError": "errors",
    "JoinEvent": "protocol.events",
    "Joining": "client.joining",
    "Lease": "client.lease",
    "LeaseChange": "client.lease",
    "LeaseChanges": "client.lease",
    "LeaseHealth": "client.lease",
    "LeaseReleasedError": "errors",
    "LeaveEvent": "protocol.events",
    "LinearRetry": "client.retry",
    "LiveCount": "client.live_count",
    "LiveCountChanges": "client.live_count",
    "LoopBlocked": "client.observed",
    "NoRetry": "client.retry",
    "Observer": "client.telling",
    "Occupant": "protocol.here_now",
    "OccupantPages": "client.occupants",
    "PresenceClient": "client.client",
    "PresenceConfig": "client.config",
    "PresenceError": "errors",
    "PresenceEvent": "protocol.events",
    "RateLimitedError": "errors",
    "RegisterError": "errors",
    "RegisterStats": "client.heartbeat_manager",
    "RejectedRequestError": "errors",
    "ReplyFormatError": "errors",
    "RequestError": "errors",
    "RequestFinished": "client.observed",
    "RequestOutcome": "client.observed",
    "RetryPolicy": "client.retry",
    "Roster": "client.roster",
    "RosterChanges": "client.roster",
    "ServiceError": "errors",
    "SnapshotEvent": "protocol.events",
    "StateChangeEvent": "protocol.events",
    "StreamChange": "client.observed",
    "StreamHealth": "client.feed.listener",
    "TimeoutEvent": "protocol.events",
    "TransportError": "errors",
    "UnavailableError": "errors",
    "UnknownEvent": "protocol.events",
    "UserEvent": "protocol.events",
    "UserState": "protocol.user_state",
    "WhereNow": "protocol.where_now",
    "run": "client.run",
}

__all__ = [  # noqa: PLE0604  # the keys above, which ruff cannot see
    *sorted(_HOMES)
]


def __getattr__(name: str) -> object:
    return on_first_use(name, _HOMES, globals())


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
