"""``presence-async watch``: follow who is on channels."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

import presence_async

from . import options
from .output import (
    complain,
    is_live_terminal,
    print_json,
    say_line,
    shown,
    until_unread,
)
from .remedies import problem_of
from .running import run, until_first_ends, until_over
from .watch_lines import event_lines

if TYPE_CHECKING:
    from .watch_screen import View, WatchScreen
    from .watched import Watched

__all__ = ["watch"]


def watch(
    channels: Annotated[
        list[str], typer.Argument(help="The channels to watch.", show_default=False)
    ],
    duration: options.Duration = None,
    subscribe_key: options.SubscribeKey = None,
    user_id: options.UserId = None,
    origin: options.Origin = None,
    proxy: options.Proxy = None,
    timeout_s: options.TimeoutS = 30,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, a line for each event.")
    ] = False,
) -> None:
    """Show who is on CHANNELS, and who comes and goes.

    Ends on Ctrl-C. Watching makes nobody present. A terminal shows a table that is kept
    up to date. In a pipe the first lines show who is there, each later line one change.
    Changes marked 'corrected' were missed and found out later. Users who were there
    before, whenever they came, are here for more than (>) the time shown.

    Example: presence-async watch lobby news

    For five minutes, for a program: presence-async watch lobby --json --duration 5m
    """

    async def follow() -> None:
        config = options.config_of(subscribe_key, user_id, origin, proxy)
        async with (
            presence_async.PresenceClient(config) as client,
            AsyncExitStack() as stack,
        ):
            rosters = [
                await stack.enter_async_context(
                    client.roster(channel, timeout_s=timeout_s)
                )
                for channel in dict.fromkeys(channels)
            ]
            if as_json or not is_live_terminal():
                follow_all = _print_all(rosters, as_json=as_json)
            else:
                follow_all = _draw_all(rosters)
            await until_first_ends(follow_all, until_over(duration))

    run(follow, until_stopped=True)


# Lines.


async def _print_all(
    rosters: Sequence[presence_async.Roster], *, as_json: bool
) -> None:
    has_many = len(rosters) > 1
    work: list[Coroutine[Any, Any, None]] = [until_unread()]
    for roster in rosters:
        name = roster.channel if has_many else ""
        work += [
            _print_events(roster, name, as_json=as_json),
            _print_health(roster, name, as_json=as_json),
        ]
    await until_first_ends(*work)


async def _print_events(
    roster: presence_async.Roster, name: str, *, as_json: bool
) -> None:
    hints = not as_json
    async for event in roster:
        if as_json:
            print_json(event.to_dict())
        else:
            for line in event_lines(event, name):
                say_line(line)
        if hints and isinstance(event, presence_async.SnapshotEvent):
            hints = False
            if not event.occupancy:
                complain(
                    f"nobody is on {event.channel}; if somebody should be:"
                    f" presence-async doctor {event.channel}"
                )


async def _print_health(
    roster: presence_async.Roster, name: str, *, as_json: bool
) -> None:
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
            why = problem_of(roster.error)
            if as_json:
                print_json({
                    "action": "health",
                    "channel": roster.channel,
                    "health": health,
                    "reason": why,
                })
            else:
                where = f"{name} " if name else ""
                say_line(f"{shown(where)}{health} {shown(why)}".rstrip())


# The screen.


async def _draw_all(rosters: Sequence[presence_async.Roster]) -> None:
    from .live import live_screen, redraw  # noqa: PLC0415  # as app says
    from .watch_screen import WatchScreen  # noqa: PLC0415
    from .watched import Watched  # noqa: PLC0415

    watched = [Watched(roster.channel) for roster in rosters]
    changed = asyncio.Event()

    def draw() -> WatchScreen:
        views = [_view(*pair) for pair in zip(rosters, watched, strict=True)]
        return WatchScreen(views, now_s=asyncio.get_running_loop().time())

    with live_screen() as live:
        await until_first_ends(
            redraw(live, draw, changed),
            *[
                _take_events(*pair, changed)
                for pair in zip(rosters, watched, strict=True)
            ],
        )


async def _take_events(
    roster: presence_async.Roster, watched: Watched, changed: asyncio.Event
) -> None:
    async for event in roster:
        watched.take(event, asyncio.get_running_loop().time())
        changed.set()


def _view(roster: presence_async.Roster, watched: Watched) -> View:
    from .watch_screen import View  # noqa: PLC0415

    return View(watched, roster.occupants, roster.health, _problem(roster))


def _problem(roster: presence_async.Roster) -> str:
    match roster.health, roster.error:
        case presence_async.StreamHealth.LIVE, _:
            return ""
        case presence_async.StreamHealth.RECONNECTING, error if error is not None:
            return f"{error.problem}; goes on by itself once the service answers"
        case _, error:
            return problem_of(error)
