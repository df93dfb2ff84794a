"""The kinds of outages that presence, rosters and streams get over by themselves."""

from __future__ import annotations

import math

import attrs

from presence_async.emulator import Fault

SIGN_IN = b"<html>sign in</html>"
KINDS = {
    "cut": Fault(cut=True),
    "lost reply": Fault(cut=True, at="after_effect"),
    "half-open": Fault(delay_s=math.inf),
    "slow": Fault(delay_s=60),
    "408": Fault(status=408),
    "429": Fault(status=429),
    "500": Fault(status=500),
    "503": Fault(status=503, retry_after_s=3600),
    # A captive portal sends the client to its own page, or answers with it.
    "portal": Fault(status=302),
    "portal page": Fault(body=SIGN_IN),
}


def outage(kind: str, operation: str | None = None, *, for_s: float | None) -> Fault:
    """Return an outage of a kind that lasts so many seconds; ``None``: for ever."""
    return attrs.evolve(KINDS[kind], operation=operation, for_s=for_s)
