"""Tools for tests: virtual time, the leak check, an emulator in a thread, the plugin.

Names are imported when they are first used, because pytest imports this package for the
plugin in every run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..first_use import on_first_use

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
    return on_first_use(name, _HOMES, globals())


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
