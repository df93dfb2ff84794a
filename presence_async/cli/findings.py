"""How findings about a keyset are shown: a line each, and a spinner while they wait.

Only loaded by the commands that show them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

import presence_async

from ..doctor.examination import LONG, QUICK, Limits, Phase
from ..doctor.finding import Finding, Report, Verdict
from .output import say, shown

__all__ = ["Progress", "closing_line", "line", "not_tried_line", "opening_line"]

_NAME_WIDTH = 20
_MARKS = {
    Verdict.OK: ("✓", "ok"),
    Verdict.WARNING: ("!", "!"),
    Verdict.PROBLEM: ("✗", "NO"),
    Verdict.UNKNOWN: ("·", "?"),
}
_ARROW = ("→", "->")


def line(finding: Finding) -> str:
    """Return a finding on one line: mark, name, text and remedy."""
    plain = not _takes_marks()
    mark = _MARKS[finding.verdict][plain]
    remedy = f" {_ARROW[plain]} {finding.remedy}" if finding.remedy else ""
    name = f"{finding.name:<{_NAME_WIDTH}}"
    return f"{mark:<{1 + plain}} {name} {shown(finding.text + remedy)}"


def not_tried_line(findings: Iterable[Finding]) -> str | None:
    """Return one line about all that was not tried; ``None`` if all was."""
    names = [finding.name for finding in findings if not finding.was_tried]
    if not names:
        return None
    plain = not _takes_marks()
    mark = _MARKS[Verdict.UNKNOWN][plain]
    return f"{mark:<{1 + plain}} {'not tried':<{_NAME_WIDTH}} {', '.join(names)}"


def closing_line(report: Report) -> str:
    """Return how it looks in all."""
    counts = {
        verdict: sum(finding.verdict is verdict for finding in report.findings)
        for verdict in Verdict
    }
    problems = _counted(counts[Verdict.PROBLEM], "problem")
    warnings = _counted(counts[Verdict.WARNING], "warning")
    if report.has_problems:
        return f"{problems} to solve first, {warnings}"
    # Whoever saw a user appear has a connection, good keys and Presence.
    if any(
        f.name == "tracking" and f.verdict is Verdict.UNKNOWN for f in report.findings
    ):
        return f"no problem found, but presence was not seen to work; {warnings}"
    return f"nothing keeps presence from working; {warnings}"


def opening_line(
    config: presence_async.PresenceConfig, limits: Limits, *, is_quick: bool
) -> str:
    """Return what is examined, and how long it may take."""
    phases = QUICK if is_quick else (*QUICK, *LONG)
    seconds = sum(phase.lasts_s(limits) for phase in phases)
    return (
        f"examining {shown(config.subscribe_key)} at {config.base_url}, for up to"
        f" {seconds:.0f} s"
    )


class Progress:
    """Shows on stderr, if that is a terminal, what is being measured.

    ``with Progress(limits) as progress``; lines for stdout go through ``say``.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._live: Live | None = None
        console = Console(stderr=True, highlight=False)
        if console.is_terminal and not console.is_dumb_terminal:
            self._spinner = Spinner("dots" if _takes_marks() else "line")
            self._live = Live(
                self._spinner,
                console=console,
                refresh_per_second=8,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def phase(self, phase: Phase) -> None:
        """Show which probes run now, and for how long."""
        if self._live is None:
            return
        seconds = phase.lasts_s(self._limits)
        until = f" (up to {seconds:.0f} s)" if seconds else ""
        names = ", ".join(probe.name for probe in phase.probes)
        self._spinner.update(
            text=Text(f"{names}{until}", overflow="ellipsis", no_wrap=True)
        )

    def say(self, text: str) -> None:
        """Print a line on stdout, out of the way of the spinner."""
        if self._live is not None:
            self._live.stop()
        say(text)
        if self._live is not None:
            self._live.start()


def _takes_marks() -> bool:
    """Return True if the output can encode the marks."""
    try:
        "✓✗·→".encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
