"""When leases joined, for ``explain``: noted where it takes no memory of its own.

A lease refers to its ``Moment``, which it shares with those that joined when it did;
only this file sets another one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["JoinTimes", "Moment", "forget", "moment_of"]

_AT_ONCE_S = 0.5


class Moment(NamedTuple):
    """What a lease has in common with those that joined at the same moment.

    Attributes:
        calls: The ``PresenceCalls`` of the leases.
        joined_at: Unix time of the first acknowledged heartbeat; 0.0 before, or if
            nothing is kept for ``explain``.
        late_s: How long that took, if it was long.
    """

    calls: Any
    joined_at: float = 0.0
    late_s: float = 0.0


# A ``lease`` is a ``Lease``, which this stands below.


class JoinTimes:
    """Notes when leases join."""

    def __init__(self) -> None:
        self._latest: Moment | None = None

    def note(self, lease: Any, now_s: float, late_s: float = 0.0) -> None:  # noqa: ANN401
        """Note that a lease joins now, give or take half a second."""
        latest = self._latest
        if (
            latest is None
            or late_s != latest.late_s
            or not 0 <= now_s - latest.joined_at < _AT_ONCE_S
        ):
            latest = Moment(lease._moment.calls, now_s, late_s)  # noqa: SLF001
            self._latest = latest
        lease._moment = latest  # noqa: SLF001


def moment_of(lease: Any) -> Moment:  # noqa: ANN401
    """Return what a lease has in common with those that joined when it did."""
    moment: Moment = lease._moment  # noqa: SLF001
    return moment


def forget(lease: Any) -> None:  # noqa: ANN401
    """Forget when a lease joined: that is told elsewhere from now on."""
    lease._moment = lease._moment.calls.moment  # noqa: SLF001
