"""What the engine asks of its connection to a register; ``listings`` is the only one.

Kept apart so that a client without a register loads nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from .claims import Order
from .listing import Ask
from .names import Name
from .wire import Outcome, Send

__all__ = ["Sharing"]


class Sharing(Protocol):
    """The third column of all users: what a register lists.

    Attributes:
        next_s: When to call ``keep`` again.
    """

    next_s: float

    # A ``user`` is the ``UserTable``, which this stands below.

    def keep(self, now_s: float) -> None:
        """Do what is due."""
        ...

    def slept(self, seconds: float) -> None:
        """Take in time that the loop clock did not see."""
        ...

    def owes(self, user: Any) -> bool:  # noqa: ANN401
        """Return True if the register lists something else than is wanted."""
        ...

    def is_listed(self, user: Any) -> bool:  # noqa: ANN401
        """Return True if the register lists this client as a holder of the user."""
        ...

    def ask_turn(self, user: Any, now_s: float) -> Ask | None:  # noqa: ANN401
        """Return what has to be asked before a regular heartbeat, if anything."""
        ...

    def ask_hold(self, user: Any, order: Order, now_s: float) -> Ask | None:  # noqa: ANN401
        """Return what has to be asked before a claim is announced, if anything."""
        ...

    def may_leave(
        self,
        user: Any,  # noqa: ANN401
        order: Order,
        names: Sequence[Name],
        now_s: float,
    ) -> bool:
        """Return True if the register has just allowed to leave names."""
        ...

    def ask_leave(
        self,
        user: Any,  # noqa: ANN401
        order: Order,
        names: Sequence[Name],
        now_s: float,
    ) -> Ask | None:
        """Return what has to be asked before a leave; ``None``: it waits."""
        ...

    def leave_by_s(self, order: Order) -> float:
        """Return when a leave must not be on its way any more."""
        ...

    def ask_next(self, user: Any, now_s: float) -> Ask | None:  # noqa: ANN401
        """Return what else the register has to be told about a user."""
        ...

    def note(self, user: Any, send: Send, outcome: Outcome) -> None:  # noqa: ANN401
        """Have noted what other clients go by."""
        ...

    def asked(self, ask: Ask) -> None:
        """Put a question to the register."""
        ...
