"""``presence-async here-now``: print who is on channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

import presence_async

from . import options
from .all_occupants import here_now_of_all
from .output import (
    complain,
    is_watched_by_a_person,
    print_json,
    print_table,
    shown,
)
from .running import run

__all__ = ["here_now"]

_PAGE = 1000
# The service refuses in the same words if Presence is off.
_GLOBAL_REMEDIES = {
    402: "Name a channel: a here now of all channels needs Global Here Now in the Admin"
    " Portal; presence-async doctor tells whether Presence itself is on."
}


def here_now(
    channels: options.Channels = None,
    group: options.Groups = None,
    state: Annotated[
        bool, typer.Option("--state", help="Show the states, too.")
    ] = False,
    counts: Annotated[
        bool, typer.Option("--counts", help="Show only the numbers of users.")
    ] = False,
    everybody: Annotated[
        bool,
        typer.Option("--all", help="Show everybody, also of more than 1,000."),
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            help="Occupants per channel, at most  [default: 1000]", show_default=False
        ),
    ] = None,
    offset: Annotated[int, typer.Option(help="Occupants to skip.")] = 0,
    subscribe_key: options.SubscribeKey = None,
    user_id: options.UserId = None,
    origin: options.Origin = None,
    proxy: options.Proxy = None,
    timeout_s: options.TimeoutS = 30,
    as_json: options.AsJson = False,
) -> None:
    """Show who is on CHANNELS.

    Without CHANNELS: on every channel.

    Example: presence-async here-now lobby news --state

    Everybody in a large room, as JSON: presence-async here-now arena --all --json
    """
    if everybody and (counts or offset or limit is not None):
        raise typer.BadParameter("--all goes without --counts, --limit and --offset")

    async def ask() -> None:
        config = options.config_of(subscribe_key, user_id, origin, proxy)
        async with presence_async.PresenceClient(config) as client:
            here: presence_async.HereNow | presence_async.HereNowCounts
            if everybody:
                here = await here_now_of_all(
                    client, channels, group, with_state=state, timeout_s=timeout_s
                )
            elif counts:
                here = await client.here_now(
                    channels or None,
                    channel_groups=group or None,
                    include_user_ids=False,
                    limit=_PAGE if limit is None else limit,
                    offset=offset,
                    timeout_s=timeout_s,
                )
            else:
                here = await client.here_now(
                    channels or None,
                    channel_groups=group or None,
                    include_state=state,
                    limit=_PAGE if limit is None else limit,
                    offset=offset,
                    timeout_s=timeout_s,
                )
        if as_json:
            print_json(here.to_dict())
        else:
            print_here(here, with_state=state)
        _hint(here, [*(channels or ()), *(group or ())])

    is_global = not (channels or group)
    run(ask, remedies=_GLOBAL_REMEDIES if is_global else None)


def _hint(
    here: presence_async.HereNow | presence_async.HereNowCounts, names: Sequence[str]
) -> None:
    """Tell a person who asked for names why they may be empty."""
    if names and not here.total_occupancy and is_watched_by_a_person():
        complain(
            "nobody is there; if somebody should be, find out whether Presence tracks"
            f" the channel: presence-async doctor {names[0]}"
        )


def print_here(
    here: presence_async.HereNow | presence_async.HereNowCounts, *, with_state: bool
) -> None:
    """Print a table of channels and who is on them."""
    rows = []
    for name, channel in sorted(here.channels.items()):
        users = [
            shown(f"{o.user_id} {shown(o.state or o.state_error or '')}".strip())
            if with_state
            else shown(o.user_id)
            for o in channel.occupants or ()
        ]
        rows.append([shown(name), str(channel.occupancy), "\n".join(sorted(users))])
    print_table(_title(here), ["channel", "occupancy", "users"], rows)


def _title(here: presence_async.HereNow | presence_async.HereNowCounts) -> str:
    """Return how many there are; a user counts once for each channel."""
    if not here.total_occupancy:
        return "nobody is present"
    where = _counted(here.total_channels, "channel")
    title = f"{_counted(here.total_occupancy, 'presence')} on {where}"
    listed = [channel.user_ids for channel in here.channels.values()]
    user_ids = {user_id for ids in listed for user_id in ids or ()}
    is_complete = sum(len(ids or ()) for ids in listed) == here.total_occupancy
    if not is_complete or len(user_ids) == here.total_occupancy:
        return title
    return f"{title}, {_counted(len(user_ids), 'user')}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
