"""How we ask: asyncio and aiohttp. Only ``transport`` and ``direct`` know aiohttp.

The public face: ``client``, with ``config`` (checked by ``checks`` and ``origin``),
``auth``, ``lifecycle``, ``run``, and ``wall_clock``, the only reader of outside clocks.

One request: ``pipeline`` gives it a budget and repeats it (``retry``, ``deadlines``,
``gates``), ``transport`` puts it on the wire; ``splitting`` and ``sizes`` keep requests
below what the service takes, ``occupants`` turns pages.

Being present: ``presence_desk`` joins and leaves, ``heartbeat_manager`` keeps what lies
between (``schedule``, ``beating``, ``outage``, ``clock_watch``), a ``lease`` is what
users hold, ``lanes`` keep one user's requests in order, ``leaves`` are owed.

Hearing of others: ``feed`` shares each ``poll`` among its ``audience``; an
``event_stream`` buffers for one reader, a ``roster`` concludes who is here
(``roster_book`` and its neighbours are pure, ``roster_desk`` asks).
"""
