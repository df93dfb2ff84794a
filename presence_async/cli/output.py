"""Print tables for people, JSON for programs, and errors on one line."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import sys
from collections.abc import Iterable, Mapping

__all__ = [
    "OutputClosedError",
    "complain",
    "print_json",
    "print_table",
    "say",
    "say_line",
    "shown",
    "take_any_character",
]

# A pipe without a reader (which Windows calls an invalid argument), a closed terminal.
_CLOSED = frozenset({errno.EPIPE, errno.EINVAL, errno.EIO})


class OutputClosedError(Exception):
    """Nobody reads the output any more: a reason to end, and nothing to report."""


def take_any_character() -> None:
    """Escape, from now on, the characters that the terminal or file cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str = "") -> None:
    """Print a line at once.

    Raises:
        OutputClosedError: The reader is gone.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        if error.errno not in _CLOSED:
            raise
        raise OutputClosedError from None


def say_line(text: str) -> None:
    """Print a line; a terminal gets what fits into its width."""
    if sys.stdout is not None and sys.stdout.isatty():
        from .tables import fitting  # noqa: PLC0415  # as app says

        text = fitting(text)
    say(text)


def complain(text: str) -> None:
    """Print one line on stderr, if somebody still reads it."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(f"presence-async: {shown(text)}", file=sys.stderr, flush=True)


def print_json(value: object) -> None:
    """Print JSON on one line, in characters that the terminal or file can encode.

    Characters that could control a terminal are escaped, too, which is the same JSON.
    """
    is_unicode = (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    text = json.dumps(value, ensure_ascii=not is_unicode)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
    say(text)


def print_table(
    title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]
) -> None:
    """Print rows under headings.

    Args:
        title: The title of the table.
        columns: The headings.
        rows: The cells; names from the network have to pass through ``shown``.
    """
    from .tables import drawn_table  # noqa: PLC0415  # as app says

    say(drawn_table(title, columns, rows))


def shown(value: object) -> str:
    """Return text in which control characters are escaped."""
    if isinstance(value, Mapping):
        value = json.dumps(value, ensure_ascii=False)
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode()
        for c in str(value)
    )
