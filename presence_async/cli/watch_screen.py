"""The screen of ``watch``: who is on each channel, as rich draws it.

Drawing asks nobody and changes nothing. It fits into the width and height it is given.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

import presence_async

from .output import shown
from .sparkline import sparkline
from .tables import age, cut
from .watch_lines import event_line
from .watched import Watched

__all__ = ["View", "WatchScreen", "shares"]

_HEALTH_STYLES = {
    presence_async.StreamHealth.LIVE: "green",
    presence_async.StreamHealth.RECONNECTING: "magenta",
    presence_async.StreamHealth.REFUSED: "red",
}
_ACTION_STYLES = {"join": "green", "timeout": "magenta"}
_TIME_LENGTH = len("00:00:00 ")
_INDENT = 2
_AGE_WIDTH = 8
_SIDE_BY_SIDE = 120  # columns from which events stand beside the users
_WITH_STATE = 40
_WITH_AGE = 24
_WITH_SPARKLINE = 50
_PROBLEM_LINES = 4
_NOBODY = "if somebody should be: presence-async doctor {channel}"


class View(NamedTuple):
    """A channel as it is now.

    Attributes:
        watched: Since when users are here, the last events and the counts.
        occupants: Who is here.
        health: Whether events arrive.
        problem: Why they do not, and what to do; empty if they do.
    """

    watched: Watched
    occupants: Sequence[presence_async.Occupant]
    health: presence_async.StreamHealth
    problem: str = ""


class WatchScreen:
    """Something that rich draws: the channels below each other.

    Args:
        views: The channels.
        now_s: The time, by the clock of what was watched.
    """

    def __init__(self, views: Sequence[View], *, now_s: float) -> None:
        self._views = views
        self._now_s = now_s

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Draw every channel, in a fair share of the height."""
        height = options.height or options.size.height
        views, hidden = self._views, 0
        if len(views) > height:
            hidden = len(views) - (height - 1)
            views, height = views[: height - 1], height - 1
        health_width = max(len(view.health) for view in views) if views else 0
        blocks = [
            _Block(view, console, options, self._now_s, health_width) for view in views
        ]
        for block, rows in zip(
            blocks, shares([block.wanted for block in blocks], height), strict=True
        ):
            yield block.drawn(rows)
        if hidden:
            yield cut(f"… and {hidden} more channels", options)


