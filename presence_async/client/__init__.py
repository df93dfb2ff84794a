"""How we ask: asyncio and aiohttp.

``client`` is the public face; ``pipeline`` sends one operation through ``transport``;
``heartbeat_manager`` keeps leases alive. Only ``transport`` knows aiohttp and yarl,
only ``wall_clock`` reads the wall clock.
"""
