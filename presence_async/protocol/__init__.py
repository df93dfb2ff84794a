"""What is said: requests, replies and events as pure values.

No clock, no socket, no asyncio. One file per operation holds its four translations:
request out and reply in for the client, request in and reply out for the emulator.
Operations never import each other; what they share is in ``names``, ``encoding``,
``json_codec``, ``envelope`` and ``exchange``.
"""
