"""Who is on a channel, and how many, concluded from events and snapshots.

Pure: no asyncio, no logging; the time is an argument. ``RosterState`` merges two
witnesses into one list. Events are quick, but may be lost, late, doubled or out of
order. A ``Snapshot``, the answer to here now, is complete, but may be some seconds old
without saying so; ``evidence`` tells which of the two is newer. ``SnapshotSchedule``
decides when to ask for the next snapshot and whether the list is confirmed. What a
snapshot corrects becomes an event marked as ``synthesized`` (``corrections``).

``CountState`` needs the number of users alone, which every event carries.

The shell is ``client/channel_sync.py``: it listens and asks. ``client/roster_sync.py``
publishes the changes of a list, ``client/live_count.py`` those of a number.
"""
