"""How we ask: asyncio and aiohttp.

Here are the actors, in the folders what they are made of. ``client`` is the public
face, with ``config``, ``auth``, ``lifecycle`` and ``run``.

One request: ``pipeline`` gives it a budget and repeats it as ``retry`` says,
``transport`` puts it on the wire; ``request/`` has the rest.

Being present: ``heartbeat_manager`` keeps by its ``schedule`` what a ``lease`` holds;
``presence/`` joins, beats, leaves, and lives through outages.

Following others: the polls of ``feed/`` deliver events to the ``event_buffer`` of an
``event_stream``, and to a ``roster_sync``, which keeps the list of a ``roster``.

Only ``transport`` and ``direct`` know aiohttp and yarl, only ``wall_clock``
reads clocks other than the event loop's.
"""
