"""Does the presence engine keep its promises, whatever goes wrong?

    python benchmarks/model.py                  # 100,000 schedules, some minutes
    python benchmarks/model.py --quick          # 1,000
    python benchmarks/model.py --schedules 500 --seed 7

Example: the last line tries 500 schedules from the seventh on.

Each schedule is a world of its own, made from its seed: callers, a network on which
everything goes wrong, and a service, without loop or socket, in a time of its own
(tests/presence). Gate: no schedule breaks a rule. The first one that does is made as
short as it gets and told as a story, and nothing more is tried.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from reporting import Gate, bar, conclude, judged, options_of, print_table, progress

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.presence.schedules import failure_of, made, shortest, story_of

SCHEDULES = 100_000
FEW = 1_000


def first_failure(seed: int, schedules: int) -> int | None:
    """Return the first seed whose schedule breaks a rule."""
    with bar("schedules", schedules) as step:
        for number in range(schedules):
            if failure_of(made(seed + number)) is not None:
                return seed + number
            step()
    return None


def main() -> int:
    parser = options_of(__doc__)
    parser.add_argument("--schedules", type=int, help=f"instead of {SCHEDULES:,}")
    parser.add_argument("--seed", type=int, default=0, help="of the first schedule")
    options = parser.parse_args()
    schedules = options.schedules or (FEW if options.quick else SCHEDULES)
    began_cpu_s = time.process_time()
    failed = first_failure(options.seed, schedules)
    if failed is not None:
        progress(f"the schedule of seed {failed} breaks a rule; making it shorter …")
        print(story_of(shortest(made(failed))))
    values = {
        "schedules": schedules,
        "seed that breaks a rule": failed,
        "CPU s": time.process_time() - began_cpu_s,
    }
    print_table(("model", ""), list(values.items()))
    gate = Gate(
        what="broken rules", value=float(failed is not None), limit=0, is_count=True
    )
    return conclude("model", judged([gate], quick=options.quick), values, "s")


if __name__ == "__main__":
    sys.exit(main())
