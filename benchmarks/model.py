"""Does the presence engine keep its promises, whatever goes wrong?

    python benchmarks/model.py                  # 100,000 schedules, some minutes
    python benchmarks/model.py --quick          # 2,000
    python benchmarks/model.py --schedules 500 --seed 7

Each schedule is a world of its own, made from its seed: callers, a network on which
everything goes wrong, and a service, without loop or socket, in a time of its own
(tests/presence). Gate: no schedule breaks a rule. The first one that does is made as
short as it gets and told as a story, and nothing more is tried.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from measuring import print_result, progress

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.presence.schedules import failure_of, made, shortest, story_of

SCHEDULES = 100_000
FEW = 2_000
EVERY = 1_000


def first_failure(seed: int, schedules: int) -> int | None:
    """Return the first seed whose schedule breaks a rule; tell how far it is."""
    began_s = time.monotonic()
    for number in range(schedules):
        if number and number % EVERY == 0:
            left_s = (time.monotonic() - began_s) * (schedules - number) / number
            progress(f"{number:,} of {schedules:,} hold, {left_s:.0f} s to go …")
        if failure_of(made(seed + number)) is not None:
            return seed + number
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{FEW:,} schedules")
    parser.add_argument("--schedules", type=int, help=f"instead of {SCHEDULES:,}")
    parser.add_argument("--seed", type=int, default=0, help="of the first schedule")
    options = parser.parse_args()
    schedules = options.schedules or (FEW if options.quick else SCHEDULES)
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    failed = first_failure(options.seed, schedules)
    outcome = "passed"
    if failed is not None:
        progress(f"the schedule of seed {failed} breaks a rule; making it shorter …")
        print(story_of(shortest(made(failed))))
        outcome = f"seed {failed} breaks a rule"
    print(outcome)
    values = {
        "outcome": outcome,
        "schedules": schedules,
        "wall": round(time.monotonic() - began_s, 1),
        "cpu": round(time.process_time() - began_cpu_s, 1),
    }
    print_result("model", values, "s")
    return 0 if failed is None else 1


if __name__ == "__main__":
    sys.exit(main())
