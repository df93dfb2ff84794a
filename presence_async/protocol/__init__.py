"""The wire: requests, replies and events as pure values.

No clock, no socket, no asyncio. One file per operation holds its four translations:
request out and reply in for the client, request in and reply out for the emulator.
Operations never import each other. They share ``exchange`` (the shape of operations),
``envelope`` (of replies), ``presence_path`` and ``presence_params`` (of requests),
``names``, ``encoding``, ``json_codec`` and ``timetoken``.
"""
