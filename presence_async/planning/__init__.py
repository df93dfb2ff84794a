"""What a presence costs: from users, hours and settings to requests and events.

Pure arithmetic, and the library's own rules where it has them: the interval of
``presence/pace.py``, the schedule of ``roster/schedule.py``. ``Situation`` is what
somebody can say about their service, ``usage_of`` what follows from it,
``transactions`` how PubNub meters that, ``levers`` what to turn. ``presence-async
plan`` prints it.

It counts what the library sends and the emulator emits while nothing fails; tests and
``benchmarks/plan.py`` hold it to within 1 % of what the emulator counts in a week.
"""
