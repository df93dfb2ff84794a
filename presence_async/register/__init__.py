"""Registers: who else keeps a user present, for clients in many processes.

``register`` says what every register is able to do, ``values`` what is said to one and
what it answers. ``record`` is one user, ``holding`` and ``leaving`` are the rules,
``hub`` knows the workers, ``ledger`` puts them together; ``memory`` and ``sqlite`` run
that. For ``valkey`` it is said once more in Lua (``scripts``): the server runs it.

Names are imported when they are first used: a register costs nothing without one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..first_use import on_first_use

if TYPE_CHECKING:
    from .holders import UserHolders as UserHolders
    from .memory import MemoryRegister as MemoryRegister
    from .opening import register_at as register_at
    from .register import Register as Register
    from .sqlite import SqliteRegister as SqliteRegister
    from .valkey import ValkeyRegister as ValkeyRegister

_HOMES = {
    "MemoryRegister": "memory",
    "Register": "register",
    "SqliteRegister": "sqlite",
    "UserHolders": "holders",
    "ValkeyRegister": "valkey",
    "register_at": "opening",
}

__all__ = [  # noqa: PLE0604  # the keys above, which ruff cannot see
    *sorted(_HOMES)
]


def __getattr__(name: str) -> object:
    return on_first_use(name, _HOMES, globals())


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
