"""What does it cost to import the package, and to read its help?

    python benchmarks/imports.py            # a minute
    python benchmarks/imports.py --quick    # some seconds

Example: ``python benchmarks/imports.py | grep '^client'`` shows the line about
``from presence_async import PresenceClient``.

Each is a fresh process, with bytecode, as pip installs it; all alternate in random
order. The reference is ``import aiohttp, attrs, msgspec``, which every client needs;
``libraries again`` is its twin, the control. Ratios are of the CPU of imports alone, in
the same round; the other figures are of the whole process, its begin and end included.
``everything`` is every public name, which a program imports bit by bit as it uses them.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import attrs
from measuring import steal_share
from reporting import Gate, bar, conclude, judged, options_of, print_cases

ROUNDS, QUICK_ROUNDS = 20, 2
MOST_OF_LIBRARIES = 1.15
MOST_HELP_S = 0.45
LIBRARIES = "import aiohttp, attrs, msgspec"
EVERYTHING = """
import presence_async
for name in presence_async.__all__:
    getattr(presence_async, name)
"""
HELP = """
import sys
from presence_async.__main__ import main
sys.argv[1:] = ["--help"]
try:
    main()
except SystemExit:
    pass
"""
CASES = {
    "python": "",
    "libraries": LIBRARIES,
    "libraries again": LIBRARIES,
    "package": "import presence_async",
    "client": "from presence_async import PresenceClient",
    "everything": EVERYTHING,
    "--help": HELP,
    "--help again": HELP,
}
BEGIN = "import time; began_s = time.process_time()\n"
# Its own peak: what the kernel reports of a child begins with its parent's.
TELL = """
cpu_s = time.process_time() - began_s
import sys
with open("/proc/self/status") as status:
    (peak_kb,) = [line.split()[1] for line in status if "VmHWM" in line]
print(cpu_s, peak_kb, file=sys.stderr)
"""


@attrs.frozen
class Cost:
    """What one process took, and its imports alone."""

    import_s: float
    cpu_s: float
    clock_s: float
    peak_bytes: int


Round = dict[str, Cost]


def cost_of(code: str, environment: dict[str, str]) -> Cost:
    before_s, began_s = children_cpu_s(), time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-c", BEGIN + code + TELL],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    import_s, peak_kb = process.stderr.split()
    return Cost(
        import_s=float(import_s),
        cpu_s=children_cpu_s() - before_s,
        clock_s=time.perf_counter() - began_s,
        peak_bytes=int(peak_kb) * 1024,
    )


def children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(rounds: int) -> list[Round]:
    """Return what each case took in each round, after one that writes bytecode."""
    rng = random.Random(1)  # noqa: S311  # an order, no secret
    found: list[Round] = []
    with tempfile.TemporaryDirectory() as bytecode, bar("imports", rounds + 1) as step:
        environment = {
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": bytecode,
            "PYTHONPATH": str(Path(__file__).parent.parent),
        }
        for _ in range(rounds + 1):
            names = rng.sample(list(CASES), len(CASES))
            found.append({name: cost_of(CASES[name], environment) for name in names})
            step()
    return found[1:]


def of_libraries(rounds: list[Round], name: str) -> float:
    """Return how many times the CPU of the libraries an import takes."""
    return median(
        2
        * one[name].import_s
        / (one["libraries"].import_s + one["libraries again"].import_s)
        for one in rounds
    )


def shown_costs(rounds: list[Round], name: str) -> dict[str, object]:
    return {
        "imports, ms": median(one[name].import_s for one in rounds) * 1e3,
        "CPU, ms": median(one[name].cpu_s for one in rounds) * 1e3,
        "clock, ms": median(one[name].clock_s for one in rounds) * 1e3,
        "peak, MB": median(one[name].peak_bytes for one in rounds) / 1e6,
        "imports / libraries": of_libraries(rounds, name),
    }


def twins(rounds: list[Round], name: str) -> float:
    """Return the ratio of two identical cases."""
    return median(one[f"{name} again"].import_s / one[name].import_s for one in rounds)


def gates(rounds: list[Round]) -> list[Gate]:
    return [
        Gate(
            what="client / libraries",
            value=of_libraries(rounds, "client"),
            limit=MOST_OF_LIBRARIES,
            control=twins(rounds, "libraries"),
        ),
        Gate(
            what="--help, s on the clock",
            value=median(one["--help"].clock_s for one in rounds),
            limit=MOST_HELP_S,
            control=twins(rounds, "--help"),
        ),
    ]


def main() -> int:
    options = options_of(__doc__).parse_args()
    stolen = steal_share()
    rounds = measure(QUICK_ROUNDS if options.quick else ROUNDS)
    found = {name: shown_costs(rounds, name) for name in CASES}
    print_cases(found, "process")
    outcome = judged(gates(rounds), quick=options.quick, stolen=stolen())
    return conclude("imports", outcome, found, "ratio of CPU, milliseconds, megabytes")


if __name__ == "__main__":
    sys.exit(main())
