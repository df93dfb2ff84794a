"""How we ask: asyncio and aiohttp."""
