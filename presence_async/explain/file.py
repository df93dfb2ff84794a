"""Facts in a file: a line of JSON each, flushed at once, rotated by size.

Every line stands for itself and is plain ASCII, so nothing in a name or an error can
break it or steer a terminal. Several clients may write into one file.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

if sys.platform != "win32":
    import fcntl

from . import circumstances, facts
from .facts import Fact

__all__ = ["FactFile", "lines_of", "read_facts"]

LARGEST_BYTES: Final = 10 * 2**20
_LONGEST_LINE: Final = 2**20
_LATEST_UNIX_S: Final = 250_000_000_000.0
_NAMED = [getattr(m, name) for m in (facts, circumstances) for name in m.__all__]
_KINDS: Any = reduce(
    or_,
    [
        x
        for x in _NAMED
        if isinstance(x, type) and issubclass(x, Fact) and x is not Fact
    ],
)
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
# A pipe without a reader is refused instead of waited for.
_FLAGS |= getattr(os, "O_NONBLOCK", 0)


class FactFile:
    """The file of one client; opened by the first line, and again when it was moved.

    Args:
        path: Where; beyond ``largest_bytes`` it becomes ``path.1``, the one before
            that is dropped. A new one is for its owner alone; one that exists keeps its
            mode.
        largest_bytes: When to rotate.

    Attributes:
        is_open: Whether lines were written since it was opened.
    """

    def __init__(self, path: Path, largest_bytes: int = LARGEST_BYTES) -> None:
        self._path = path
        self._largest_bytes = largest_bytes
        self._number: int | None = None
        self._is_torn = False

    @property
    def is_open(self) -> bool:
        """Whether it is open."""
        return self._number is not None

    def open(self) -> bool:
        """Open it, unless it is; return True if it is another file than before.

        Raises:
            OSError: It cannot be opened.
        """
        if self._number is not None and not self._is_moved(self._number):
            if os.fstat(self._number).st_size < self._largest_bytes:
                return False
            if not self._rotate(self._number):
                return False
        self.close()
        self._number = os.open(self._path, _FLAGS, 0o600)
        # Whoever wrote before may have been killed in the middle of a line.
        self._is_torn = os.fstat(self._number).st_size > 0
        return True

    def write(self, fact: Fact, run: str) -> None:
        """Write a line; the operating system has it when this returns.

        Raises:
            OSError: It cannot be written; the next line begins a new one.
        """
        if self._number is None:
            return
        line = json.dumps({**msgspec.to_builtins(fact), "run": run}) + "\n"
        data = ("\n" * self._is_torn + line).encode("ascii")
        self._is_torn = True
        if os.write(self._number, data) == len(data):
            self._is_torn = False

    def close(self) -> None:
        """Close it."""
        number, self._number = self._number, None
        if number is not None:
            os.close(number)

    def _rotate(self, number: int) -> bool:
        """Move the file away; return False if another process is doing so.

        Of two that did so at once, the second would move the new file over the one
        that the first has moved away.
        """
        if sys.platform != "win32":
            try:
                # Held until the file is closed.
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError:
                # A file system without locks.
                pass
            if self._is_moved(number):
                return True
        self._path.replace(f"{self._path}.1")
        return True

    def _is_moved(self, number: int) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        ours = os.fstat(number)
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)


def lines_of(path: Path) -> Iterator[bytes]:
    """Return the lines of a file and of the one that it was rotated from.

    Raises:
        OSError: The file cannot be read.
    """
    before = path.with_name(f"{path.name}.1")
    if before.is_file():
        with before.open("rb") as file:
            yield from _lines(file)
    with path.open("rb") as file:
        yield from _lines(file)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Return lines; one that is too long comes in pieces, which are none."""
    while line := file.readline(_LONGEST_LINE):
        yield line


def read_facts(lines: Iterable[bytes]) -> tuple[list[Fact], int]:
    """Return the facts that lines hold, and how many lines hold none.

    A last line that is half written, as by a process that was killed, does not count.
    """
    found: list[Fact] = []
    unread, decoder = 0, msgspec.json.Decoder(_KINDS)
    for line in lines:
        if not line.strip():
            continue
        try:
            fact: Fact = decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            unread += line.endswith(b"\n") or len(line) == _LONGEST_LINE
            continue
        if _is_sane(fact):
            found.append(fact)
        else:
            unread += 1
    return found, unread


def _is_sane(fact: Fact) -> bool:
    """Return False if a time, span or number is none that a client writes."""
    numbers = [x for x in msgspec.structs.astuple(fact) if isinstance(x, (int, float))]
    return all(0 <= x < _LATEST_UNIX_S for x in numbers)
