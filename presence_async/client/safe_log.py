"""A logger whose handlers cannot break what writes to it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import MutableMapping
from typing import Any

__all__ = ["SafeLogger"]


class SafeLogger(logging.LoggerAdapter[logging.Logger]):
    """Writes lines to a logger; a handler that raises costs the line, nothing else.

    Lines are written in the midst of decisions about users' presence, where an
    exception of somebody's handler would leave them half done. The first one is
    reported as CRITICAL, to the handlers that still work.

    Args:
        name: The name of the logger.
    """

    def __init__(self, name: str) -> None:
        super().__init__(logging.getLogger(name))
        self._is_failing = False

    def process(
        self,
        msg: Any,  # noqa: ANN401  # as logging has it
        kwargs: MutableMapping[str, Any],
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Keep the ``extra`` of a line, which an adapter would replace by its own."""
        return msg, kwargs

    def log(
        self,
        level: int,
        msg: object,
        *args: Any,  # noqa: ANN401  # whatever the line takes
        **options: Any,  # noqa: ANN401  # those of logging
    ) -> None:
        """Write a line."""
        options.setdefault("stacklevel", 2)
        try:
            super().log(level, msg, *args, **options)
        except Exception as error:  # noqa: BLE001  # whatever handlers raise
            self._report(error)
        else:
            self._is_failing = False

    def _report(self, error: Exception) -> None:
        if self._is_failing:
            return
        self._is_failing = True
        with contextlib.suppress(Exception):
            self.logger.critical("a log handler failed", exc_info=error)
