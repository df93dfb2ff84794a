"""A count over the last minutes, drawn as one line of little bars."""

from __future__ import annotations

from collections import deque

__all__ = ["CountHistory", "sparkline"]

_BARS = " ▁▂▃▄▅▆▇█"
_ASCII_BARS = " .,:-=+*#"
_STEP_S = 5
_STEPS = 60


class CountHistory:
    """The counts of the last five minutes, one for each five seconds."""

    def __init__(self) -> None:
        # Steps in which the count changed, with the last count of each.
        self._changes: deque[tuple[int, int]] = deque()

    def note(self, count: int, now_s: float) -> None:
        """Take the count from now on."""
        step = int(now_s // _STEP_S)
        if self._changes and self._changes[-1][0] == step:
            self._changes.pop()
        self._changes.append((step, count))
        # The last change before them tells what the first of them were.
        while len(self._changes) > 1 and self._changes[1][0] <= step - _STEPS:
            self._changes.popleft()

    def counts(self, length: int, now_s: float) -> list[int]:
        """Return the counts of up to ``length`` last steps, oldest first."""
        if not self._changes:
            return []
        last = int(now_s // _STEP_S)
        first = max(self._changes[0][0], last - min(length, _STEPS) + 1)
        changes, count, found = list(self._changes), 0, []
        for step in range(first, last + 1):
            while changes and changes[0][0] <= step:
                count = changes.pop(0)[1]
            found.append(count)
        return found


def sparkline(counts: list[int], *, ascii_only: bool = False) -> str:
    """Draw counts as bars from 0 to the largest; whoever is there is seen."""
    bars = _ASCII_BARS if ascii_only else _BARS
    top = max(counts, default=0) or 1
    return "".join(bars[-(-count * (len(bars) - 1) // top)] for count in counts)
