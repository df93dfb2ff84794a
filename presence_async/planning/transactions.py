"""How PubNub meters a usage, and what that costs at given prices.

Source, read 2026-11: https://www.pubnub.com/docs/transaction-classification has setting
a state and every published presence event among the replicated transactions, and
https://www.pubnub.com/docs/portal/usage/billable-metrics subscribe and here now among
the edge transactions. https://support.pubnub.com/hc/en-us/articles/360051974811 counts
an edge transaction for every client that receives a presence event. Unverified: that
heartbeats, leaves and subscribes without an event are edge transactions, and whether
answers above 2 KiB, the documented unit, count several times. Here they count once.

The second page counts active users, too; how a plan prices them is unverified.
"""

from __future__ import annotations

import math

import attrs

from ..checks import number, validator
from .usage import Usage

__all__ = ["Prices", "Transactions", "transactions"]

_MILLION = 1e6
_price = validator(number, least=0)


@attrs.frozen(kw_only=True)
class Transactions:
    """What is metered.

    Attributes:
        edge: Requests that read, and events that are received.
        replicated: Events that are published, and states that are set.
    """

    edge: float
    replicated: float

    @property
    def total(self) -> float:
        """Both."""
        return self.edge + self.replicated


@attrs.frozen(kw_only=True)
class Prices:
    """What is paid, in any currency; none is known to the library.

    Attributes:
        edge: For a million edge transactions.
        replicated: For a million replicated transactions.
        user: For an active user, in a month.
    """

    edge: float = attrs.field(default=0, validator=_price)
    replicated: float = attrs.field(default=0, validator=_price)
    user: float = attrs.field(default=0, validator=_price)

    @property
    def are_given(self) -> bool:
        """Whether anything costs anything."""
        return max(self.edge, self.replicated, self.user) > 0

    def cost(self, metered: Transactions, users: int) -> float:
        """Return what a month costs.

        Args:
            metered: The transactions of a month.
            users: How many are active in it.
        """
        parts = (metered.edge * self.edge, metered.replicated * self.replicated)
        return math.fsum(parts) / _MILLION + users * self.user


def transactions(usage: Usage) -> Transactions:
    """Return how a usage is metered."""
    requests = usage.requests
    edge = requests["heartbeat"] + requests["leave"] + requests["here now"]
    return Transactions(
        edge=edge + usage.quiet_subscribes + usage.deliveries,
        replicated=math.fsum(usage.events.values()) + requests["set state"],
    )
