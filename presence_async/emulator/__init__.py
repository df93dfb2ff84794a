"""How the service answers: a presence service over real sockets, for tests and demos.

A request takes this way: ``server`` reads it from a socket, ``request_guard`` parses it
and refuses it if need be, ``service`` applies it through ``router`` to the ``keyset``
it names, and what happens becomes events (``event_policy``, ``message_feed``) that wait
in queues (``message_log``) and end polls (``open_polls``). ``faults`` and
``event_faults`` make it go wrong, ``journal`` records it, ``control`` steers all this
over HTTP. Everything takes the time as an argument and is pure, except ``server``,
``held_polls`` and ``expiry_timer``, which know sockets, tasks and the clock.
``emulator`` is the handle that tests hold.
"""

from .emulator import PresenceEmulator as PresenceEmulator
from .event_faults import EventFault as EventFault
from .faults import Fault as Fault
from .grant import Grant as Grant

__all__ = ["EventFault", "Fault", "Grant", "PresenceEmulator"]
