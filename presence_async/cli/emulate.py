"""``presence-async emulate``."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from ..emulator import PresenceEmulator
from .output import print_json, say
from .running import run, until_stopped

__all__ = ["emulate"]


def emulate(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 0,
    here_now_cache_s: Annotated[
        float, typer.Option(help="Answer here now from a cache for so long.")
    ] = 0,
    heartbeat_cache_s: Annotated[
        float, typer.Option(help="Answer heartbeats from a cache for so long.")
    ] = 0,
    min_presence_timeout_s: Annotated[
        float, typer.Option(help="Raise shorter presence timeouts to this.")
    ] = 0,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log each request on stderr.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the address as JSON.")
    ] = False,
) -> None:
    """Run a local presence service until Ctrl-C; prints its URL first.

    Any subscribe key works. Example: presence-async emulate --port 8080, then
    presence-async here-now lobby --origin http://127.0.0.1:8080
    --subscribe-key demo --user-id alice
    """

    async def serve() -> None:
        if verbose:
            logging.basicConfig(format="%(asctime)s %(message)s")
            logging.getLogger("presence_async.emulator").setLevel(logging.INFO)
        async with PresenceEmulator(
            host=host,
            port=port,
            here_now_cache_s=here_now_cache_s,
            heartbeat_cache_s=heartbeat_cache_s,
            min_presence_timeout_s=min_presence_timeout_s,
        ) as emulator:
            url = f"http://{emulator.origin}"
            if as_json:
                print_json({"url": url})
            else:
                say(url)
            await until_stopped()

    run(serve)
