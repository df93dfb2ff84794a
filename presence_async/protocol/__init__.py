"""The wire: requests, replies and events as pure values.

No clock, no socket, no asyncio. Each operation has four translations: request out and
reply in for the client, request in and reply out for the emulator. A file holds one
operation, or a few that belong together, and operations never import each other. They
share ``exchange`` (what an operation is), ``envelope`` (of replies), ``presence_path``
and ``presence_params`` (of requests), ``splitting``, ``names``, ``encoding``,
``json_codec`` and ``timetoken``.
"""
