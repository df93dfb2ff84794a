"""A table that forgets by itself what was put into it a while ago."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["Lately"]

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class Lately(Generic[KeyT, ValueT]):
    """Keeps each entry for ``span_s`` at least.

    Later entries push it out, after three times as long at the latest; without any it
    stays.

    Args:
        span_s: Seconds.
    """

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._since_s = 0.0
        self._new: dict[KeyT, ValueT] = {}
        self._old: dict[KeyT, ValueT] = {}

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def put(self, key: KeyT, value: ValueT, now_s: float) -> None:
        """Keep a value from now on."""
        if now_s - self._since_s > self._span_s:
            is_long_ago = now_s - self._since_s > 2 * self._span_s
            self._old = {} if is_long_ago else self._new
            self._new, self._since_s = {}, now_s
        self._new[key] = value

    def get(self, key: KeyT) -> ValueT | None:
        """Return the latest value, unless it is forgotten."""
        value = self._new.get(key)
        return self._old.get(key) if value is None else value