def shares(wanted: Sequence[int], total: int) -> list[int]:
    """Divide rows: everybody gets what is wanted, or as much as anybody else."""
    given = dict.fromkeys(range(len(wanted)), 0)
    for place, index in enumerate(sorted(given, key=lambda i: wanted[i])):
        given[index] = min(wanted[index], total // (len(wanted) - place))
        total -= given[index]
    return list(given.values())


class _Block:
    """The rows of one channel."""

    def __init__(
        self,
        view: View,
        console: Console,
        options: ConsoleOptions,
        now_s: float,
        health_width: int,
    ) -> None:
        self._view = view
        self._options = options
        self._now_s = now_s
        self._health_width = health_width
        self._width = options.max_width
        self._is_wide = self._width >= _SIDE_BY_SIDE
        self._problem: list[Text] = []
        if view.problem:
            style = _HEALTH_STYLES.get(view.health, "")
            lines = Text(shown(view.problem), style=style).wrap(
                console, max(1, self._width - _INDENT)
            )
            self._problem = lines[:_PROBLEM_LINES]

    @property
    def wanted(self) -> int:
        """The rows that show everything."""
        users = len(self._view.occupants) + 1 if self._view.occupants else 2
        events = len(self._view.watched.events)
        body = max(users, events) if self._is_wide else users + bool(events) + events
        return 1 + len(self._problem) + body + 1

    def drawn(self, rows: int) -> RenderableType:
        """Draw as much as fits into some rows; the last one stays empty."""
        parts: list[RenderableType] = [self._header()]
        problem = self._problem[: max(0, rows - 1)]
        if problem:
            parts.append(_indented(Group(*problem)))
        left = rows - 1 - len(problem) - 1
        if left > 0:
            parts.append(_indented(self._body(left, self._width - _INDENT)))
        if left >= 0:
            parts.append("")
        return Group(*parts[: max(rows, 0)])

    def _header(self) -> RenderableType:
        view, history = self._view, self._view.watched.history
        line = Table.grid(expand=True, padding=(0, 2, 0, 0))
        line.add_column(ratio=1, no_wrap=True)
        line.add_column(no_wrap=True)
        cells = [
            cut(shown(view.watched.channel), self._options, style="bold"),
            Text(f"{len(view.occupants)} here", style="bold"),
        ]
        if self._width >= _WITH_SPARKLINE:
            line.add_column(no_wrap=True)
            counts = history.counts(self._width // 3, self._now_s)
            line_of_bars = sparkline(counts, ascii_only=self._options.ascii_only)
            cells.append(Text(line_of_bars, style="dim"))
        line.add_column(no_wrap=True, min_width=self._health_width)
        cells.append(Text(view.health, style=_HEALTH_STYLES.get(view.health, "")))
        line.add_row(*cells)
        return line

    def _body(self, rows: int, width: int) -> RenderableType:
        events = len(self._view.watched.events)
        if self._is_wide and events:
            both = Table.grid(padding=(0, 2, 0, 0))
            right = width * 2 // 5
            left = width - right - 2
            both.add_column(width=left)
            both.add_column(width=right)
            both.add_row(self._users(rows, left), self._events(rows))
            return both
        if not events or self._is_wide:
            return self._users(rows, width)
        users = len(self._view.occupants) + 1 if self._view.occupants else 2
        shown_events = min(events, max(rows // 3, rows - users - 1))
        parts = [self._users(rows - shown_events - 1, width)]
        if shown_events > 0:
            parts += ["", self._events(shown_events)]
        return Group(*parts)

    def _users(self, rows: int, width: int) -> RenderableType:
        """Draw the heading and the first users, by name; ``rows`` in all."""
        occupants = self._view.occupants
        if not occupants:
            return self._nobody(rows)
        room = rows - 1
        has_rest = len(occupants) > room
        first = heapq.nsmallest(
            max(0, room - has_rest),
            occupants,
            key=lambda o: (o.user_id.casefold(), o.user_id),
        )
        parts: list[RenderableType] = [self._user_table(first, width)] if first else []
        if has_rest and rows > 0:
            rest = len(occupants) - len(first)
            more = f"… and {rest} more" if first else f"{rest} users"
            parts.append(cut(more, self._options, style="dim"))
        return Group(*parts)

    def _nobody(self, rows: int) -> RenderableType:
        hint = _NOBODY.format(channel=shown(self._view.watched.channel))
        lines = ["nobody is here", hint][: max(0, rows)]
        return Group(*[cut(line, self._options, style="dim") for line in lines])

    def _user_table(
        self, occupants: Sequence[presence_async.Occupant], width: int
    ) -> Table:
        users = [shown(o.user_id) for o in occupants]
        states = [shown(o.state or o.state_error or "") for o in occupants]
        has_state = width >= _WITH_STATE and any(states)
        has_age = width >= _WITH_AGE
        room = width - (_AGE_WIDTH + 2) * has_age
        longest = max(len("user"), *map(cell_len, users))
        user_width = min(longest, room // 2 if has_state else room)
        table = Table(
            box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim"
        )
        table.add_column("user", width=user_width, no_wrap=True)
        if has_age:
            table.add_column(
                "here for", width=_AGE_WIDTH, justify="right", no_wrap=True
            )
        if has_state:
            table.add_column("state", width=room - user_width - 2, no_wrap=True)
        for occupant, user, state in zip(occupants, users, states, strict=True):
            cells = [cut(user, self._options)]
            if has_age:
                cells.append(Text(self._age(occupant.user_id)))
            if has_state:
                cells.append(cut(state, self._options))
            table.add_row(*cells)
        return table

    def _age(self, user_id: str) -> str:
        seen = self._view.watched.seen(user_id)
        if seen is None:
            return ""
        return f"{'' if seen.is_exact else '>'}{age(self._now_s - seen.since_s)}"

    def _events(self, rows: int) -> RenderableType:
        """Draw the last events, newest last."""
        events = list(self._view.watched.events)[-rows:] if rows > 0 else []
        lines = [cut(event_line(event), self._options) for event in events]
        for line, event in zip(lines, events, strict=True):
            style = _ACTION_STYLES.get(event.action, "")
            line.stylize(style, _TIME_LENGTH, _TIME_LENGTH + len(event.action))
        return Group(*lines)


def _indented(inner: RenderableType) -> Padding:
    return Padding(inner, (0, 0, 0, _INDENT))
