"""The small records of a user's table: what was told of a name, and a round."""

from __future__ import annotations

from .merging import Beat
from .names import Name

__all__ = ["Round", "Told"]


class Told:
    """What the service has been told about one name that a claim holds.

    Attributes:
        name: The name.
        until_s: When the last acknowledged heartbeat runs out.
        timeout_s: The timeout it carried.
        version: The version of the state last acknowledged; -1 for none.
        trouble: Why the latest heartbeat for the name failed; ``None`` if it did not.
        is_refused: Whether that was a refusal.
    """

    __slots__ = ("is_refused", "name", "timeout_s", "trouble", "until_s", "version")

    def __init__(
        self, name: Name, until_s: float, timeout_s: int, version: int
    ) -> None:
        self.name: Name = name
        self.until_s: float
        self.timeout_s: int
        self.version: int
        self.trouble: str | None
        self.is_refused: bool
        self.renew(until_s, timeout_s, version)

    def renew(self, until_s: float, timeout_s: int, version: int) -> None:
        """Note another acknowledged heartbeat."""
        self.until_s, self.timeout_s, self.version = until_s, timeout_s, version
        self.trouble, self.is_refused = None, False


class Round:
    """The heartbeats that keep all names of a user, sent one after another.

    Attributes:
        beats: What is still to be sent.
        attempt_s: How long each may be on the wire.
        due_s: Since when the round has been due.
        has_begun: Whether one of them was sent.
        is_answered: Whether the service acknowledged or refused one of them.
        is_pressing: Whether one failed that may fare better soon.
        is_about_service: Whether what failed concerns other users, too.
        retry_after_s: Seconds the service asked to wait; 0.0 if it did not.
    """

    __slots__ = (
        "attempt_s",
        "beats",
        "due_s",
        "has_begun",
        "is_about_service",
        "is_answered",
        "is_pressing",
        "retry_after_s",
    )

    def __init__(self, beats: list[Beat], attempt_s: float, due_s: float) -> None:
        self.beats: list[Beat] = beats
        self.attempt_s: float = attempt_s
        self.due_s: float = due_s
        self.has_begun: bool = False
        self.is_answered: bool = False
        self.is_pressing: bool = False
        self.is_about_service: bool = False
        self.retry_after_s: float = 0.0
