"""Facts that concern every user: the service, the machine, the process."""

from __future__ import annotations

from .facts import Fact

__all__ = [
    "Alive",
    "Blocked",
    "Closed",
    "Ended",
    "OutageBegan",
    "OutageEnded",
    "RegisterBack",
    "RegisterLost",
    "Slept",
    "Started",
]


class OutageBegan(Fact, frozen=True, kw_only=True):
    """The heartbeats of several users failed in a row."""

    users: int
    why: str = ""


class OutageEnded(Fact, frozen=True, kw_only=True):
    """A heartbeat came through again.

    Attributes:
        since: When the outage began.
        attempts: How many heartbeats failed meanwhile, of whichever user.
    """

    since: float
    attempts: int = 0


class Blocked(Fact, frozen=True, kw_only=True):
    """The event loop could do nothing for some seconds, which ended then."""

    for_s: float


class Slept(Fact, frozen=True, kw_only=True):
    """The machine slept for some seconds, or its clock was set forward by them."""

    for_s: float


class RegisterLost(Fact, frozen=True, kw_only=True):
    """The register that several processes share is away."""

    why: str


class RegisterBack(Fact, frozen=True, kw_only=True):
    """The register answers again."""

    away_s: float


class Started(Fact, frozen=True, kw_only=True):
    """A client began to write into a file.

    Attributes:
        host: The machine.
        pid: The process.
        version: Of the library.
        users: How many users it keeps.
        is_more: Whether it goes on in a new file.
    """

    host: str
    pid: int
    version: str = ""
    users: int = 0
    is_more: bool = False


class Alive(Fact, frozen=True, kw_only=True):
    """A client is open and keeps users."""

    users: int


class Closed(Fact, frozen=True, kw_only=True):
    """A client was closed in order."""


class Ended(Fact, frozen=True, kw_only=True):
    """A client's process ended without closing it; concluded, never written."""
