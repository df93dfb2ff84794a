"""The file of an SQLite register: opened, replaced when broken, closed.

Everything here blocks, and is done in one thread.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..errors import InvalidArgumentError, RegisterError
from .sqlite_place import (
    check_place,
    create,
    identity,
    kept_aside,
    locked_folder,
    set_aside,
)
from .sqlite_shelf import APPLICATION_ID, LAYOUT, TABLES, SqliteShelf, is_broken

__all__ = ["SqliteFile"]

_T = TypeVar("_T")

_LOG = logging.getLogger("presence_async.register")
_BUSY_S = 0.8
_BEGINNING = f"""
BEGIN IMMEDIATE;
{TABLES}
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {LAYOUT};
COMMIT;
"""


class _LayoutError(Exception):
    """The file is of another version of this library."""


class SqliteFile:
    """The file, and a connection to it while it is open.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def open(self) -> None:
        """Open the file, or begin one.

        Raises:
            InvalidArgumentError: It cannot be there.
            RegisterError: It is locked, or not to be written.
        """
        self._translated(self._ready)

    def run(self, subscribe_key: str, act: Callable[[SqliteShelf], _T]) -> _T:
        """Do something in one transaction; with a fresh file if this one is broken.

        Raises:
            RegisterError: The file is locked, or not to be written.
        """
        return self._translated(lambda: self._run_or_replace(subscribe_key, act))

    def notice(self) -> None:
        """Notice if the file was deleted or replaced, and close it then."""
        if self._file is not None and identity(self._path) != self._identity:
            _LOG.warning("%s was deleted or replaced; beginning afresh", self._path)
            self.close()

    def close(self) -> None:
        """Close the file."""
        self._translated(self._close)

    def _translated(self, act: Callable[[], _T]) -> _T:
        try:
            return act()
        except (sqlite3.Error, OSError) as error:
            problem = f"{type(error).__name__}: {error}"
        raise RegisterError(f"sqlite: {problem}")

    def _run_or_replace(
        self, subscribe_key: str, act: Callable[[SqliteShelf], _T]
    ) -> _T:
        try:
            return self._run(subscribe_key, act)
        except Exception as error:
            if not is_broken(error):
                raise
            self._replace(error)
        return self._run(subscribe_key, act)

    def _run(self, subscribe_key: str, act: Callable[[SqliteShelf], _T]) -> _T:
        file = self._ready()
        file.execute("BEGIN IMMEDIATE")
        try:
            shelf = SqliteShelf(file, subscribe_key)
            answer = act(shelf)
            shelf.write()
            file.execute("COMMIT")
        except BaseException:
            if file.in_transaction:
                file.execute("ROLLBACK")
            raise
        return answer

    def _ready(self) -> sqlite3.Connection:
        if self._file is None:
            check_place(self._path)
            with locked_folder(self._path.parent):
                self._file = self._opened()
                self._identity = identity(self._path)
        return self._file

    def _opened(self) -> sqlite3.Connection:
        create(self._path)
        try:
            return _connected(self._path)
        except (sqlite3.Error, _LayoutError) as error:
            if not isinstance(error, _LayoutError) and not is_broken(error):
                raise
            self._set_aside(error, identity(self._path))
        create(self._path)
        return _connected(self._path)

    def _replace(self, error: Exception) -> None:
        broken = self._identity
        self._close()
        with locked_folder(self._path.parent):
            self._set_aside(error, broken)

    def _set_aside(self, error: Exception, broken: tuple[int, int] | None) -> None:
        aside = set_aside(self._path, broken)
        if aside is not None:
            _LOG.warning(
                "%s cannot be read (%s); it is %s now, and a fresh one begun",
                *(self._path, error, aside.name),
            )

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        # A file that is broken may refuse even that.
        with contextlib.suppress(sqlite3.Error):
            try:
                with locked_folder(self._path.parent):
                    self._close_aside(file)
            except (OSError, RegisterError):
                # The folder is gone, or locked for too long.
                file.close()

    def _close_aside(self, file: sqlite3.Connection) -> None:
        if identity(self._path) == self._identity:
            file.close()
        else:
            with kept_aside(self._path):
                file.close()


def _connected(path: Path) -> sqlite3.Connection:
    file = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    try:
        is_fresh = _is_fresh(file, path)
        file.execute("PRAGMA journal_mode = WAL")
        # Nothing in it matters after a power failure: users are held again.
        file.execute("PRAGMA synchronous = OFF")
        if is_fresh:
            # The folder is locked: nobody else does the same.
            file.executescript(_BEGINNING)
    except BaseException:
        file.close()
        raise
    return file


def _is_fresh(file: sqlite3.Connection, path: Path) -> bool:
    application = _number(file, "PRAGMA application_id")
    layout = _number(file, "PRAGMA user_version")
    tables = _number(file, "SELECT count(*) FROM sqlite_schema")
    if application == APPLICATION_ID and layout != LAYOUT:
        raise _LayoutError("written by another version")
    if application != APPLICATION_ID and (tables or application):
        raise InvalidArgumentError("path", f"{path} is another program's database")
    return application != APPLICATION_ID


def _number(file: sqlite3.Connection, question: str) -> int:
    return int(file.execute(question).fetchone()[0])
