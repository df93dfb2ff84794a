"""``presence-async plan``: print what a presence will cost, and what to turn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidArgumentError
from . import options
from .output import print_json, print_table, say
from .running import run

if TYPE_CHECKING:
    from ..planning.levers import Lever
    from ..planning.situation import Situation
    from ..planning.transactions import Prices
    from ..planning.usage import Usage

__all__ = ["plan"]

_DAYS = 30
_PRICES = ("price_transactions", "price_edge", "price_replicated", "price_user")
_FLAGS = {
    "presence_timeout_s": "--timeout",
    "heartbeat_interval_s": "--heartbeat-interval",
    "linger_s": "--linger",
    "edge": "--price-edge",
    "replicated": "--price-replicated",
    "user": "--price-user",
}
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


def plan(
    users: Annotated[int, typer.Option(help="Users who come on a day.")] = 1000,
    hours: Annotated[
        float, typer.Option(help="Hours that each is online on a day, in all.")
    ] = 8,
    sessions: Annotated[float, typer.Option(help="How often each comes on a day.")] = 1,
    day_hours: Annotated[
        float,
        typer.Option(help="Hours of the day in which users come and go; 24: always."),
    ] = 24,
    channels: Annotated[int, typer.Option(help="Channels that each user is on.")] = 1,
    rooms: Annotated[
        int | None,
        typer.Option(
            help="Channels in all, over which users are spread evenly; those of one"
            " user by default.",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        int,
        typer.Option(
            "--timeout", "--presence-timeout", help="Presence timeout in seconds."
        ),
    ] = 300,
    heartbeat_interval: Annotated[
        float | None,
        typer.Option(
            help="Seconds between heartbeats; timeout / 2 - 1 by default.",
            show_default=False,
        ),
    ] = None,
    state_changes: Annotated[
        float, typer.Option(help="State changes of a user in an hour online.")
    ] = 0,
    crashes: Annotated[
        float,
        typer.Option(help="Share of sessions that end by a timeout, from 0 to 1."),
    ] = 0,
    reloads: Annotated[
        float, typer.Option(help="Page reloads of a user on a day.")
    ] = 0,
    linger: Annotated[
        float, typer.Option(help="Seconds for which leaves linger (linger_s).")
    ] = 0,
    observers: Annotated[int, typer.Option(help="Clients that watch.")] = 0,
    view: Annotated[
        str, typer.Option(help="How they watch: roster, count or stream.")
    ] = "roster",
    watched: Annotated[int, typer.Option(help="Channels that each watches.")] = 1,
    observer_hours: Annotated[
        float, typer.Option(help="Hours that each watches on a day.")
    ] = 24,
    announce_max: Annotated[
        int,
        typer.Option(help="Largest room whose changes have an event each (key set)."),
    ] = 20,
    interval_s: Annotated[
        float,
        typer.Option(help="Seconds between events of larger rooms (key set)."),
    ] = 10,
    presence_deltas: Annotated[
        bool,
        typer.Option("--presence-deltas", help="Interval events list users (key set)."),
    ] = False,
    idle_poll_s: Annotated[
        float, typer.Option(help="Seconds for which an idle poll is held.")
    ] = 280,
    price_transactions: Annotated[
        float, typer.Option(help="Price of a million transactions of any kind.")
    ] = 0,
    price_edge: Annotated[
        float | None,
        typer.Option(help="Of a million edge transactions.", show_default=False),
    ] = None,
    price_replicated: Annotated[
        float | None,
        typer.Option(help="Of a million replicated transactions.", show_default=False),
    ] = None,
    price_user: Annotated[
        float, typer.Option(help="Price of an active user in a month.")
    ] = 0,
    as_json: options.AsJson = False,
) -> None:
    """Tell what presence will cost: requests, events, deliveries and what to turn.

    Nothing is sent, and no prices are built in. The counts are those of this library
    while nothing fails; a month has 30 days.

    Example: presence-async plan --users 1000 --hours 8 --timeout 120 --observers 20
    --price-transactions 2.5
    """
    given = {k: v for k, v in locals().items() if v is not None and k != "as_json"}

    async def look() -> None:
        try:
            situation, prices = _situation(given), _prices(given)
        except InvalidArgumentError as error:
            name = error.argument
            flag = _FLAGS.get(name, f"--{name.replace('_', '-')}")
            raise InvalidArgumentError(flag, error.rule) from None
        _tell(situation, prices, as_json=as_json)

    run(look)


def _situation(given: Mapping[str, Any]) -> Situation:
    from ..planning.situation import Situation  # noqa: PLC0415  # as app says

    fields = {
        "timeout": "presence_timeout_s",
        "heartbeat_interval": "heartbeat_interval_s",
        "linger": "linger_s",
    }
    return Situation(**{
        fields.get(name, name): value
        for name, value in given.items()
        if name not in _PRICES
    })


def _prices(given: Mapping[str, Any]) -> Prices:
    from ..planning.transactions import Prices  # noqa: PLC0415  # as app says

    of_any = given["price_transactions"]
    return Prices(
        edge=given.get("price_edge", of_any),
        replicated=given.get("price_replicated", of_any),
        user=given["price_user"],
    )


def _tell(situation: Situation, prices: Prices, *, as_json: bool) -> None:
    from ..planning.levers import levers  # noqa: PLC0415  # as app says
    from ..planning.usage import usage_of  # noqa: PLC0415

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
        columns = ["turn", "effect on a month", "but"]
        print_table(
            "What to turn", columns, _turn_rows(situation, usage, prices, turns)
        )
    else:
        say("No setting saves 1 %.")


def _title(s: Situation) -> str:
    watchers = f"{s.observers:,} {s.view} clients watch" if s.observers else "unwatched"
    return f"{s.users:,} users a day, {s.hours:g} h each; {watchers}"


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
    from ..planning.transactions import transactions  # noqa: PLC0415  # as app says

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
    from ..planning.transactions import transactions  # noqa: PLC0415  # as app says

    return prices.cost(transactions(usage), s.users)


def _as_dict(
    s: Situation, usage: Usage, prices: Prices, turns: Iterable[Lever]
) -> dict[str, object]:
    from ..planning.transactions import transactions  # noqa: PLC0415  # as app says

    metered = transactions(usage)
    return {
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
