"""What a benchmark says: how far it is, its table, its verdict, and one JSON line."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

LARGEST_CONTROL_GAP = 0.05
LARGEST_STEAL = 0.03
QUICK_MARGIN = 2.5
LINE_EVERY_S = 3.0
PACKAGES = ("presence-async", "aiohttp", "attrs", "msgspec", "yarl", "pubnub", "httpx")


def options_of(doc: str) -> argparse.ArgumentParser:
    """Return a parser with what every benchmark takes; its docstring is the help."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="some seconds: counts and bytes are judged as in a full run, speed with"
        f" a margin of {QUICK_MARGIN:g}",
    )
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    return parser


def progress(text: str) -> None:
    """Say on stderr what is going on."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show how far a long work is; call after each step.

    On a terminal a bar; elsewhere lines, some seconds apart.
    """
    if not sys.stderr.isatty():
        yield _lines(what, total)
        return
    # 0.1 s that a benchmark in a pipe is spared.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=total)
        yield lambda: shown.advance(task)


def _lines(what: str, total: int) -> Callable[[], None]:
    began_s = said_s = time.monotonic()
    done = 0

    def step() -> None:
        nonlocal said_s, done
        done += 1
        now_s = time.monotonic()
        if now_s - said_s >= LINE_EVERY_S:
            said_s = now_s
            left_s = (now_s - began_s) * (total - done) / done
            progress(f"{what}: {done:,} of {total:,}, {left_s:.0f} s to go …")

    return step


@attrs.frozen(kw_only=True)
class Gate:
    """What a value has to be.

    Attributes:
        what: The name of the value.
        value: What was measured.
        limit: The goal.
        is_least: Whether the value has to be at least that, instead of at most.
        is_count: Whether it is a count, or bytes: noise does not change it, so that a
            short run shows as much as a long one.
        control: What the ratio of two identical variants was; 1 if noise had no part.
    """

    what: str
    value: float
    limit: float
    is_least: bool = False
    is_count: bool = False
    control: float = 1.0

    def verdict(self, *, quick: bool, stolen: float) -> str:
        """Return ``passed``, ``missed`` or ``inconclusive``."""
        is_noisy = not self.is_count
        margin = QUICK_MARGIN if quick and is_noisy else 1.0
        gap = abs(self.control - 1)
        if is_noisy and (gap > LARGEST_CONTROL_GAP or stolen > LARGEST_STEAL):
            return "passed" if self._holds(margin / (1 + gap)) else "inconclusive"
        return "passed" if self._holds(margin) else "missed"

    def _holds(self, margin: float) -> bool:
        if self.is_least:
            return self.value * margin >= self.limit
        return self.value <= self.limit * margin


def judged(gates: Sequence[Gate], *, quick: bool, stolen: float = 0.0) -> str:
    """Print how each gate fared; return the outcome of all."""
    verdicts = [gate.verdict(quick=quick, stolen=stolen) for gate in gates]
    rows = [
        (
            gate.what,
            shown(gate.value),
            f"{'>=' if gate.is_least else '<='} {shown(gate.limit)}",
            "" if gate.control == 1 else f"{gate.control:.2f}",
            verdict,
        )
        for gate, verdict in zip(gates, verdicts, strict=True)
    ]
    print_table(("goal", "measured", "limit", "control", "verdict"), rows)
    if quick:
        print(
            f"--quick: counts and bytes judged strictly, speed times {QUICK_MARGIN:g}"
        )
    for outcome in ("missed", "inconclusive"):
        named = [g.what for g, v in zip(gates, verdicts, strict=True) if v == outcome]
        if named:
            return f"{outcome}: {'; '.join(named)}"
    return "passed"


def conclude(
    name: str, outcome: str, values: Mapping[str, object], unit: str, **facts: object
) -> int:
    """Print the outcome and the JSON line; return the exit code."""
    print(outcome)
    print_result(name, {"outcome": outcome, **facts, **values}, unit)
    return int(outcome.startswith("missed"))


def shown(value: object) -> str:
    """Return a number with three digits or so."""
    if isinstance(value, bool) or not isinstance(value, float):
        return f"{value:,}" if type(value) is int else str(value)
    if abs(value) >= 100 or value == int(value):  # noqa: PLR2004  # three digits
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"  # noqa: PLR2004


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under headings, names to the left and numbers to the right."""
    cells = [list(headings), *[[shown(cell) for cell in row] for row in rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        first, *others = zip(row, widths, strict=True)
        line = [f"{first[0]:<{first[1]}}", *[f"{c:>{width}}" for c, width in others]]
        print("  ".join(line).rstrip())
    print()


def print_cases(
    cases: Mapping[str, Mapping[str, object]], heading: str = "case"
) -> None:
    """Print a table of cases with their values by name."""
    names = list(dict.fromkeys(name for values in cases.values() for name in values))
    rows = [[case, *[of.get(name, "") for name in names]] for case, of in cases.items()]
    print_table((heading, *names), rows)


def print_result(name: str, values: Mapping[str, object], unit: str) -> None:
    """Print the one JSON line of a benchmark."""
    print(
        json.dumps({
            "name": name,
            "value": values,
            "unit": unit,
            "versions": versions(),
            "machine": machine(),
        })
    )


def versions() -> dict[str, str]:
    """Return the versions of what is measured."""
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def machine() -> str:
    """Return what all this ran on."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    kind = next(
        (x.split(":")[1].strip() for x in text.splitlines() if "model name" in x), ""
    )
    return (
        f"{os.cpu_count()} cores, {kind or platform.machine()},"
        f" Python {platform.python_version()}"
    )
