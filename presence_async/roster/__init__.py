"""The list of who is on a channel, concluded from events and snapshots.

Pure: no asyncio, no logging; the time is an argument. ``RosterState`` merges two
witnesses into one list. Events are quick, but may be lost, late, doubled or out of
order. A ``Snapshot``, the answer to here now, is complete, but may be some seconds old
without saying so; ``evidence`` tells which of the two is newer. ``SnapshotSchedule``
decides when to ask for the next snapshot and whether the list is confirmed. What a
snapshot corrects becomes an event marked as ``synthesized`` (``corrections``).

The shell is ``client/roster.py`` and ``client/roster_sync.py``: they listen, ask and
publish changes.
"""
