"""What a probe found, how bad it is, and what to do about it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import attrs

from ..emulator.profile import EmulatorProfile

__all__ = [
    "ACCEPTED",
    "MAXIMUM",
    "PROFILE_FIELDS",
    "Finding",
    "Report",
    "Verdict",
    "not_tried",
    "ok",
    "problem",
    "unknown",
    "warning",
]

PROFILE_FIELDS: tuple[str, ...] = tuple(EmulatorProfile().to_dict())
"""The names of what makes a profile."""

ACCEPTED = "accepted_timeout_s"
"""The name of the longest timeout that was waited for, if it was not lowered."""

MAXIMUM = "max_presence_timeout_s"
"""The field of a profile to which longer timeouts are lowered."""


class Verdict(enum.StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class Finding:
    """One line about a keyset.

    Attributes:
        name: What was looked at, such as ``"clock"``.
        verdict: How bad it is.
        text: What was found, on one line and without secrets.
        remedy: What to do; empty if there is nothing to do.
        measured: Figures by name; those named like a field of ``EmulatorProfile`` are
            that field's value. Times are in seconds.
        was_tried: Whether anything was asked; an earlier finding may make it pointless.
    """

    name: str
    verdict: Verdict
    text: str
    remedy: str = ""
    measured: Mapping[str, Any] = attrs.field(factory=dict)
    was_tried: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return the fields ready for JSON."""
        return {
            "name": self.name,
            "verdict": str(self.verdict),
            "text": self.text,
            "remedy": self.remedy,
            "measured": dict(self.measured),
            "was_tried": self.was_tried,
        }


def ok(name: str, text: str, **measured: object) -> Finding:
    """Return a finding about which there is nothing to do."""
    return Finding(name=name, verdict=Verdict.OK, text=text, measured=measured)


def warning(name: str, text: str, remedy: str, **measured: object) -> Finding:
    """Return a finding that may become a problem."""
    return Finding(
        name=name,
        verdict=Verdict.WARNING,
        text=text,
        remedy=remedy,
        measured=measured,
    )


def problem(name: str, text: str, remedy: str, **measured: object) -> Finding:
    """Return a finding that keeps presence from working."""
    return Finding(
        name=name,
        verdict=Verdict.PROBLEM,
        text=text,
        remedy=remedy,
        measured=measured,
    )


def unknown(name: str, text: str, **measured: object) -> Finding:
    """Return a finding that could not be made, or not all of it."""
    return Finding(name=name, verdict=Verdict.UNKNOWN, text=text, measured=measured)


def not_tried(name: str, why: str) -> Finding:
    """Return a finding about which nothing was asked."""
    return Finding(
        name=name,
        verdict=Verdict.UNKNOWN,
        text=f"not tried: {why}",
        was_tried=False,
    )


@attrs.frozen
class Report:
    """All findings about a keyset, in the order in which they were made."""

    findings: tuple[Finding, ...]

    @property
    def has_problems(self) -> bool:
        """Whether anything keeps presence from working."""
        return any(f.verdict is Verdict.PROBLEM for f in self.findings)

    @property
    def measured(self) -> dict[str, Any]:
        """The fields of ``EmulatorProfile`` that were measured."""
        return {n: value for n, value in self._figures.items() if n in PROFILE_FIELDS}

    @property
    def apparent(self) -> dict[str, Any]:
        """The same, and no maximum where none was found up to the longest timeout."""
        no_maximum = {MAXIMUM: None} if ACCEPTED in self._figures else {}
        return {**self.measured, **no_maximum}

    @property
    def _figures(self) -> dict[str, Any]:
        return {n: x for finding in self.findings for n, x in finding.measured.items()}

    @property
    def not_measured(self) -> tuple[str, ...]:
        """The other fields of ``EmulatorProfile``."""
        return tuple([name for name in PROFILE_FIELDS if name not in self.measured])

    def profile(self) -> EmulatorProfile:
        """Return the profile; what was not measured has the emulator's default."""
        return EmulatorProfile.from_dict(self.measured)

    def to_dict(self) -> dict[str, Any]:
        """Return everything ready for JSON."""
        return {
            "has_problems": self.has_problems,
            "findings": [finding.to_dict() for finding in self.findings],
            "profile": self.profile().to_dict(),
            "not_measured": list(self.not_measured),
        }
