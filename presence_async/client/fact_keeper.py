"""Where facts go: into memory, and into a file if there is one."""

from __future__ import annotations

import os
import platform
import secrets
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from ..explain.circumstances import Alive, Closed, Started
from ..explain.facts import Fact, Failed
from ..explain.file import FactFile
from ..explain.memory import Memory
from ..explain.merging import merged
from . import wall_clock
from .config import PresenceConfig
from .safe_log import SafeLogger

__all__ = ["FactKeeper", "rounded", "unix_now_s"]

logger: SafeLogger = SafeLogger("presence_async.client")


class FactKeeper:
    """Keeps facts; a file that cannot be written costs a line of the log.

    Args:
        config: Says how much is kept, and where.
        count_users: Returns how many users are kept present.

    Attributes:
        memory: The newest of them.
    """

    def __init__(self, config: PresenceConfig, count_users: Callable[[], int]) -> None:
        self.memory: Memory = Memory(config.explain_decisions, config.explain_bytes)
        path = config.explain_to
        self._file = None if path is None else FactFile(Path(path))
        self._count_users = count_users
        self._run = secrets.token_hex(4)
        self._is_unwritable = False
        self._has_users = True
        # Failures that follow others are written together: at the next fact, or at
        # the next sign of life.
        self._unwritten: dict[str, Failed] = {}

    def add(self, fact: Fact) -> None:
        """Keep a fact."""
        is_more = self.memory.add(fact.user, fact)
        if self._file is None or (is_more and not isinstance(fact, Failed)):
            return
        if is_more and isinstance(fact, Failed):
            before = self._unwritten.get(fact.user)
            both = None if before is None else merged(before, fact)
            self._unwritten[fact.user] = both if isinstance(both, Failed) else fact
        else:
            self._write_failures(fact.user)
            self.write(fact)

    def write(self, fact: Fact) -> None:
        """Write a fact that memory can do without."""
        file = self._file
        if file is None:
            return
        try:
            was_open = file.is_open
            if file.open():
                file.write(self._start(fact.at, is_more=was_open), self._run)
            file.write(fact, self._run)
        except OSError as error:
            if not self._is_unwritable:
                logger.warning("decisions cannot be written to a file: %s", error)
            self._is_unwritable = True
        else:
            self._is_unwritable = False

    def alive(self) -> None:
        """Write a sign of life, if anybody is kept, or was at the one before."""
        self._write_all_failures()
        users = self._count_users()
        if users or self._has_users:
            self.write(Alive(at=unix_now_s(), users=users))
        self._has_users = users > 0

    def close(self) -> None:
        """Write the end; nothing comes after it."""
        self._write_all_failures()
        closed = Closed(at=unix_now_s())
        self.memory.add("", closed)
        if self._file is not None and self._file.is_open:
            self.write(closed)
            self._file.close()
        self._file = None

    def _write_all_failures(self) -> None:
        for user_id in list(self._unwritten):
            self._write_failures(user_id)

    def _write_failures(self, user_id: str) -> None:
        failed = self._unwritten.pop(user_id, None)
        if failed is not None:
            self.write(failed)

    def _start(self, at: float, *, is_more: bool) -> Started:
        version = ""
        with suppress(metadata.PackageNotFoundError):
            version = metadata.version("presence-async")
        return Started(
            at=at,
            host=platform.node(),
            pid=os.getpid(),
            version=version,
            users=self._count_users(),
            is_more=is_more,
        )


def unix_now_s() -> float:
    """Return the Unix time."""
    return rounded(wall_clock.now_s())


def rounded(unix_s: float) -> float:
    """Return a time in whole milliseconds: clocks that are compared differ by more."""
    return round(unix_s, 3)
