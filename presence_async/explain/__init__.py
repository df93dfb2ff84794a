"""WHY a user was shown as they were: what is kept about decisions, and how it is told.

``facts`` are what happened, one small value each. ``memory`` keeps the newest of them
and ``file`` writes them down. ``timeline`` concludes from them when a user was shown
online, ``verdict`` says why, ``telling`` goes through them one by one, and ``story``
makes an ``Explanation`` of it all. Pure but for ``file``: no clock, no task, no client.
The facts come from ``client/recorder.py``, or from ``service_side`` when an emulator is
asked.
"""
