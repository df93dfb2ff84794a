"""``presence-async join``: keep a user present."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated

import typer

import presence_async
import presence_async.register

from . import options
from .output import (
    complain,
    ends_when_closed,
    is_live_terminal,
    print_json,
    say,
    shown,
    until_unread,
)
from .running import run, until_first_ends
from .set_state import parsed_state
from .tracking import warn_if_untracked

__all__ = ["join"]

# The presence timeout of a last heartbeat is no shorter.
_SHORTEST_S = 20


def join(
    channels: options.Channels = None,
    group: options.Groups = None,
    state: Annotated[
        str | None, typer.Option(help="A JSON object that every heartbeat carries.")
    ] = None,
    presence_timeout: Annotated[
        int | None,
        typer.Option(help="Seconds until a timeout [env: PUBNUB_PRESENCE_TIMEOUT_S]."),
    ] = None,
    hand_over: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help=(
                "At the end stay present for SECONDS, but 20 at least, instead of"
                " leaving, so that another process can take over unseen."
            ),
        ),
    ] = 0,
    duration: options.Duration = None,
    register: options.Register = None,
    subscribe_key: options.SubscribeKey = None,
    user_id: options.UserId = None,
    origin: options.Origin = None,
    proxy: options.Proxy = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", help="Seconds that joining may take.")
    ] = 30,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, a line for each change.")
    ] = False,
) -> None:
    """Be present on CHANNELS until Ctrl-C, then leave.

    A terminal shows how the presence fares, a pipe gets a line for each change.

    Example: presence-async join lobby --user-id alice --state '{"mood": "ok"}'

    For ten minutes: presence-async join lobby --user-id alice --duration 10m

    Across a restart: presence-async join lobby --user-id alice --hand-over 20

    With --register the user stays present while another process that shares it holds
    the user, too.
    """

    async def stay() -> None:
        config = options.config_of(
            subscribe_key, user_id, origin, proxy, presence_timeout_s=presence_timeout
        )
        first = parsed_state(state) if state is not None else None
        shared = presence_async.register.register_at(register) if register else None
        async with presence_async.PresenceClient(config, register=shared) as client:
            lease = await client.join(
                channels, channel_groups=group, state=first, timeout_s=timeout_s
            )
            following = asyncio.create_task(
                _follow(client, lease, hands_over=hand_over > 0, as_json=as_json),
                name="following the lease",
            )
            try:
                await asyncio.wait({following}, timeout=duration)
            finally:
                try:
                    await _end(client, lease, hand_over)
                finally:
                    await asyncio.gather(following, return_exceptions=True)
                if hand_over and not as_json:
                    _say_until_when(client, lease, hand_over, is_shared=bool(register))
            following.result()

    run(stay, until_stopped=True, hand_over_s=hand_over)


async def _end(
    client: presence_async.PresenceClient,
    lease: presence_async.Lease,
    hand_over_s: float,
) -> None:
    """Leave, or hand the user over.

    Raises:
        PresenceError: The service did not acknowledge it.
    """
    if not hand_over_s:
        await lease.leave()
    # A register that is away may have put the leave off until now.
    report = await client.close(hand_over_s=hand_over_s)
    for presence in report.failed:
        if presence.error is not None:
            raise presence.error


def _say_until_when(
    client: presence_async.PresenceClient,
    lease: presence_async.Lease,
    hand_over_s: float,
    *,
    is_shared: bool,
) -> None:
    """Say until when a user stays who was handed over."""
    report = client.close_report
    if report is None or not report.handed_over:
        return
    seconds = max(math.ceil(hand_over_s), _SHORTEST_S)
    until = datetime.now() + timedelta(seconds=seconds)  # noqa: DTZ005  # for people
    # With a register the last heartbeat may have been of an earlier, longer timeout.
    about = "at least" if is_shared else "about"
    where = shown(", ".join(_names(lease)))
    say(
        f"{shown(lease.user_id)} stays on {where} until {about} {until:%H:%M:%S}"
        " unless somebody takes over"
    )


async def _follow(
    client: presence_async.PresenceClient,
    lease: presence_async.Lease,
    *,
    hands_over: bool,
    as_json: bool,
) -> None:
    """Show how the presence fares until it is released.

    Raises:
        OutputClosedError: Nobody looks at it any more.
    """
    where = shown(", ".join(_names(lease)))
    if as_json:
        await until_first_ends(
            _print_json(lease),
            warn_if_untracked(client, lease, complain),
            until_unread(),
        )
        return
    if is_live_terminal():
        await _draw(client, lease)
    else:
        await until_first_ends(
            _say_changes(lease, say),
            warn_if_untracked(client, lease, complain),
            until_unread(),
        )
    say(f"{'handing over' if hands_over else 'leaving'} {where}")


async def _print_json(lease: presence_async.Lease) -> None:
    async for change in lease.changes():
        print_json({
            "user_id": lease.user_id,
            "health": change.health,
            "reason": change.reason,
            "remaining_s": round(change.remaining_s, 1),
        })


async def _say_changes(
    lease: presence_async.Lease, say_one: Callable[[str], None]
) -> None:
    """Say each change of health but the last, that it is released."""
    who = f"{shown(lease.user_id)} on {shown(', '.join(_names(lease)))}"
    async for change in lease.changes():
        match change.health:
            case presence_async.LeaseHealth.RELEASED:
                return
            case presence_async.LeaseHealth.FRESH:
                say_one(f"{who}: {change.health}")
            case _:
                say_one(f"{who}: {change.health}, {shown(change.reason)}")


async def _draw(
    client: presence_async.PresenceClient, lease: presence_async.Lease
) -> None:
    """Draw a status line, below the changes."""
    from .join_status import JoinStatus  # noqa: PLC0415  # as app says
    from .live import live_status, redraw  # noqa: PLC0415

    changed = asyncio.Event()

    def draw() -> JoinStatus:
        beaten_at_s = lease.expires_at_s - lease.presence_timeout_s
        return JoinStatus(
            user_id=lease.user_id,
            names=_names(lease),
            health=lease.health,
            remaining_s=lease.remaining_s,
            beat_age_s=asyncio.get_running_loop().time() - beaten_at_s,
            interval_s=client.config.interval_s(lease.presence_timeout_s),
        )

    with live_status() as live:

        def say_above(line: str) -> None:
            with ends_when_closed():
                live.console.print(f"{datetime.now():%H:%M:%S} {line}")  # noqa: DTZ005  # for people
            changed.set()

        await until_first_ends(
            redraw(live, draw, changed),
            _say_changes(lease, say_above),
            warn_if_untracked(client, lease, say_above),
        )


def _names(lease: presence_async.Lease) -> list[str]:
    return [*lease.channels, *lease.channel_groups]
