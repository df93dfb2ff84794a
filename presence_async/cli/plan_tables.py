"""What ``plan`` prints: a table of what is used, and one of what could be changed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..planning.levers import Lever, levers
from ..planning.situation import Situation
from ..planning.transactions import Prices, transactions
from ..planning.usage import Usage, usage_of
from .output import print_json, print_table, say

__all__ = ["tell"]

_DAYS = 30
_REQUESTS = {
    "heartbeat": "heartbeats",
    "leave": "leaves",
    "set state": "states set",
    "here now": "here-nows of observers",
    "subscribe": "subscribes of observers",
}
_EVENTS = {
    "join": "joins",
    "leave": "leaves",
    "timeout": "timeouts",
    "state-change": "state changes",
    "interval": "interval events",
}


def tell(situation: Situation, prices: Prices, *, as_json: bool) -> None:
    """Print a plan: as tables, or as one line of JSON."""
    usage = usage_of(situation, _DAYS)
    if prices.are_given:
        turns = levers(situation, usage, worth=lambda metered: prices.cost(metered, 0))
    else:
        turns = levers(situation, usage)
    if as_json:
        print_json(_as_dict(situation, usage, prices, turns))
        return
    print_table(
        _title(situation), ["", "a month", "a day"], _rows(situation, usage, prices)
    )
    if turns:
        columns = ["change", "effect on a month", "but"]
        print_table(
            "What you could change",
            columns,
            _turn_rows(situation, usage, prices, turns),
        )
    else:
        say("No setting saves 1 %.")


def _title(s: Situation) -> str:
    users = "1 user" if s.users == 1 else f"{s.users:,} users"
    views = f"{s.observers:,} clients watch by {s.view}" if s.observers else "unwatched"
    if s.observers == 1:
        views = f"1 client watches by {s.view}"
    return f"{users} a day, {s.hours:g} h each; {views}"


def _rows(s: Situation, usage: Usage, prices: Prices) -> list[list[str]]:
    lines = [*_lines(usage)]
    cells = [[_number(value), _number(value / usage.days)] for _, value in lines]
    names = [name for name, _ in lines]
    if prices.are_given:
        cost = _cost(s, usage, prices)
        names.append("cost")
        cells.append([f"{cost:,.2f}", f"{cost / usage.days:,.2f}"])
    months, days = zip(*cells, strict=True)
    return [list(row) for row in zip(names, _right(months), _right(days), strict=True)]


def _lines(usage: Usage) -> Iterator[tuple[str, float]]:
    """Yield what there is any of, with its number in all days."""
    metered = transactions(usage)
    for title, names, counts in (
        ("requests", _REQUESTS, usage.requests),
        ("events", _EVENTS, usage.events),
    ):
        yield title, math.fsum(counts.values())
        for key, name in names.items():
            if counts[key] >= 0.5:  # noqa: PLR2004  # rounds to one
                yield f"  {name}", counts[key]
    yield "deliveries of events", usage.deliveries
    yield "edge transactions", metered.edge
    yield "replicated transactions", metered.replicated


def _turn_rows(
    s: Situation, usage: Usage, prices: Prices, turns: Iterable[Lever]
) -> Iterator[list[str]]:
    before = _cost(s, usage, prices)
    for lever in turns:
        effect = f"{lever.effect}; {_number(lever.saved)} transactions less"
        if prices.are_given:
            saved = before - prices.cost(lever.after, s.users)
            effect = f"{lever.effect}; {saved:,.2f} less to pay"
        yield [lever.change, effect, lever.catch]


def _cost(s: Situation, usage: Usage, prices: Prices) -> float:
    return prices.cost(transactions(usage), s.users)


def _as_dict(
    s: Situation, usage: Usage, prices: Prices, turns: Iterable[Lever]
) -> dict[str, object]:
    metered = transactions(usage)
    return {
        "situation": s.to_dict(),
        "days": usage.days,
        "requests": _rounded(usage.requests),
        "events": _rounded(usage.events),
        "deliveries": round(usage.deliveries),
        "transactions": {
            "edge": round(metered.edge),
            "replicated": round(metered.replicated),
        },
        "cost": round(_cost(s, usage, prices), 2) if prices.are_given else None,
        "levers": [
            {
                "change": lever.change,
                "effect": lever.effect,
                "catch": lever.catch,
                "saved_transactions": round(lever.saved),
            }
            for lever in turns
        ],
    }


def _rounded(counts: Mapping[str, float]) -> dict[str, int]:
    return {name: round(count) for name, count in counts.items()}


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _right(cells: Sequence[str]) -> list[str]:
    width = max(map(len, cells))
    return [cell.rjust(width) for cell in cells]
