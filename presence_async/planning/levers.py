"""What could be changed: the settings that would save most, each with its price."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import attrs

from .crowd import crowd_of
from .situation import RELOAD_S, Situation
from .transactions import Transactions, transactions
from .usage import Usage, usage_of

__all__ = ["Lever", "levers"]

_LONGEST_TIMEOUT_S = 300
_LONGEST_INTERVAL_S = 30
_LINGER_S = 5
_ANNOUNCE_MAX = (0, 20, 100)
_LEAST_SAVING = 0.01


class Lever(NamedTuple):
    """A change of one setting.

    Attributes:
        change: The new value, and the present one.
        effect: What there would be less of, in percent.
        catch: What is lost by it.
        saved: How many transactions fewer there would be in all.
        after: All transactions, with the change.
    """

    change: str
    effect: str
    catch: str
    saved: float
    after: Transactions


class _Turn(NamedTuple):
    change: str
    catch: str
    values: Mapping[str, Any]


def levers(
    situation: Situation,
    usage: Usage,
    *,
    most: int = 3,
    worth: Callable[[Transactions], float] = lambda metered: metered.total,
) -> list[Lever]:
    """Return the changes that save most, the best first.

    Args:
        situation: What is changed.
        usage: What it uses.
        most: How many changes.
        worth: By what to compare, such as by cost.
    """
    before = transactions(usage)
    found: list[tuple[float, Lever]] = []
    for turn in _turns(situation):
        changed = usage_of(attrs.evolve(situation, **turn.values), usage.days)
        after = transactions(changed)
        saving = worth(before) - worth(after)
        if saving > worth(before) * _LEAST_SAVING:
            saved = before.total - after.total
            effect = _effect(usage, changed)
            found.append((saving, Lever(turn.change, effect, turn.catch, saved, after)))
    found.sort(key=lambda pair: -pair[0])
    return _best_of_each([lever for _, lever in found])[:most]


def _best_of_each(found: list[Lever]) -> list[Lever]:
    """Keep the best value of each setting."""
    best: dict[str, Lever] = {}
    for lever in found:
        best.setdefault(lever.change.split("=")[0], lever)
    return list(best.values())


def _turns(s: Situation) -> Iterator[_Turn]:
    for rule in (_timeout, _beat, _linger, _live_count, _fewer, _announce, _interval):
        yield from rule(s)


def _timeout(s: Situation) -> Iterator[_Turn]:
    if s.presence_timeout_s < _LONGEST_TIMEOUT_S and s.heartbeat_interval_s is None:
        yield _Turn(
            f"presence_timeout_s={_LONGEST_TIMEOUT_S} instead of"
            f" {s.presence_timeout_s}",
            f"a user who crashes is shown for up to {_LONGEST_TIMEOUT_S} s",
            {"presence_timeout_s": _LONGEST_TIMEOUT_S},
        )


def _beat(s: Situation) -> Iterator[_Turn]:
    usual = attrs.evolve(s, heartbeat_interval_s=None)
    if s.beat_s < usual.beat_s:
        yield _Turn(
            f"heartbeat_interval_s={usual.beat_s:g} instead of {s.beat_s:g}",
            "an outage is survived for less long",
            {"heartbeat_interval_s": None},
        )


def _linger(s: Situation) -> Iterator[_Turn]:
    if s.reloads and not s.hides_reloads:
        yield _Turn(
            f"linger_s={_LINGER_S} instead of {s.linger_s:g}",
            f"a user who leaves is shown for {_LINGER_S} s more; hides reloads of less"
            f" than {RELOAD_S:g} s",
            {"linger_s": _LINGER_S},
        )


def _live_count(s: Situation) -> Iterator[_Turn]:
    if s.observers and s.view == "roster":
        yield _Turn(
            "live_count instead of roster",
            "observers know how many are there, but not who",
            {"view": "count"},
        )


def _fewer(s: Situation) -> Iterator[_Turn]:
    """Let a process for each room, or for as many as it watches, tell the others."""
    enough = math.ceil(s.rooms / s.watched)
    if s.observers > enough:
        yield _Turn(
            f"observers={enough} instead of {s.observers}",
            "these then have to tell the others, by messages of yours",
            {"observers": enough},
        )


def _announce(s: Situation) -> Iterator[_Turn]:
    for most in _ANNOUNCE_MAX:
        if most != s.announce_max:
            yield _Turn(
                f"announce_max={most} instead of {s.announce_max}",
                "larger rooms change without names, at intervals"
                if most < s.announce_max
                else "larger rooms get an event for every change",
                {"announce_max": most},
            )


def _interval(s: Situation) -> Iterator[_Turn]:
    if s.interval_s < _LONGEST_INTERVAL_S and crowd_of(s).large:
        yield _Turn(
            f"interval_s={_LONGEST_INTERVAL_S} instead of {s.interval_s:g}",
            f"large rooms are up to {_LONGEST_INTERVAL_S} s behind",
            {"interval_s": _LONGEST_INTERVAL_S},
        )


def _effect(before: Usage, after: Usage) -> str:
    """Say of what there is less: of the kind that falls by most."""
    was, becomes = _kinds(before), _kinds(after)
    kind = max(was, key=lambda name: was[name] - becomes[name])
    share = (was[kind] - becomes[kind]) / was[kind] if was[kind] else 0
    return f"{share:.0%} fewer {kind}"


def _kinds(usage: Usage) -> dict[str, float]:
    return {
        "heartbeats": usage.requests["heartbeat"],
        "here-nows": usage.requests["here now"],
        "deliveries": usage.deliveries,
        "subscribes": usage.requests["subscribe"],
        "events": math.fsum(usage.events.values()),
        "leaves": usage.requests["leave"],
    }
