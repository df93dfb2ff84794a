"""Tools for tests: virtual time, the leak check, an emulator in a thread, the plugin.

Names are imported when they are first used, because pytest imports this package for the
plugin in every run.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .clients import MakePresenceClient as MakePresenceClient
    from .leaks import LeakCheck as LeakCheck
    from .leaks import LeakError as LeakError
    from .threaded import ThreadedEmulator as ThreadedEmulator
    from .virtual_loop import VirtualLoop as VirtualLoop

_HOMES = {
    "LeakCheck": "leaks",
    "LeakError": "leaks",
    "MakePresenceClient": "clients",
    "ThreadedEmulator": "threaded",
    "VirtualLoop": "virtual_loop",
}

__all__ = [  # noqa: PLE0604  # the keys above, which ruff cannot see
    *sorted(_HOMES)
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
