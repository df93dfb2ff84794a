"""Print tables for people, JSON for programs, and errors on one line."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import json
import os
import select
import sys
from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "OutputClosedError",
    "complain",
    "ends_when_closed",
    "is_live_terminal",
    "is_watched_by_a_person",
    "print_json",
    "print_table",
    "say",
    "say_line",
    "shown",
    "take_any_character",
    "until_unread",
]

# A pipe without a reader (which Windows calls an invalid argument), a closed terminal.
_CLOSED = frozenset({errno.EPIPE, errno.EINVAL, errno.EIO})

_UNREAD_CHECK_S = 1.0


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
    with ends_when_closed():
        print(text, flush=True)


@contextlib.contextmanager
def ends_when_closed() -> Iterator[None]:
    """Tell a reader that is gone from other failures to write.

    Raises:
        OutputClosedError: The reader is gone.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _CLOSED:
            raise
        raise OutputClosedError from None


def is_live_terminal() -> bool:
    """Return True if stdout can be drawn on again and again."""
    return (
        sys.stdout is not None
        and sys.stdout.isatty()
        and os.environ.get("TERM", "").lower() not in {"", "dumb", "unknown"}
    )


def is_watched_by_a_person() -> bool:
    """Return True if stderr is a terminal, where a hint disturbs no program."""
    return sys.stderr is not None and sys.stderr.isatty()


async def until_unread() -> None:
    """Wait until nobody reads stdout; for ever if nobody can tell.

    Without this a command that has nothing to say would outlive ``| head -1``.

    Raises:
        OutputClosedError: Nobody does.

    Cancellation: ends the waiting.
    """
    while _has_reader():  # noqa: ASYNC110  # a pipe tells nobody
        await asyncio.sleep(_UNREAD_CHECK_S)
    raise OutputClosedError


def _has_reader() -> bool:
    """Return False if stdout is a pipe or socket whose other end is closed."""
    if sys.stdout is None or not hasattr(select, "poll"):
        return True
    try:
        poll = select.poll()
        poll.register(sys.stdout, 0)  # errors are always reported
        return not any(what & select.POLLERR for _, what in poll.poll(0))
    except (OSError, ValueError):
        return True  # it is no file


def say_line(text: str) -> None:
    """Print a line; a terminal gets what fits into its width."""
    if sys.stdout is not None and sys.stdout.isatty():
        from .tables import fitting  # noqa: PLC0415  # as app says

        text = fitting(text)
    say(text)


def complain(text: str, command: str = "presence-async") -> None:
    """Print one line on stderr, after the command, if somebody still reads it."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(f"{command}: {shown(text)}", file=sys.stderr, flush=True)


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
    """Return text in which control characters are escaped.

    So are characters that change the direction of writing, and those that stdout cannot
    encode, which would be wider than what is drawn around them.
    """
    if isinstance(value, Mapping):
        value = json.dumps(value, ensure_ascii=False)
    text = str(value)
    if not text.isprintable():
        text = "".join(
            c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
        )
    if text.isascii():
        return text
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
