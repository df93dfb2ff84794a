"""How presence events arrive: long polls that the streams of a client share.

A ``PresenceFeed`` attaches listeners and gives their names to as few ``LongPoll`` tasks
as possible. Each sends its requests through ``SubscribeRequests``, keeps where it goes
on and what may have been lost in a ``PollProgress``, and hands messages to a
``RoutingTable``, which knows who listens to which name. ``progress``, ``routing`` and
``pace`` are pure.
"""
