"""The long polls that all streams and rosters of a client share.

A ``PresenceFeed`` attaches listeners and gives their names to as few ``LongPoll`` tasks
as possible. Each of these sends its requests through ``SubscribeRequests``. Its
``PollProgress`` knows where the next poll continues and whether events were lost; its
``RoutingTable`` knows who listens to which name; a ``Subscription`` is one who does.
``progress``, ``routing``, ``subscription`` and ``pace`` are pure.
"""
