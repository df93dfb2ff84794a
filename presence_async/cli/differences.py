"""How the differences between a keyset and an emulator are shown.

Only loaded by the command that shows them.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from typing import Any

from ..doctor.comparison import Comparison, Difference
from ..doctor.finding import PROFILE_FIELDS
from .output import print_table, say, shown

__all__ = ["command_line", "flags", "say_comparison"]

# A flag that is repeated is named in the singular.
_SINGULAR = {"tracked_channels": "--tracked-channel"}


def flags(option: str, value: Any) -> list[str]:  # noqa: ANN401  # of any field
    """Return the flags of ``emulate`` that give an option a value, if there are any.

    There are none for ``None`` and for an empty list, which only a profile can say.
    """
    name = _SINGULAR.get(option, f"--{option.replace('_', '-')}")
    match value:
        case bool():
            return [name if value else name.replace("--", "--no-", 1)]
        case list() | tuple():
            return [part for one in value for part in (name, str(one))]
        case None:
            return []
        case _:
            return [name, f"{value:g}"]


def command_line(differences: Iterable[Difference]) -> str:
    """Return the command that runs an emulator as the keyset."""
    parts = [flag for one in differences for flag in flags(one.option, one.keyset)]
    return shlex.join(["presence-async", "emulate", *parts])


def say_comparison(comparison: Comparison) -> None:
    """Print a table of differences, what was not compared, and the command."""
    differences = comparison.differences
    if differences:
        rows = [
            (one.option, _value(one.keyset), _value(one.emulator), shown(one.keyword))
            for one in differences
        ]
        title = f"the emulator differs in {len(rows)} option{'s'[: len(rows) > 1]}"
        print_table(title, ["option", "keyset", "emulator", "keyword"], rows)
    elif set(PROFILE_FIELDS) <= set(comparison.not_compared):
        say("nothing could be compared")
    else:
        say("the emulator behaves as the keyset in all that was compared")
    if comparison.not_compared:
        say(f"not compared: {', '.join(comparison.not_compared)}")
    if differences:
        say(shown(command_line(differences)))


def _value(value: object) -> str:
    return shown(json.dumps(value, ensure_ascii=False))
