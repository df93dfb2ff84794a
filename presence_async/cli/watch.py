"""``presence-async watch``: follow who is on a channel."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

import presence_async

from . import options
from .output import print_json, say_line, shown
from .running import run, until_first_ends

__all__ = ["watch"]


def watch(
    channel: Annotated[
        str, typer.Argument(help="The channel to watch.", show_default=False)
    ],
    subscribe_key: options.SubscribeKey = None,
    user_id: options.UserId = None,
    origin: options.Origin = None,
    proxy: options.Proxy = None,
    timeout_s: options.TimeoutS = 30,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, a line for each event.")
    ] = False,
) -> None:
    """Show who is on CHANNEL and who comes and goes, until Ctrl-C.

    Watching makes nobody present. The first lines show who is there, each later line
    one change. Changes marked 'corrected' were missed and found out later.

    Example: presence-async watch lobby --json
    """

    async def follow() -> None:
        config = options.config_of(subscribe_key, user_id, origin, proxy)
        async with (
            presence_async.PresenceClient(config) as client,
            client.roster(channel, timeout_s=timeout_s) as roster,
        ):
            await until_first_ends(
                _print_events(roster, as_json=as_json),
                _print_health(roster, as_json=as_json),
            )

    run(follow, until_stopped=True)


async def _print_events(roster: presence_async.Roster, *, as_json: bool) -> None:
    async for event in roster:
        if as_json:
            print_json(event.to_dict())
        else:
            _say_event(event)


async def _print_health(roster: presence_async.Roster, *, as_json: bool) -> None:
    """Print when the stream breaks and when it is back."""
    printed = roster.health

    def has_changed(roster: presence_async.Roster) -> bool:
        return roster.health is not printed

    with suppress(presence_async.ClientClosedError):
        while True:
            await roster.wait_for(has_changed)
            health = printed = roster.health
            if health is presence_async.StreamHealth.CLOSED:
                return
            why = "" if roster.error is None else str(roster.error)
            if as_json:
                print_json({"action": "health", "health": health, "reason": why})
            else:
                say_line(f"{health} {shown(why)}".rstrip())


def _say_event(event: presence_async.PresenceEvent) -> None:
    at = event.timestamp.astimezone().strftime("%H:%M:%S")
    match event:
        case presence_async.SnapshotEvent():
            say_line(f"{at} {event.occupancy} on {shown(event.channel)}")
            for occupant in event.occupants:
                state = occupant.state or occupant.state_error
                say_line(f"           {_user(occupant.user_id, state)}")
        case presence_async.UserEvent():
            state = event.state or event.state_error
            note = " corrected" if event.synthesized else ""
            say_line(
                f"{at} {event.action:<12} {_user(event.user_id, state)}"
                f" ({event.occupancy} here){note}"
            )
        case presence_async.GapEvent():
            say_line(f"{at} {event.dropped or 'some'} events were dropped")
        case _:
            pass


def _user(user_id: str, state: object) -> str:
    return f"{shown(user_id)} {shown(state or '')}".rstrip()
