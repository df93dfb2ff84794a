"""How a program ends after a signal: what ``run`` was told, for the blocks it ends.

A context variable, because the blocks are anywhere below ``main`` and in the tasks that
it starts, which inherit it.
"""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["ProgramEnd", "hand_over_s"]


class ProgramEnd:
    """The end of a program that ``run`` runs.

    Args:
        hand_over_s: Seconds for which its users are handed over; 0 or ``None``: they
            leave.

    Attributes:
        has_begun: Whether a signal has come.
    """

    def __init__(self, hand_over_s: float | None) -> None:
        self._hand_over_s = hand_over_s
        self.has_begun: bool = False

    def watch(self) -> None:
        """Make it the end of the task that runs now, and of all that it starts."""
        _CURRENT.set(self)

    @property
    def hand_over_s(self) -> float | None:
        """Seconds for which users are handed over now; ``None``: they leave."""
        return (self._hand_over_s or None) if self.has_begun else None


_CURRENT: ContextVar[ProgramEnd | None] = ContextVar("presence_async_end", default=None)


def hand_over_s() -> float | None:
    """Return for how many seconds the program that is ending hands its users over.

    ``None`` if they leave: no signal has come, or ``run`` was not told to.
    """
    end = _CURRENT.get()
    return None if end is None else end.hand_over_s
