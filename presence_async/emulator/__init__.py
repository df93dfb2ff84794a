"""The emulator: a presence service over real sockets, for tests and demos.

``server`` reads a request from a socket, and ``request_guard`` parses it and refuses it
if it must. ``service`` applies it through ``router`` to the ``keyset`` that it names.
Changes become events (``event_policy``, ``message_feed``), which wait in queues
(``message_log``) and end polls (``open_polls``). ``faults`` and ``event_faults`` make
things go wrong, ``journal`` records requests, and ``control`` steers all this over
HTTP, for programs and for the page of ``console``. Everything takes the time as an
argument and is pure, except ``server``, ``http_server``, ``request_body``,
``held_polls`` and ``expiry_timer``, which have sockets, tasks and the clock, and
``profile``, which says which keyset of PubNub it is and can be a file.
``emulator`` is the handle that tests hold.

Names are imported when they are first used: a command line that shows its help needs no
server, and faults can be written down without one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..first_use import on_first_use

if TYPE_CHECKING:
    from .emulator import PresenceEmulator as PresenceEmulator
    from .event_faults import EventFault as EventFault
    from .faults import Fault as Fault
    from .grant import Grant as Grant
    from .profile import EmulatorProfile as EmulatorProfile

_HOMES = {
    "EmulatorProfile": "profile",
    "EventFault": "event_faults",
    "Fault": "faults",
    "Grant": "grant",
    "PresenceEmulator": "emulator",
}

__all__ = [  # noqa: PLE0604  # the keys above, which ruff cannot see
    *sorted(_HOMES)
]


def __getattr__(name: str) -> object:
    return on_first_use(name, _HOMES, globals())


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
