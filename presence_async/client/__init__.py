"""The asyncio and aiohttp side: everything that has a task, a socket or a clock.

What is decided about presence and rosters is decided in ``presence`` and ``roster``,
which are pure; the shells around them are here. ``client`` is what users hold, with
``query_calls`` and ``channel_group_calls``; ``core`` puts its parts together, and
``on_demand`` loads those that not every program uses.

One request: ``pipeline`` gives a call its budget, its token (``tokens``) and its place
(``aio``, ``shares``), and repeats it as ``retry`` and ``call`` say. ``transport`` puts
it on the wire, by way of ``direct``, over a connection that ``pool`` approves.

Being present: a ``lease`` states wishes through ``presence_calls``. ``heartbeat_loop``
hands them to the engine, sends what the engine returns (``presence_request``) and
tells leases and logs (``presence_log``) what has changed. ``sharing`` speaks to a
register, if there is one.

Following others: the polls of ``feed`` deliver events to the ``event_buffer`` of an
``event_stream``, and to a ``roster_sync``, which keeps the list of a ``roster`` and
corrects it by ``snapshot_requests``.

Only ``transport``, ``direct`` and ``pool`` import aiohttp; only ``wall_clock`` reads
clocks other than the event loop's.
"""
