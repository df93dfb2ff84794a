"""Do clients that share a register keep its promises, whatever goes wrong?

    python benchmarks/shared_model.py                  # 10,000 schedules, half an hour
    python benchmarks/shared_model.py --quick          # 60
    python benchmarks/shared_model.py --schedules 500 --seed 7

Example: the last line tries 500 schedules from the seventh on.

Each schedule is a world of its own in virtual time, made from its seed: several whole
clients, the emulator, processes that are killed, restarted and closed, a register that
is away, hangs and forgets, leaves that are slow and heartbeats that are lost
(tests/sharing/schedules.py says which rules hold). Gate: no schedule breaks a rule. The
first one that does is told as a story, and nothing more is tried.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from reporting import Gate, bar, conclude, judged, options_of, print_table

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.sharing.schedules import failure_of

SCHEDULES = 10_000
FEW = 60


def first_failure(seed: int, schedules: int) -> tuple[int, str] | None:
    """Return the first seed whose schedule breaks a rule, and its story."""
    with bar("schedules", schedules) as step:
        for number in range(schedules):
            story = failure_of(seed + number)
            if story is not None:
                return seed + number, story
            step()
    return None


def main() -> int:
    # What breaks is the point here; a log line about each would drown the story.
    logging.disable(logging.CRITICAL)
    parser = options_of(__doc__)
    parser.add_argument("--schedules", type=int, help=f"instead of {SCHEDULES:,}")
    parser.add_argument("--seed", type=int, default=0, help="of the first schedule")
    options = parser.parse_args()
    schedules = options.schedules or (FEW if options.quick else SCHEDULES)
    began_cpu_s = time.process_time()
    failed = first_failure(options.seed, schedules)
    if failed is not None:
        print(failed[1])
    values = {
        "schedules": schedules,
        "seed that breaks a rule": None if failed is None else failed[0],
        "CPU s": time.process_time() - began_cpu_s,
    }
    print_table(("shared model", ""), list(values.items()))
    gate = Gate(
        what="broken rules", value=float(failed is not None), limit=0, is_count=True
    )
    return conclude("shared_model", judged([gate], quick=options.quick), values, "s")


if __name__ == "__main__":
    sys.exit(main())
