"""When a failed request is tried again: pure arithmetic, no clock, no IO."""

from __future__ import annotations

import random

import attrs

from ..checks import Field, at_least_one, positive_finite
from ..errors import InvalidArgumentError
from ..presence.claims import RetryPolicy
from ..presence.patience import NoRetry

__all__ = [
    "ExponentialRetry",
    "LinearRetry",
    "NoRetry",
    "RetryPolicy",
    "retry_policy",
]

_LARGEST_EXPONENT = 60


@attrs.frozen(kw_only=True)
class ExponentialRetry:
    """Wait at random between 0 and ``min(cap_s, base_s * 2**n)``: full jitter.

    Attributes:
        base_s: The upper end of the first wait, in seconds.
        cap_s: The upper end of every wait, in seconds.
        attempts: Requests in all, the first included; ``math.inf`` for no limit.
    """

    base_s: float = attrs.field(default=0.25, validator=positive_finite)
    cap_s: float = attrs.field(default=5.0, validator=positive_finite)
    attempts: int | float = attrs.field(  # an int stays one in msgspec
        default=4, validator=at_least_one
    )

    def delay_s(self, failures: int, rng: random.Random) -> float | None:
        """Return a wait with full jitter, or ``None`` after the last attempt."""
        if failures >= self.attempts:
            return None
        exponent = min(failures - 1, _LARGEST_EXPONENT)
        return rng.uniform(0, min(self.cap_s, self.base_s * 2**exponent))


@attrs.frozen(kw_only=True)
class LinearRetry:
    """Wait the same time before each attempt, spread by a jitter.

    Attributes:
        wait_s: Seconds between attempts.
        jitter_s: Up to so many seconds more, at random.
        attempts: Requests in all, the first included; ``math.inf`` for no limit.
    """

    wait_s: float = attrs.field(default=2.0, validator=positive_finite)
    jitter_s: float = attrs.field(default=1.0, validator=positive_finite)
    attempts: int | float = attrs.field(  # an int stays one in msgspec
        default=4, validator=at_least_one
    )

    def delay_s(self, failures: int, rng: random.Random) -> float | None:
        """Return the wait, or ``None`` after the last attempt."""
        if failures >= self.attempts:
            return None
        return self.wait_s + rng.uniform(0, self.jitter_s)


def retry_policy(_: object, field: Field, value: object) -> None:
    """Reject values that are not retry policies, such as a policy class."""
    if isinstance(value, type) or not callable(getattr(value, "delay_s", None)):
        raise InvalidArgumentError(
            field.name,
            "must be a retry policy; write ExponentialRetry() or NoRetry()",
        )
