"""``presence-async plan``: print what presence will cost, and what could change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidArgumentError
from . import options
from .running import run

if TYPE_CHECKING:
    from ..planning.situation import Situation
    from ..planning.transactions import Prices

__all__ = ["plan"]

_PRICES = ("price_transactions", "price_edge", "price_replicated", "price_user")
_FLAGS = {
    "presence_timeout_s": "--timeout",
    "heartbeat_interval_s": "--heartbeat-interval",
    "linger_s": "--linger",
    "edge": "--price-edge",
    "replicated": "--price-replicated",
    "user": "--price-user",
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
    """Tell what presence will cost.

    Prints requests, events and deliveries of a month, and up to three settings that
    could be changed. Nothing is sent, and no prices are built in. The counts are those
    of this library while nothing fails; a month has 30 days.

    Example: presence-async plan --users 1000 --hours 8 --timeout 120 --observers 20
    --price-transactions 2.5
    """
    given = {k: v for k, v in locals().items() if v is not None and k != "as_json"}

    async def look() -> None:
        from .plan_tables import tell  # noqa: PLC0415  # as app says

        try:
            situation, prices = _situation(given), _prices(given)
        except InvalidArgumentError as error:
            name = error.argument
            flag = _FLAGS.get(name, f"--{name.replace('_', '-')}")
            raise InvalidArgumentError(flag, error.rule) from None
        tell(situation, prices, as_json=as_json)

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
