"""The presence engine: who is kept present, and which request is sent next.

Pure: no clock, no socket, no logger; every method takes ``now_s``. For each name of a
user there are two columns. *Wanted* is what the claims of the user's leases ask for:
timeout, state, parameters. *Told* is what the service has acknowledged: until when,
with which timeout, which state. The next request about a user is the difference:

===========================  =================================  =======================
wanted                       told                               request
===========================  =================================  =======================
by a new claim               nothing yet, or for other claims   heartbeat of that claim
yes                          yes, and due, or not as wanted     heartbeat
a newer state                yes                                set state, in sequence
no, and linger time over     yes, or perhaps                    leave
what was acknowledged last   an older request may undo it       the same again
no                           no                                 none; user forgotten
===========================  =================================  =======================

At most one request of a user is under way. A lost reply, a cancelled caller, a fault or
a sleep of the machine needs no code of its own: the columns still differ, so the
request is sent again.

Clients of several processes may share a register. What it lists of a user is a third
column. A heartbeat is sent by one of those that hold the user, a leave if none does.

The files, from the ground up; each imports only files that are named before it:

- ``names``: channels and groups as one. ``rarely``: fields that mostly take no memory.
- ``claims``: what callers want. ``listing``: what a register lists of it. ``changes``:
  what the engine reports. ``pace``: when and for how long, as arithmetic. ``merging``:
  names into requests. ``wire``: a request and its outcome. ``patience``: whether an
  order is tried again. ``sharing``: what is asked of a register.
- ``user``, made of ``doubt``, ``records`` and ``settings``: the columns of one user.
  ``difference``: what has to be said. ``health``: what it means for a lease.
- ``rounds``: regular heartbeats. ``order_queue``, ``leaving``, ``joining``,
  ``handing_over`` and ``orders``: what callers asked for. ``lone``: one that stands
  alone. ``repeats``: what is sent twice. ``closing``: the last requests.
- ``places``: how many at once. ``outage``, ``overview`` and ``backoff``: who may send
  while something is wrong. ``timetable``: which user is next. ``dispatch``: what that
  user says, and what follows from the answer.
- ``membership``: this client among those that share a register. ``listed``: what that
  has to be told of a user. ``turns``: whose heartbeats are whose to send.
  ``permission`` and ``departing``: before and after a leave. ``listings``: all of that,
  for all users.
- ``engine``: all users, and the interface for the shell, ``client/heartbeat_loop``.
"""
