"""What rich draws: tables, lines that fit, and bars of progress.

Only loaded to draw: rich takes as long to import as the rest of a command line.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, OverflowMethod
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

__all__ = [
    "age",
    "console",
    "cut",
    "drawn_table",
    "fitting",
    "reading_bar",
    "waiting_bar",
]

_WIDTH = 80


def console() -> Console:
    """Return a console of at most 80 columns, which prints plain text into a pipe."""
    plain = Console(highlight=False, markup=False, emoji=False)
    return Console(
        highlight=False, markup=False, emoji=False, width=min(plain.width, _WIDTH)
    )


def drawn_table(
    title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]
) -> str:
    """Return rows under headings, as text for the terminal or pipe."""
    output = console()
    # Rich breaks a title where the table ends.
    least = min(cell_len(title), output.width)
    table = Table(
        title=title, title_justify="left", title_style="bold", min_width=least
    )
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*[Text(cell) for cell in row])
    with output.capture() as text:
        output.print(table)
    return text.get().removesuffix("\n")


def fitting(text: str) -> str:
    """Return as much of a line as fits into the terminal's width."""
    output = console()
    line = cut(text, output.options)
    line.truncate(output.width)
    return line.plain


def cut(text: str, options: ConsoleOptions, *, style: str = "") -> Text:
    """Return a line of which rich draws as much as there is room for.

    An ellipsis tells that something is missing, where it can be encoded.
    """
    if options.ascii_only:
        text = text.replace("…", "...")
    overflow: OverflowMethod = "crop" if options.ascii_only else "ellipsis"
    return Text(text, style=style, no_wrap=True, overflow=overflow)


def age(seconds: float) -> str:
    """Return a span of time in its two largest units."""
    whole = max(0, int(seconds))
    minutes, s = divmod(whole, 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days}d {h:02}h"
    if hours:
        return f"{h}h {m:02}m"
    return f"{m}m {s:02}s" if minutes else f"{s}s"


def waiting_bar() -> Progress:
    """Return a bar that shows seconds on a terminal, and nothing in a pipe."""
    output = console()
    return Progress(
        TextColumn("   waiting"),
        BarColumn(),
        TextColumn("{task.completed:.1f} s"),
        console=output,
        transient=True,
        disable=not output.is_terminal,
    )


def reading_bar() -> Progress:
    """Return a bar that counts on stderr, if that is a terminal."""
    output = Console(stderr=True, highlight=False, markup=False, emoji=False)
    return Progress(
        TextColumn("reading"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("users"),
        console=output,
        transient=True,
        disable=not output.is_terminal,
    )
