"""The emulator: a presence service over real sockets, for tests and demos.

``server`` reads a request from a socket, and ``request_guard`` parses it and refuses it
if it must. ``service`` applies it through ``router`` to the ``keyset`` that it names.
Changes become events (``event_policy``, ``message_feed``), which wait in queues
(``message_log``) and end polls (``open_polls``). ``faults`` and ``event_faults`` make
things go wrong, ``journal`` records requests, and ``control`` steers all this over
HTTP. Everything takes the time as an argument and is pure, except ``server``,
``held_polls`` and ``expiry_timer``, which have sockets, tasks and the clock.
``emulator`` is the handle that tests hold.
"""

from .emulator import PresenceEmulator as PresenceEmulator
from .event_faults import EventFault as EventFault
from .faults import Fault as Fault
from .grant import Grant as Grant

__all__ = ["EventFault", "Fault", "Grant", "PresenceEmulator"]
