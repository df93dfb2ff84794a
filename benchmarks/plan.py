"""Does ``presence-async plan`` predict what the emulator counts?

    python benchmarks/plan.py            # four settings, a week each: some minutes
    python benchmarks/plan.py --quick    # two of them, two days each

Example: ``python benchmarks/plan.py | grep missed`` shows what is predicted badly.

Users come and go in virtual time, and observers watch them. Each kind of request and
event that is predicted to happen at least 300 times has to be counted as often, within
1 %. Of a few days more is left to chance: 5 % with ``--quick``.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import attrs
from reporting import Gate, bar, conclude, judged, options_of, print_table

from presence_async.planning.situation import Situation
from presence_async.planning.usage import Usage, usage_of
from presence_async.testing import VirtualLoop

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.planning.lived import Counted, lived

WEEK_DAYS = 7
QUICK_DAYS = 2
MOST_PERCENT = 1
MOST_PERCENT_QUICK = 5
MANY = 300

BUSY = Situation(
    users=30,
    hours=4,
    sessions=2,
    channels=2,
    rooms=3,
    presence_timeout_s=600,
    state_changes=1,
    crashes=0.1,
    reloads=4,
    observers=2,
    watched=2,
)
SETTINGS = {
    "rosters, reloads, crashes": BUSY,
    "live counts, leaves linger": attrs.evolve(
        BUSY, crashes=0, linger_s=5, view="count"
    ),
    "streams of an office": Situation(
        users=60,
        hours=8,
        day_hours=10,
        presence_timeout_s=900,
        observers=1,
        view="stream",
        observer_hours=12,
    ),
    "a roster of a large room": Situation(
        users=60,
        hours=8,
        sessions=4,
        presence_timeout_s=900,
        announce_max=2,
        observers=1,
    ),
}


def compared(usage: Usage, counted: Counted) -> dict[str, tuple[float, int]]:
    """Return prediction and count of whatever was predicted often enough."""
    pairs = {
        **{
            f"{n} requests": (x, counted.requests[n]) for n, x in usage.requests.items()
        },
        **{f"{n} events": (x, counted.events[n]) for n, x in usage.events.items()},
        "deliveries": (usage.deliveries, counted.deliveries),
    }
    return {name: pair for name, pair in pairs.items() if pair[0] >= MANY}


def main() -> int:
    quick = options_of(__doc__).parse_args().quick
    days = QUICK_DAYS if quick else WEEK_DAYS
    settings = dict(list(SETTINGS.items())[:2]) if quick else SETTINGS
    logging.getLogger("presence_async").setLevel(logging.CRITICAL)
    gates, worst = [], {}
    with bar("a plan: settings", len(settings)) as step:
        for name, situation in settings.items():
            with asyncio.Runner(loop_factory=VirtualLoop) as runner:
                counted = runner.run(lived(situation, days))
            pairs = compared(usage_of(situation, days), counted)
            off = {what: 100 * (got / x - 1) for what, (x, got) in pairs.items()}
            rows = [
                (n, round(x), got, f"{off[n]:+.2f}") for n, (x, got) in pairs.items()
            ]
            print_table((name, "predicted", "counted", "off, %"), rows)
            worst[name] = max(map(abs, off.values()))
            limit = MOST_PERCENT_QUICK if quick else MOST_PERCENT
            what = f"{name}: off, %"
            gates.append(Gate(what=what, value=worst[name], limit=limit, is_count=True))
            step()
    outcome = judged(gates, quick=quick)
    return conclude("plan", outcome, worst, "% of the prediction", days=days)


if __name__ == "__main__":
    sys.exit(main())
