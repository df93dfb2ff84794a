"""Everybody on channels, page by page, with a bar that shows how far it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import presence_async

from .output import complain, is_watched_by_a_person

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["here_now_of_all"]


async def here_now_of_all(
    client: presence_async.PresenceClient,
    channels: Sequence[str] | None,
    groups: Sequence[str] | None,
    *,
    with_state: bool,
    timeout_s: float,
) -> presence_async.HereNow:
    """Ask for the counts first, then for every page of every channel with users.

    Args:
        client: Asks.
        channels: The channels; with no group either: every channel.
        groups: Channel groups, whose channels count, too.
        with_state: Whether to ask for states.
        timeout_s: Seconds that each request may take, with its retries.

    Raises:
        RequestError: As a query; what was read before is lost.
    """
    counts = await client.here_now(
        channels or None,
        channel_groups=groups or None,
        include_user_ids=False,
        timeout_s=timeout_s,
    )
    found = {}
    with ExitStack() as stack:
        advance = _bar(stack, counts.total_occupancy)
        for name, counted in counts.channels.items():
            pages = client.occupants(
                name, include_state=with_state, timeout_s=timeout_s
            )
            if not counted.occupancy:
                await pages.close()
            found[name] = await _everybody(name, pages, advance, with_state=with_state)
    return _together(found)


def _bar(stack: ExitStack, total: int) -> Callable[[], None]:
    """Show a bar, if a person watches; return what to call for each user."""
    if not is_watched_by_a_person():
        return lambda: None
    from .tables import reading_bar  # noqa: PLC0415  # as app says

    progress = stack.enter_context(reading_bar())
    task = progress.add_task("reading", total=total)
    return lambda: progress.advance(task)


async def _everybody(
    channel: str,
    pages: presence_async.OccupantPages,
    advance: Callable[[], None],
    *,
    with_state: bool,
) -> presence_async.ChannelOccupancy:
    states: dict[str, Mapping[str, Any]] = {}
    async for occupant in pages:
        states[occupant.user_id] = occupant.state or {}
        advance()
    if states and not pages.is_complete:
        complain(f"{channel}: people came and went meanwhile; some may be missing")
    return presence_async.ChannelOccupancy.of(
        channel, states if with_state else tuple(states)
    )


def _together(
    found: Mapping[str, presence_async.ChannelOccupancy],
) -> presence_async.HereNow:
    sizes = [occupancy.occupancy for occupancy in found.values()]
    return presence_async.HereNow(
        channels=found,
        total_channels=sum(size > 0 for size in sizes),
        total_occupancy=sum(sizes),
    )
