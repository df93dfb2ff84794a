"""What becomes of the presence timeouts that a client asks for.

Source: recordings of 2021 to 2025 show expiry 0 to 0.8 s after the deadline. So one
timeout is judged by the others: those that are neither raised nor lowered are about as
late as each other.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from contextlib import suppress

from ..errors import RequestError
from .bounds import Bounds, UnclearError
from .finding import ACCEPTED, MAXIMUM, Finding, ok, unknown
from .sight import Sight
from .subject import Subject

__all__ = ["judged", "timeouts"]

_SHORTEST_S = 1
# Further apart than timeouts are late, so that to be as late is no coincidence.
_APART_S = 5
_MOST_STEPS = 12
_LATE_S = 0.9
_SPARE_S = 3.0
_TRIES = 3

Held = Mapping[int, Bounds]


async def timeouts(subject: Subject) -> Finding:
    """Ask for several timeouts at once, and see when the users are gone."""
    longest_s = subject.limits.longest_timeout_s
    finding = judged(await _all_held(subject, longest_s), longest_s)
    subject.largest_timeout_s = finding.measured.get(MAXIMUM, math.inf)
    return finding


def judged(held: Held, longest_s: int) -> Finding:
    """Return the finding, from how long users stay by what each asks for. Pure."""
    least, most = _least_s(held), _most_s(held, longest_s)
    measured: dict[str, int] = {}
    if isinstance(least, int):
        # A client asks for whole seconds, so a minimum of one is none.
        measured["min_presence_timeout_s"] = least if least > _SHORTEST_S else 0
    if isinstance(most, int) and most < longest_s:
        measured[MAXIMUM] = most
    if isinstance(most, int) and most == longest_s:
        measured[ACCEPTED] = longest_s
    lines = [_said(_SHORTEST_S, least), _said(longest_s, most)]
    if ACCEPTED in measured:
        lines.append("not measured: a maximum above it (--longest-timeout)")
    verdict = ok if measured else unknown
    return verdict("timeouts", "; ".join(lines), **measured)


async def _all_held(subject: Subject, longest_s: int) -> Held:
    """Return for how long users stay, by the timeout that each asks for."""
    apart_s = max(_APART_S, longest_s // _MOST_STEPS)
    between = range(apart_s, longest_s - apart_s + 1, apart_s)
    sight = await subject.sight()
    async with asyncio.TaskGroup() as group:
        waits = {}
        for asked_s in (longest_s, *between, _SHORTEST_S):
            waits[asked_s] = group.create_task(
                _held(subject, sight, asked_s), name=f"doctor waits {asked_s}"
            )
            await asyncio.sleep(1 / subject.limits.per_s)
    return {
        asked_s: held
        for asked_s, wait in waits.items()
        if (held := wait.result()) is not None
    }


async def _held(subject: Subject, sight: Sight, asked_s: int) -> Bounds | None:
    """Return how long a user stays who is announced once; ``None``: not seen."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + subject.limits.longest_timeout_s + _SPARE_S
    held: Bounds | None = None
    for _ in range(_TRIES):
        with suppress(RequestError, UnclearError):
            user_id, acted = await subject.newcomer(f"asks-{asked_s}", asked_s)
            gone = await sight.gone(user_id, acted.least_s, until_s - acted.least_s)
            if gone is None:
                await subject.leave_quietly(user_id, subject.here)
            else:
                held = gone - acted
        if held is not None and held.width_s < _LATE_S:
            break
        if until_s - loop.time() < asked_s + _SPARE_S:
            break
    return held


def _late(held: Held, judged_s: int) -> Bounds:
    """Return how late timeouts are, without the one that is judged by it.

    Those that are raised to one figure, or lowered to one, seem to differ in lateness
    by as much as what was asked for.

    Raises:
        UnclearError: Too few are alike.
    """
    late = {asked_s: x - Bounds(asked_s, asked_s) for asked_s, x in held.items()}
    others = [x for asked_s, x in late.items() if asked_s != judged_s]
    alike = max(
        ([x for x in others if abs(x.most_s - y.most_s) < _LATE_S] for y in others),
        key=len,
        default=[],
    )
    if len(alike) > 1:
        around = Bounds.around(alike)
        return Bounds(max(0.0, around.least_s), max(0.0, around.most_s))
    shortest = late.get(_SHORTEST_S)
    if shortest is not None and shortest.most_s < _LATE_S:
        return Bounds(0.0, shortest.most_s)
    raise UnclearError("no two timeouts are as late as each other")


def _least_s(held: Held) -> int | UnclearError:
    """Return to what the shortest timeout is raised, or why that is not known."""
    try:
        seen = _seen(held, _SHORTEST_S)
        return Bounds(max(seen.least_s, _SHORTEST_S), seen.most_s).whole_s()
    except UnclearError as error:
        return error


def _most_s(held: Held, longest_s: int) -> int | UnclearError:
    """Return to what the longest timeout is lowered, or why that is not known."""
    try:
        seen = _seen(held, longest_s)
        return Bounds(seen.least_s, min(seen.most_s, longest_s)).whole_s()
    except UnclearError as error:
        return error


def _seen(held: Held, asked_s: int) -> Bounds:
    """Return what became of a timeout.

    Raises:
        UnclearError: It is not known.
    """
    if asked_s not in held:
        raise UnclearError("nobody who asked for it was seen to come and go")
    return held[asked_s] - _late(held, asked_s)


def _said(asked_s: int, given: int | UnclearError) -> str:
    if isinstance(given, UnclearError):
        return f"not measured: what becomes of {asked_s} s ({given})"
    became = "accepted" if given == asked_s else f"made {given} s"
    return f"{asked_s} s {'is' if asked_s == 1 else 'are'} {became}"
