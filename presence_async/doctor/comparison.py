"""Where two keysets differ, as far as both were measured. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from .finding import PROFILE_FIELDS, Report

__all__ = ["Comparison", "Difference", "compared"]


@attrs.frozen(kw_only=True)
class Difference:
    """An option by which two keysets differ.

    Attributes:
        option: The field of ``EmulatorProfile``.
        keyset: Its value on the keyset.
        emulator: Its value on the emulator.
    """

    option: str
    keyset: Any
    emulator: Any

    @property
    def keyword(self) -> str:
        """The argument of ``PresenceEmulator`` with which it is as the keyset."""
        return f"{self.option}={self.keyset!r}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields ready for JSON."""
        return {**attrs.asdict(self), "keyword": self.keyword}


@attrs.frozen(kw_only=True)
class Comparison:
    """All differences, and the options that could not be compared.

    An option that hides others leaves those uncompared: ``presence=False`` hides all
    that needs somebody present, ``access_manager=True`` without a token nearly
    everything, ``announce_max`` of 0 the debounce, and an untracked channel what
    happens on tracked ones.
    """

    differences: tuple[Difference, ...]
    not_compared: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything ready for JSON."""
        return {
            "differences": [difference.to_dict() for difference in self.differences],
            "not_compared": list(self.not_compared),
        }


def compared(keyset: Report, emulator: Report) -> Comparison:
    """Compare what was measured of a keyset and of an emulator."""
    here, there = keyset.apparent, emulator.apparent
    differing = [o for o in PROFILE_FIELDS if _differ(o, here, there)]
    measured = keyset.measured.keys() & emulator.measured.keys()
    return Comparison(
        differences=tuple([
            Difference(option=option, keyset=here[option], emulator=there[option])
            for option in differing
        ]),
        not_compared=tuple([
            o for o in PROFILE_FIELDS if o not in measured and o not in differing
        ]),
    )


def _differ(option: str, here: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    return option in here and option in there and here[option] != there[option]
