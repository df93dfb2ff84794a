"""Who is on a channel, concluded from events and snapshots. Pure: time is an argument.

``RosterState`` merges two witnesses into one list. Events are quick, and may be lost,
late, doubled or out of order. A ``Snapshot`` (the answer to a here now) is complete,
and may be some seconds old without a sign of it. ``SnapshotSchedule`` decides when to
ask for the next snapshot, and whether the list is beyond doubt. What a snapshot
corrects comes out as events that are marked as ``synthesized``.

Here belongs what decides; no asyncio, no clock, no logging. ``client/roster.py`` and
``client/roster_sync.py`` are the shell: they listen, ask and publish changes.
"""
