"""What rich draws: tables, lines that fit, and a bar for waiting.

Only loaded to draw: rich takes as long to import as the rest of a command line.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

__all__ = ["console", "drawn_table", "fitting", "waiting_bar"]

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
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    output = console()
    with output.capture() as text:
        output.print(table)
    return text.get().removesuffix("\n")


def fitting(text: str) -> str:
    """Return as much of a line as fits into the terminal's width."""
    width = console().width
    return text if cell_len(text) <= width else f"{set_cell_size(text, width - 1)}…"


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
