"""How the service answers: a presence service over real sockets, for tests and demos.

``occupancy``, ``groups``, ``faults``, ``journal`` and ``cache`` are pure and take the
time as an argument; ``keyset`` applies operations to them; ``service`` turns requests
into replies; only ``server`` knows sockets and the clock.
"""

from .faults import Fault as Fault
from .server import PresenceEmulator as PresenceEmulator

__all__ = ["Fault", "PresenceEmulator"]
