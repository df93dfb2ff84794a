"""Who is kept present, and what to say next: pure, no clock, no socket, no logger.

For each user and name there are two columns. *Wanted*, by the claims that leases stand
for: timeout, state, parameters. *Told*, what the service has acknowledged: until when,
with which timeout, which state. Whatever is said about a user is their difference:

========================  ===================================  ======================
wanted                    told                                 said
========================  ===================================  ======================
by a new claim            nothing yet, or by other claims      heartbeat, alone
yes                       yes, and due, or not as wanted now   heartbeat
a newer state             yes                                  set state, in sequence
no, linger over           yes, or perhaps                      leave
whatever was told last    while an older request may undo it   the same once more
no                        no                                   nothing; user forgotten
========================  ===================================  ======================

At most one request of a user is under way. A lost reply, a cancelled caller, a fault or
a sleep of the machine need no code of their own: the columns differ, and it is said
again.

What lives where, from the ground up; each file imports only those above it:

- ``claims``: what is wanted. ``changes``: what the engine reports. ``pace``: how soon
  and how long, as arithmetic. ``patience``: whether an order is tried again.
- ``merging``: names into requests. ``wire``: a request to send and its outcome.
- ``user``: the two columns of one user. ``health``: what they mean for a lease.
- ``rounds``: the regular heartbeats. ``orders``, with ``joining`` and ``leaving``: what
  callers ask for. ``repeats``: what is said twice. ``closing``: the last leaves.
- ``outage`` and ``backoff``: who may send while something is wrong. ``places``: how
  many at once. ``timetable``: who is looked at next.
- ``engine``: all users, and the interface for the shell in ``client/``.

What asyncio, clocks and sockets have to do with it lives in ``client/heartbeat_loop``.
"""
