"""How the service answers: a presence service over real sockets, for tests and demos.

``occupancy``, ``groups``, ``faults``, ``access``, ``signatures``, ``journal`` and
``cache`` are pure and take the time as an argument. So is what becomes of a change:
``announcer`` decides which are told, ``feed`` makes them messages, which go wrong by
``event_faults``, stay in the queues of ``message_log`` and wake ``polls``. ``keyset``
applies operations to all of it; ``service`` turns requests into replies, refused ones
in the words of ``refusals``; only ``server`` and ``held_polls`` know sockets, tasks and
the clock. ``emulator`` is what tests hold in their hands.
"""

from .access import Grant as Grant
from .emulator import PresenceEmulator as PresenceEmulator
from .event_faults import EventFault as EventFault
from .faults import Fault as Fault

__all__ = ["EventFault", "Fault", "Grant", "PresenceEmulator"]
